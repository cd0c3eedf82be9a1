//! Why something does not happen: the causes that people ask for, found in what is known now. Pure.

use crate::registry::NodeRecord;
use crate::run::{Run, RunState};
use crate::use_case::nodes::{NodeStatus, NodeView};
use crate::use_case::scans::ScanView;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{Fingerprint, TargetSet, Timestamp};
use std::time::Duration;

/// A clock that is further off than this makes times in reports hard to trust.
const CLOCK: Duration = Duration::from_secs(5);
/// A run that is open for longer is worth a look.
const LONG_RUN: Duration = Duration::from_secs(2 * 3600);
/// Load of a node over this, in hundredths, means that it has more to do than it can.
const HIGH_LOAD: u32 = 400;
/// More results than this on a node's disk mean that they do not get through.
const MANY_RESULTS: u32 = 16;
/// More cells than this take a while.
const MANY_CELLS: u128 = 50_000_000;
/// The most causes that one question tells.
pub const MAX_CAUSES: usize = 20;

/// What people ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A scan does not run.
    NotRunning,
    /// It runs and finds nothing.
    NoResults,
    /// It ran and there is no report, or none with changes.
    NoReport,
    /// It takes long.
    Slow,
}

impl Question {
    /// Every question.
    pub const ALL: [Self; 4] = [Self::NotRunning, Self::NoResults, Self::NoReport, Self::Slow];
}

/// What a cause is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The coordinator and its disk.
    Coordinator,
    /// All scans, or that there is none.
    Scans,
    /// One scan.
    Scan(ScanId, Text),
    /// One run.
    Run(RunId),
    /// All nodes, or that there is none.
    Nodes,
    /// One node.
    Node(Fingerprint, Text),
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Of what.
    pub about: About,
    /// Whether something should be done; otherwise it is as somebody wanted it.
    pub is_fault: bool,
    /// In words, without a full stop.
    pub words: String,
}

/// What is looked at.
pub struct Facts<'a> {
    /// Active scans.
    pub scans: &'a [ScanView],
    /// Nodes.
    pub nodes: &'a [NodeView],
    /// Why the coordinator takes no new work, if it does not.
    pub refusal: Option<String>,
    /// Now.
    pub now: Timestamp,
}

impl Facts<'_> {
    /// The causes that fit a question, at most [`MAX_CAUSES`]; none when all is well.
    pub fn causes(&self, question: Question) -> Vec<Cause> {
        let mut causes = match question {
            Question::NotRunning => self.not_running(),
            Question::NoResults => self.no_results(),
            Question::NoReport => self.no_report(),
            Question::Slow => self.slow(),
        };
        causes.truncate(MAX_CAUSES);
        causes
    }

    fn not_running(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        if let Some(refusal) = &self.refusal {
            causes.push(fault(About::Coordinator, format!("no new run begins: {refusal}")));
        }
        if self.scans.is_empty() {
            causes.push(fault(About::Scans, "there is no scan yet, or each is deactivated; create one".to_owned()));
        }
        causes.extend(self.nobody_there());
        for scan in self.scans {
            causes.extend(self.unreached(scan));
            causes.extend(schedule(scan));
        }
        causes
    }

    fn nobody_there(&self) -> Option<Cause> {
        let approved = self.nodes.iter().filter(|node| node.record.approval().is_some()).count();
        let pending = self.nodes.iter().filter(|node| node.record.is_pending()).count();
        match (approved, pending) {
            (0, 0) => Some("no node has been let in; add one, since nodes do the scanning".to_owned()),
            (0, waiting) => Some(format!("{waiting} of the nodes ask to be let in, and none is; approve one")),
            (_, _) if !self.nodes.iter().any(is_there) => Some("every node is offline".to_owned()),
            (_, _) => None,
        }
        .map(|words| fault(About::Nodes, words))
    }

    /// Addresses of a scan that no node has in its ranges, or none that is there.
    fn unreached(&self, scan: &ScanView) -> Vec<Cause> {
        let definition = &scan.scan.definition;
        let of_site = |node: &&NodeView| node.record.approval().is_some_and(|found| found.site == *definition.site());
        let ranges = |there: bool| {
            let nodes = self.nodes.iter().filter(of_site).filter(|node| !there || is_there(node));
            nodes
                .filter_map(|node| node.record.approval())
                .fold(TargetSet::empty(), |all, found| all.union(&found.ranges))
        };
        let wanted = definition.wanted();
        let nobodys = wanted.minus(&ranges(false));
        let away = wanted.minus(&nobodys).minus(&ranges(true));
        let mut causes = Vec::new();
        if !nobodys.is_empty() {
            let words = format!(
                "{} of its {} addresses are in no approved node's ranges at site {}; approve a node for them",
                nobodys.count(),
                wanted.count(),
                definition.site()
            );
            causes.push(fault(about(scan), words));
        }
        if !away.is_empty() {
            let words = format!("the nodes for {} of its {} addresses are offline", away.count(), wanted.count());
            causes.push(fault(about(scan), words));
            let lost = self.nodes.iter().filter(of_site).filter(|node| !is_there(node) && reaches(&node.record, &away));
            causes.extend(lost.map(|node| fault(self::node(node), state_words(&node.status))));
        }
        causes
    }

    fn no_results(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for scan in self.scans {
            let Some(run) = &scan.last_run else {
                causes.push(plain(about(scan), "it has not run yet; run it now".to_owned()));
                continue;
            };
            if let Some(words) = incomplete(run) {
                causes.push(fault(About::Run(run.id), format!("{}: {words}", scan.scan.definition.name())));
                for part in &run.uncovered {
                    let words = format!("{} addresses: {}", part.targets.count(), part.reason.words());
                    causes.push(fault(About::Run(run.id), words));
                }
            } else if run.outcome.as_ref().is_some_and(|outcome| outcome.hosts_up == 0) {
                let words = "everything was looked at and nothing answered; check targets and ports, and whether hosts drop pings (-Pn)";
                causes.push(fault(about(scan), words.to_owned()));
            }
        }
        causes.extend(self.nodes.iter().filter_map(wrong_clock));
        causes
    }

    fn no_report(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for scan in self.scans {
            let (about, report) = (about(scan), &scan.last_report);
            match (&scan.last_run, report) {
                (None, _) => {
                    causes.push(plain(about, "it has not run yet; the first run makes the first report".to_owned()))
                }
                (Some(run), None) if !run.state.is_final() => {
                    causes
                        .push(plain(About::Run(run.id), "it has not ended; its report is made when it has".to_owned()));
                }
                (Some(run), None) => {
                    let reason = incomplete(run).unwrap_or_else(|| run.state.name().to_owned());
                    causes.push(fault(About::Run(run.id), format!("it ended without a report: {reason}")));
                }
                (Some(_), Some(report)) if report.is_baseline() => {
                    causes.push(plain(about, "it has one report, the baseline; changes need a second run".to_owned()));
                }
                (Some(run), Some(report)) if run.state == RunState::Failed && run.id > report.run => {
                    causes.push(fault(
                        About::Run(run.id),
                        "the latest run failed; the report before it stands".to_owned(),
                    ));
                }
                (Some(_), Some(_)) => {}
            }
        }
        causes.extend(self.refusal.iter().map(|refusal| fault(About::Coordinator, refusal.clone())));
        causes
    }

    fn slow(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for scan in self.scans {
            causes.extend(self.large(scan));
            let open = scan.last_run.as_ref().filter(|run| !run.state.is_final());
            if let Some(run) = open.filter(|run| self.now.since(run.created) > LONG_RUN) {
                let words = format!("it is {} for more than two hours", run.state.name());
                causes.push(fault(About::Run(run.id), words));
            }
        }
        for found in self.nodes.iter().filter(|node| is_there(node)) {
            let Some(presence) = &found.presence else { continue };
            if presence.load_hundredths > HIGH_LOAD {
                let words =
                    format!("its load is {}.{:02}", presence.load_hundredths / 100, presence.load_hundredths % 100);
                causes.push(fault(node(found), words));
            }
            if presence.spooled > MANY_RESULTS {
                let words =
                    format!("{} results wait on its disk; its way to the coordinator is slow", presence.spooled);
                causes.push(fault(node(found), words));
            }
        }
        causes
    }

    /// A scan that is a lot of work for the nodes that can take it.
    fn large(&self, scan: &ScanView) -> Option<Cause> {
        let definition = &scan.scan.definition;
        let wanted = definition.wanted();
        let able = |node: &&NodeView| is_there(node) && reaches(&node.record, &wanted);
        let nodes = self.nodes.iter().filter(able).count();
        let ports = definition.ports().map_or(1_000, |ports| ports.count());
        let cells = wanted.count().saturating_mul(u128::from(ports));
        (cells > MANY_CELLS && nodes > 0).then(|| {
            let words = format!(
                "{} addresses with {ports} ports each are shared by {nodes} of the nodes; fewer ports or more nodes are faster",
                wanted.count()
            );
            plain(about(scan), words)
        })
    }
}

fn fault(about: About, words: String) -> Cause {
    Cause { about, is_fault: true, words }
}

fn plain(about: About, words: String) -> Cause {
    Cause { about, is_fault: false, words }
}

fn about(scan: &ScanView) -> About {
    About::Scan(scan.scan.id, scan.scan.definition.name().clone())
}

fn node(view: &NodeView) -> About {
    About::Node(view.record.key.fingerprint(), view.record.label.clone())
}

fn is_there(view: &NodeView) -> bool {
    matches!(view.status, NodeStatus::Online | NodeStatus::Scanning)
}

fn reaches(record: &NodeRecord, targets: &TargetSet) -> bool {
    record.approval().is_some_and(|found| !found.ranges.intersection(targets).is_empty())
}

fn state_words(status: &NodeStatus) -> String {
    match status {
        NodeStatus::Offline { reason, .. } => format!("it is offline: {reason}"),
        NodeStatus::Cloned { .. } => "its key is used on two machines, so it gets no work".to_owned(),
        NodeStatus::Awaited => "its approval waits for the mesh key's signature".to_owned(),
        NodeStatus::Expired => "its approval has ended; approve it again".to_owned(),
        NodeStatus::Suspended => "it is suspended; approve it to let it in again".to_owned(),
        NodeStatus::Pending | NodeStatus::Denied | NodeStatus::Revoked | NodeStatus::Online | NodeStatus::Scanning => {
            format!("it is {}", status.name())
        }
    }
}

fn schedule(scan: &ScanView) -> Option<Cause> {
    let definition = &scan.scan.definition;
    match (scan.open_run, definition.cadence(), definition.scheduled()) {
        (Some(run), _, _) => {
            Some(plain(About::Run(run), "it is under way, and a scan never overlaps itself".to_owned()))
        }
        (None, None, _) => Some(plain(about(scan), "it runs only by hand: it has no interval".to_owned())),
        (None, Some(_), false) => Some(plain(about(scan), "its schedule is switched off".to_owned())),
        (None, Some(_), true) => scan.scan.next_due.map(|due| plain(about(scan), format!("it is due at {due}"))),
    }
}

/// Why a run did not look everywhere, if it ended so.
fn incomplete(run: &Run) -> Option<String> {
    let is_whole = match run.state {
        RunState::Partial | RunState::Failed | RunState::Cancelled => false,
        RunState::Queued | RunState::Running | RunState::Closing | RunState::Completed => true,
    };
    let reason = run.outcome.as_ref().map(|outcome| outcome.reason.to_string()).unwrap_or_default();
    let state = run.state.name();
    (!is_whole).then(|| {
        if reason.is_empty() {
            format!("run {} is {state}", run.id)
        } else {
            format!("run {} is {state}: {reason}", run.id)
        }
    })
}

fn wrong_clock(view: &NodeView) -> Option<Cause> {
    let presence = view.presence.as_ref().filter(|_| is_there(view))?;
    let off = Duration::from_millis(presence.clock_offset_ms.unsigned_abs());
    let word = if presence.clock_offset_ms < 0 { "behind" } else { "ahead of" };
    (off > CLOCK).then(|| fault(node(view), format!("its clock is {} s {word} the coordinator's", off.as_secs())))
}

#[cfg(test)]
mod tests;
