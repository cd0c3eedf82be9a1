//! The second reading of a run, batch by batch: lines of the report, steps of the alerts, and versions of hosts.

use super::Bounds;
use super::batch::Batch;
use super::facts::Facts;
use super::settled::Doubts;
use super::survey::Survey;
use crate::analysis::alert::{Alert, AlertKey, Evaluation, Evidence, Transition, evaluate};
use crate::analysis::coverage::RunCoverage;
use crate::analysis::delta::{Compared, KnownHost, PortId, Status, apply, status, unsettled};
use crate::history::Version;
use crate::report::Collector;
use crate::run::Run;
use crate::store::tables::{HISTORY, RUNS};
use crate::store::{Reads, Store, StoreError};
use protocol::Timestamp;
use protocol::observation::HostObservation;
use protocol::task::RunId;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// A version to be written, or to be removed.
type Write = ((IpAddr, RunId), Option<Version>);

/// What the batches so far came to.
pub(super) struct Pass {
    facts: Arc<Facts>,
    survey: Arc<Survey>,
    now: Timestamp,
    pub(super) lines: Collector,
    pub(super) status: Status,
    pub(super) transitions: Vec<Transition>,
    /// Alerts as they were read whose rule was renamed or removed.
    pub(super) handed_on: Vec<Alert>,
    /// Hosts known from now on.
    pub(super) known_hosts: u64,
    pub(super) doubts: Doubts,
    /// Cells that the run covered and does not speak of all the same.
    pub(super) left_open: BTreeSet<(IpAddr, PortId)>,
    /// Accepted cells that changed: they are accepted no more.
    pub(super) changed_again: Vec<(IpAddr, PortId)>,
    /// Hosts that have a version of this run.
    pub(super) versions: Vec<IpAddr>,
    /// The last address that was read.
    after: Option<IpAddr>,
    /// Versions that are not written yet, and how much they are, in hosts and ports.
    writes: Vec<Write>,
    weight: usize,
}

impl Pass {
    /// Reads all hosts, and writes their next versions for nobody to see. `None` when the run was ended meanwhile.
    pub(super) async fn over(
        store: &Store,
        facts: &Arc<Facts>,
        survey: &Arc<Survey>,
        now: Timestamp,
        bounds: Bounds,
    ) -> Result<Option<Self>, StoreError> {
        let mut pass = Self {
            now,
            facts: facts.clone(),
            survey: survey.clone(),
            lines: Collector::new(bounds.lines),
            status: Status::Stable,
            transitions: Vec::new(),
            handed_on: Vec::new(),
            known_hosts: 0,
            doubts: Doubts::default(),
            left_open: BTreeSet::new(),
            changed_again: Vec::new(),
            versions: Vec::new(),
            after: None,
            writes: Vec::new(),
            weight: 0,
        };
        loop {
            pass = store
                .read(move |view| {
                    let batch = Batch::load(view, &pass.facts, pass.after, bounds.batch)?;
                    pass.take(batch);
                    Ok(pass)
                })
                .await?;
            let is_last = pass.after.is_none();
            if is_last || pass.weight >= bounds.batch {
                pass.weight = 0;
                if !write(store, facts.run.clone(), std::mem::take(&mut pass.writes)).await? {
                    return Ok(None);
                }
            }
            if is_last {
                return Ok(Some(pass));
            }
        }
    }

    fn take(&mut self, mut batch: Batch) {
        let (facts, survey) = (self.facts.clone(), self.survey.clone());
        let (mut deltas, mut known, mut doubts) = (Vec::new(), Vec::new(), Doubts::default());
        for Compared { known: before, observed, delta } in facts.compared(&mut batch, &survey.decided) {
            let delta = survey.settle(delta, &batch.again, &facts);
            let address = delta.address;
            let compared = Compared { known: before.clone(), observed, delta: delta.clone() };
            let after = apply(compared, &facts.known_coverage, &survey.decided, facts.run.id);
            self.keep(address, before.as_ref(), after.as_ref(), &mut batch);
            known.extend(after);
            if !delta.is_empty() {
                self.doubts.note(&delta);
                doubts.note(&delta);
                deltas.push(delta);
            }
        }
        self.writes.extend(batch.written.keys().map(|address| ((*address, facts.run.id), None)));
        self.writes.extend(batch.stale.drain(..).map(|version| (version, None)));
        self.known_hosts += known.len() as u64;
        // An alert about a host that may or may not be gone was not verified, whatever else is known of its port.
        let coverage = match facts.authority() {
            Some(false) => RunCoverage::default(),
            Some(true) | None => doubts.settled(&survey.decided),
        };
        let unsettled = unsettled(&deltas);
        let is_covered = |(address, port): &(IpAddr, PortId)| coverage.covers(*address, port.protocol, port.port);
        let evaluation = Evaluation {
            scan: facts.run.scan,
            run: facts.run.id,
            now: self.now,
            rules: &facts.rules,
            coverage: &coverage,
            unsettled: &unsettled,
            accepted: &facts.accepted,
        };
        let changes = deltas.iter().flat_map(|delta| &delta.changes);
        let cells = changes.clone().filter_map(|change| Some((change.address, change.port?)));
        self.changed_again.extend(cells.filter(|cell| facts.accepted.contains(cell)));
        self.status = self.status.min(status(changes.clone(), &facts.rules));
        // That it still holds is told by the cells that were looked at, without a row of its own.
        let is_told = |step: &Transition| {
            let AlertKey { address, port, .. } = step.key();
            matches!(step, Transition::Keep(_))
                && is_covered(&(*address, *port))
                && !unsettled.contains(&(*address, *port))
        };
        let steps = evaluate(evaluation, changes, &known, &batch.alerts);
        let is_handed_on = |step: &&Transition| matches!(step, Transition::Resolve(_, Evidence::RuleChanged));
        let handed_on: BTreeSet<&AlertKey> = steps.iter().filter(is_handed_on).map(Transition::key).collect();
        self.handed_on.extend(batch.alerts.iter().filter(|alert| handed_on.contains(&alert.key)).cloned());
        self.transitions.extend(steps.into_iter().filter(|step| !is_told(step)));
        self.left_open.extend(unsettled.iter().filter(|cell| is_covered(cell)).copied());
        for delta in deltas {
            self.lines.take(delta);
        }
        self.after = batch.last;
    }

    /// Notes the next version of a host, if it has one and it is not written yet.
    fn keep(&mut self, address: IpAddr, before: Option<&KnownHost>, after: Option<&KnownHost>, batch: &mut Batch) {
        let written = batch.written.remove(&address);
        let key = (address, self.facts.run.id);
        let is_new = match (before, after) {
            (Some(before), Some(after)) => !is_same(before, after),
            (before, after) => before.is_some() != after.is_some(),
        };
        let next = is_new.then(|| after.cloned());
        self.versions.extend(is_new.then_some(address));
        if next == written {
            return;
        }
        self.weight += 1 + after.map_or(0, |host| host.observation.ports.len());
        self.writes.push((key, next));
    }
}

/// Writes versions of a run that is still as it was; false when it is not.
async fn write(store: &Store, run: Run, writes: Vec<Write>) -> Result<bool, StoreError> {
    if writes.is_empty() {
        return Ok(true);
    }
    store
        .update(move |draft| {
            if draft.get(&RUNS, &run.id)?.as_ref() != Some(&run) {
                return Ok(false);
            }
            for ((address, writer), version) in &writes {
                let key = (run.scan, *address, *writer);
                match version {
                    Some(version) => draft.put(&HISTORY, &key, version)?,
                    None => draft.remove(&HISTORY, &key)?,
                }
            }
            Ok(true)
        })
        .await
}

/// Whether a host is known as before: the time at which it was seen, and by which run, is no difference.
fn is_same(before: &KnownHost, after: &KnownHost) -> bool {
    let KnownHost { address, observation, seen_run: _, services } = after;
    let HostObservation { address: _, state, reason, seen: _, names, mac, os, ports, unlisted } = observation;
    let known = &before.observation;
    before.address == *address
        && before.services == *services
        && known.state == *state
        && known.reason == *reason
        && known.names == *names
        && known.mac == *mac
        && known.os == *os
        && known.ports == *ports
        && known.unlisted == *unlisted
}
