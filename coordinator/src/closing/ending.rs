//! What closing a run comes to, and the one commit that stores it.

use super::facts::Facts;
use super::{Closing, drop_staged};
use crate::acceptance;
use crate::analysis::alert::{self, Evaluation, Transition, evaluate};
use crate::analysis::delta::{HostDelta, KnownHost, apply, status, unsettled};
use crate::analysis::score::score;
use crate::dispatch::uncovered::uncovered;
use crate::report::Report;
use crate::run::{Look, Run, RunOutcome, RunState, TaskState, Uncovered};
use crate::store::tables::{ALERTS, HISTORY, KNOWN, KNOWN_COVERAGE, OPEN_RUNS, REPORTS, RUN_COVERAGE, RUNS};
use crate::store::{Draft, StoreError};
use protocol::Timestamp;
use protocol::observation::{HostObservation, HostState};
use protocol::text::Text;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most lines that one report holds; more means that something answers on every port.
const MAX_REPORT_LINES: usize = 100_000;

/// What closing a run comes to.
pub(super) struct Ending {
    state: RunState,
    outcome: RunOutcome,
    uncovered: Vec<Uncovered>,
    /// `None` when nothing was looked at: then nothing is known that was not known before.
    report: Option<Report>,
    transitions: Vec<Transition>,
    /// Hosts as known from now on; `None` for one that is gone.
    hosts: BTreeMap<IpAddr, Option<KnownHost>>,
}

impl Ending {
    /// Works it out; stores nothing.
    pub(super) fn of(facts: &Facts, now: Timestamp) -> Self {
        let wanted = facts.run.wanted();
        let asked = facts.coverage.asked.intersection(&wanted);
        let uncovered = uncovered(&facts.run, &facts.tasks, &wanted.minus(&facts.coverage.asked));
        let coverage_hundredths = hundredths(asked.count(), wanted.count());
        let state = match (uncovered.is_empty(), asked.is_empty()) {
            (true, _) => RunState::Completed,
            (false, true) => RunState::Failed,
            (false, false) => RunState::Partial,
        };
        let up = facts.observed.iter().filter(|host| host.state == HostState::Up);
        let open_ports = up.clone().map(open_ports).sum();
        let hosts_up = u32::try_from(up.count()).unwrap_or(u32::MAX);
        let outcome = RunOutcome { hosts_up, open_ports, coverage_hundredths, reason: reason(facts, &uncovered) };
        let mut ending =
            Self { state, outcome, uncovered, report: None, transitions: Vec::new(), hosts: BTreeMap::new() };
        if !facts.coverage.is_empty() {
            ending.compare(facts, now);
        }
        ending
    }

    /// Makes the report and what follows from it.
    fn compare(&mut self, facts: &Facts, now: Timestamp) {
        let deltas = self.delta(facts);
        let open_cells = unsettled(&deltas);
        let known: Vec<&KnownHost> = self.hosts.values().flatten().collect();
        let known_hosts = known.len() as u64;
        let (changes, notes): (Vec<_>, Vec<_>) = deltas.into_iter().map(|delta| (delta.changes, delta.notes)).unzip();
        let (changes, notes): (Vec<_>, Vec<_>) = (changes.concat(), notes.concat());
        let evaluation = Evaluation {
            scan: facts.run.scan,
            run: facts.run.id,
            now,
            rules: &facts.rules,
            coverage: &facts.decided,
            unsettled: &open_cells,
            accepted: &facts.accepted,
        };
        self.transitions = evaluate(evaluation, &changes, known, &facts.alerts);
        let alerts = alert::after(&facts.alerts, &self.transitions, facts.run.id, now);
        let alert_states = alerts.values().map(|alert| (alert.severity, alert.state));
        let covered = facts.decided.change_from(&facts.known_coverage);
        let cells = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        self.report = Some(Report {
            run: facts.run.id,
            scan: facts.run.scan,
            baseline: facts.baseline,
            made: now,
            status: status(&changes, &facts.rules),
            score: score(&changes, &facts.rules, alert_states, known_hosts),
            rules: facts.rules.clone(),
            known_hosts,
            changes,
            accepted: Vec::new(),
            notes,
            coverage_hundredths: self.outcome.coverage_hundredths,
            uncovered: self.uncovered.clone(),
            hosts_up: self.outcome.hosts_up,
            open_ports: self.outcome.open_ports,
            newly_covered_cells: cells(covered.newly_covered.count()),
            no_longer_covered_cells: cells(covered.no_longer_covered.count()),
        });
    }

    /// The lines of every host that has any; notes each host as it is known from now on.
    fn delta(&mut self, facts: &Facts) -> Vec<HostDelta> {
        let mut deltas = Vec::new();
        for compared in facts.settled() {
            let delta = compared.delta.clone();
            let after = apply(compared, &facts.known_coverage, &facts.decided, facts.run.id);
            self.hosts.insert(delta.address, after);
            if !delta.is_empty() {
                deltas.push(delta);
            }
        }
        deltas
    }

    /// Why this cannot be reported at all, if so.
    pub(super) fn excess(&self) -> Option<Text> {
        let lines = self.report.as_ref().map_or(0, |report| report.changes.len() + report.notes.len());
        let reason =
            format!("{lines} lines are more than the {MAX_REPORT_LINES} of one report; something answers everywhere");
        (lines > MAX_REPORT_LINES).then(|| Text::new(&reason))
    }

    /// Stores all of it: hosts, alerts, coverage, report and the end of the run.
    pub(super) fn store(self, draft: &mut Draft, facts: Facts, now: Timestamp) -> Result<Closing, StoreError> {
        let Facts { mut run, coverage, decided, known, known_coverage, alerts, .. } = facts;
        let Self { state, outcome, uncovered, report, transitions, hosts } = self;
        let before: BTreeMap<IpAddr, KnownHost> = known.into_iter().map(|host| (host.address, host)).collect();
        for (address, after) in hosts {
            store_host(draft, &run, address, before.get(&address), after)?;
        }
        drop_staged(draft, run.id)?;
        let alerts_changed = transitions.iter().any(|transition| !matches!(transition, Transition::Keep(_)));
        let before = alerts.iter().map(|alert| (&alert.key, alert)).collect::<BTreeMap<_, _>>();
        for (key, alert) in alert::after(&alerts, &transitions, run.id, now) {
            if before.get(&key) != Some(&&alert) {
                draft.put(&ALERTS, &key, &alert)?;
            }
        }
        draft.put(&RUN_COVERAGE, &run.id, &coverage)?;
        draft.put(&KNOWN_COVERAGE, &run.scan, &known_coverage.union(&decided))?;
        run.ended = Some(now);
        if let Some(report) = report {
            acceptance::end_changed(draft, run.scan, &report.changes)?;
            draft.put(&REPORTS, &run.id, &report)?;
        }
        (run.state, run.outcome, run.uncovered) = (state, Some(outcome), uncovered);
        draft.put(&RUNS, &run.id, &run)?;
        draft.remove(&OPEN_RUNS, &run.scan)?;
        Ok(Closing::Closed { run, alerts_changed })
    }
}

/// Writes a host as known, and a version into its history when it looks different from before.
fn store_host(
    draft: &mut Draft,
    run: &Run,
    address: IpAddr,
    before: Option<&KnownHost>,
    after: Option<KnownHost>,
) -> Result<(), StoreError> {
    let timeless = |host: &KnownHost| HostObservation { seen: Timestamp::default(), ..host.observation.clone() };
    match after {
        Some(after) => {
            if before.map(timeless) != Some(timeless(&after)) {
                draft.put(&HISTORY, &(run.scan, address, run.id), &after.observation)?;
            }
            draft.put(&KNOWN, &(run.scan, address), &after)
        }
        None => {
            if let Some(before) = before {
                let gone = HostObservation { state: HostState::Down, ports: Vec::new(), ..before.observation.clone() };
                draft.put(&HISTORY, &(run.scan, address, run.id), &gone)?;
                draft.remove(&KNOWN, &(run.scan, address))?;
            }
            Ok(())
        }
    }
}

fn open_ports(host: &HostObservation) -> u32 {
    let open = host.ports.iter().filter(|port| port.state == protocol::observation::PortState::Open);
    u32::try_from(open.count()).unwrap_or(u32::MAX)
}

/// A share in hundredths of a percent, rounded down, so that 10,000 means all.
fn hundredths(part: u128, whole: u128) -> u32 {
    part.saturating_mul(10_000).checked_div(whole).and_then(|share| u32::try_from(share).ok()).unwrap_or(10_000)
}

/// In words, why the run did not look at everything; empty when it did.
fn reason(facts: &Facts, uncovered: &[Uncovered]) -> Text {
    let whole: Vec<String> = uncovered
        .iter()
        .map(|part| {
            format!("{} of {} addresses: {}", part.targets.count(), facts.run.wanted().count(), part.reason.words())
        })
        .collect();
    let last = facts
        .tasks
        .iter()
        .rev()
        .find(|task| task.look == Look::First && !task.reason.is_empty() && task.state != TaskState::Done);
    let detail = last.filter(|_| !uncovered.is_empty()).map(|task| format!("task {}: {}", task.id, task.reason));
    Text::new(&whole.into_iter().chain(detail).collect::<Vec<_>>().join("; "))
}
