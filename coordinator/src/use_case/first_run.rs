//! The way from an empty coordinator to its first delta: which step comes next follows from what is there, so that it
//! can be left and taken up again at any time.

#[cfg(test)]
mod tests;

use super::invites::InviteRequest;
use super::nodes::NodeStatus;
use super::{UseCaseError, reports, scans};
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::report::ReportSummary;
use crate::run::Run;
use crate::scan::Scan;
use crate::store::tables::{OPEN_RUNS, RUNS, RUNS_OF_SCAN};
use crate::store::{Reads, StoreError};
use protocol::TargetSet;
use protocol::invite::Invite;
use protocol::task::RunId;
use protocol::text::Text;
use std::sync::Arc;
use std::time::Duration;

/// How long the invite of this machine's own node is good for: it is used at once.
const INVITE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The node on the coordinator's own machine. The program that runs both brings it along: a coordinator starts no
/// processes.
pub trait LocalNode: Send + Sync + 'static {
    /// The networks that this machine is in, each for itself.
    fn networks(&self) -> Vec<TargetSet>;

    /// How it is.
    fn state(&self) -> LocalNodeState;

    /// Starts it, and from then on with every start of the program; the invite lets it in.
    fn start(&self, invite: Invite);
}

/// How the node on the coordinator's own machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalNodeState {
    /// Nobody has started it.
    #[default]
    Idle,
    /// It runs; whether it is in, its record says.
    Running,
    /// It ended by itself.
    Failed {
        /// In its own words.
        reason: String,
    },
}

/// The next step to the first delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstRun {
    /// No node is in.
    NoNode {
        /// How this machine's own is; `None` when the program has none.
        local: Option<LocalNodeState>,
        /// The networks that this machine is in.
        networks: Vec<TargetSet>,
    },
    /// A node is in, but none is there.
    NodeAway {
        /// What people call it.
        label: Text,
        /// Why it counts as away.
        reason: &'static str,
        /// How this machine's own is.
        local: Option<LocalNodeState>,
    },
    /// Nothing was scanned yet.
    NoRun {
        /// A scan that is there already.
        scan: Option<Box<Scan>>,
        /// What nodes may scan.
        ranges: TargetSet,
    },
    /// A run goes on.
    Running {
        /// Which.
        run: RunId,
        /// Whether nothing was reported before.
        is_first: bool,
    },
    /// The first look has ended; a delta needs a second one.
    Looked(Box<FirstLook>),
    /// A report says what changed: the latest one.
    Done(Box<ReportSummary>),
}

/// What came of the first look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstLook {
    /// Of which scan.
    pub scan: Scan,
    /// Its latest run.
    pub run: Run,
    /// The baseline; `None` when nobody could look.
    pub report: Option<ReportSummary>,
}

impl Coordinator {
    /// Brings this machine's own node along; the first one stays.
    pub fn bring_local_node(&self, node: Arc<dyn LocalNode>) {
        // A second one would be a second program around this coordinator, of which there is none.
        let _is_first = self.local_node_cell().set(node);
    }

    /// Which step comes next.
    pub async fn first_run(&self, actor: &Actor) -> Result<FirstRun, UseCaseError> {
        actor.require(Right::Read)?;
        let (found, waiting) = self.store().read(furthest).await?;
        if let Some(step) = found {
            return Ok(step);
        }
        let nodes = self.nodes(actor).await?;
        let mut ranges = TargetSet::empty();
        let mut away = None;
        for node in &nodes {
            let Some(approval) = node.record.approval() else { continue };
            match &node.status {
                NodeStatus::Online | NodeStatus::Scanning => ranges = ranges.union(&approval.ranges),
                NodeStatus::Offline { since: _, reason } => away = Some((node.record.label.clone(), *reason)),
                NodeStatus::Awaited => {
                    away = Some((node.record.label.clone(), "the mesh key has yet to sign that it is in"));
                }
                NodeStatus::Pending
                | NodeStatus::Denied
                | NodeStatus::Revoked
                | NodeStatus::Expired
                | NodeStatus::Suspended
                | NodeStatus::Cloned { .. } => {}
            }
        }
        let local = self.local_node_cell().get();
        let state = local.map(|node| node.state());
        Ok(match (ranges.is_empty(), away) {
            (false, _) => FirstRun::NoRun { scan: waiting.map(Box::new), ranges },
            (true, Some((label, reason))) => FirstRun::NodeAway { label, reason, local: state },
            (true, None) => {
                FirstRun::NoNode { local: state, networks: local.map(|node| node.networks()).unwrap_or_default() }
            }
        })
    }

    /// Starts the node on this machine, let in for these ranges by an invite over loopback. Asked twice, it is done once.
    pub async fn use_this_machine(&self, actor: &Actor, ranges: &str) -> Result<(), UseCaseError> {
        actor.require(Right::Administer)?;
        let FirstRun::NoNode { local: state, networks: _ } = self.first_run(actor).await? else { return Ok(()) };
        let (Some(local), Some(state)) = (self.local_node_cell().get(), state) else {
            let reason = "this program brings no node along; start one with `portdrift node run --join INVITE`";
            return Err(UseCaseError::Conflict(reason.to_owned()));
        };
        if state == LocalNodeState::Running {
            return Ok(());
        }
        let addresses = vec![self.enrolment_here()];
        let request = InviteRequest {
            lifetime: INVITE_LIFETIME,
            ranges: Some(ranges.to_owned()),
            site: String::new(),
            addresses,
        };
        local.start(self.create_invite(actor, &request).await?);
        Ok(())
    }
}

/// The step that the scan which has come furthest stands at, if any was run; else a scan that waits for its first run.
fn furthest(reads: &impl Reads) -> Result<(Option<FirstRun>, Option<Scan>), StoreError> {
    let (mut running, mut looked, mut waiting) = (None, None, None);
    for scan in scans::all(reads)?.into_iter().filter(|scan| scan.active) {
        let report = reports::history(reads, scan.id).next().transpose()?;
        if let Some(report) = report.clone().filter(|report| !report.is_baseline()) {
            return Ok((Some(FirstRun::Done(Box::new(report))), None));
        }
        if let Some(run) = reads.get(&OPEN_RUNS, &scan.id)? {
            running = running.or(Some(FirstRun::Running { run, is_first: report.is_none() }));
        } else if let Some(run) = latest(reads, &scan)? {
            looked = looked.or_else(|| Some(FirstRun::Looked(Box::new(FirstLook { scan, run, report }))));
        } else {
            waiting = waiting.or(Some(scan));
        }
    }
    Ok((running.or(looked), waiting))
}

fn latest(reads: &impl Reads, scan: &Scan) -> Result<Option<Run>, StoreError> {
    match reads.within(&RUNS_OF_SCAN, &scan.id).next_back().transpose()? {
        Some(((_, run), ())) => reads.get(&RUNS, &run),
        None => Ok(None),
    }
}
