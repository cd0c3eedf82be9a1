//! The score of a network and its arithmetic, part by part (SPEC section 7).

use crate::analysis::alert::{AlertState, Rule, Severity, rule_for};
use crate::analysis::delta::{Change, ChangeKind};
use protocol::codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most that changes can cost.
const MAX_CHANGE: u64 = 60;
/// The most that exposure can cost.
const MAX_EXPOSURE: u64 = 40;

/// A score from 0 to 100: `100 − change − exposure`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Score {
    /// The score.
    pub value: u8,
    /// What changes cost, 0 to 60.
    pub change: u8,
    /// What exposure costs, 0 to 40.
    pub exposure: u8,
    /// The sums, in the order in which they are shown; parts that count nothing are left out.
    pub parts: Vec<ScorePart>,
}

/// One line of the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct ScorePart {
    /// What is counted.
    pub what: Counted,
    /// How many.
    pub count: u64,
    /// Their points together: of the score for changes, of the weight `w` for alerts; before the caps.
    pub points: u64,
}

/// What a part counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// New ports, 5 each.
    NewPorts,
    /// Changed services, 5 each.
    ServiceChanges,
    /// New hosts, 3 each.
    NewHosts,
    /// New ports with a critical rule, 20 each on top.
    CriticalPorts,
    /// New ports with a high rule, 10 each on top.
    HighPorts,
    /// New ports with a medium rule, 5 each on top.
    MediumPorts,
    /// Open and actioned critical alerts, weight 8 each.
    CriticalAlerts,
    /// Open and actioned high alerts, weight 3 each.
    HighAlerts,
    /// Open and actioned medium alerts, weight 1 each.
    MediumAlerts,
    /// Hosts known up, which the weight is set against; no points.
    KnownHosts,
}

impl Counted {
    /// Points, or weight, of one.
    pub fn each(self) -> u64 {
        match self {
            Self::CriticalPorts => 20,
            Self::HighPorts => 10,
            Self::CriticalAlerts => 8,
            Self::NewPorts | Self::ServiceChanges | Self::MediumPorts => 5,
            Self::NewHosts | Self::HighAlerts => 3,
            Self::MediumAlerts => 1,
            Self::KnownHosts => 0,
        }
    }

    fn is_change(self) -> bool {
        self <= Self::MediumPorts
    }
}

/// What a score is worth in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// 90 and more.
    Excellent,
    /// 70 to 89.
    Good,
    /// 50 to 69.
    Monitor,
    /// Below 50.
    Critical,
}

impl Band {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Excellent => "Excellent",
            Self::Good => "Good",
            Self::Monitor => "Monitor",
            Self::Critical => "Critical",
        }
    }
}

impl Score {
    /// The band of this score.
    pub fn band(&self) -> Band {
        match self.value {
            90.. => Band::Excellent,
            70..=89 => Band::Good,
            50..=69 => Band::Monitor,
            0..=49 => Band::Critical,
        }
    }

    /// The score of the same changes, with these `alerts` of the network in place of those it counted.
    pub fn with_alerts(self, alerts: impl IntoIterator<Item = (Severity, AlertState)>, known_hosts: u64) -> Self {
        let changes = self.parts.into_iter().filter(|part| part.what.is_change());
        let mut counts = changes.map(|part| (part.what, part.count)).collect();
        count(&mut counts, alerts.into_iter().filter_map(count_alert));
        sum_up(counts, known_hosts)
    }
}

/// The score after a report with `changes` (without accepted ones), with all `alerts` of the network, and `known_hosts`
/// hosts known up.
pub fn score<'a>(
    changes: impl IntoIterator<Item = &'a Change>,
    rules: &[Rule],
    alerts: impl IntoIterator<Item = (Severity, AlertState)>,
    known_hosts: u64,
) -> Score {
    let mut counts = BTreeMap::new();
    count(&mut counts, changes.into_iter().flat_map(|change| count_change(change, rules)));
    count(&mut counts, alerts.into_iter().filter_map(count_alert));
    sum_up(counts, known_hosts)
}

fn count(counts: &mut BTreeMap<Counted, u64>, counted: impl Iterator<Item = Counted>) {
    for what in counted {
        *counts.entry(what).or_default() += 1;
    }
}

fn sum_up(counts: BTreeMap<Counted, u64>, known_hosts: u64) -> Score {
    let parts =
        counts.into_iter().map(|(what, count)| ScorePart { what, count, points: count.saturating_mul(what.each()) });
    let mut parts: Vec<ScorePart> = parts.collect();
    let sum = |changes: bool| {
        let points = parts.iter().filter(|part| part.what.is_change() == changes).map(|part| part.points);
        points.fold(0u64, u64::saturating_add)
    };
    let (change, weight) = (sum(true).min(MAX_CHANGE), sum(false));
    let exposure = exposure(weight, known_hosts);
    if weight > 0 {
        parts.push(ScorePart { what: Counted::KnownHosts, count: known_hosts.max(1), points: 0 });
    }
    let small = |points: u64| u8::try_from(points).unwrap_or(u8::MAX);
    Score { value: small(100 - change - exposure), change: small(change), exposure: small(exposure), parts }
}

/// `min(40, ceil(40·w/(w + 4·h)))`, 0 when `w` is 0; never more than 40.
fn exposure(weight: u64, known_hosts: u64) -> u64 {
    let (weight, hosts) = (u128::from(weight), u128::from(known_hosts.max(1)));
    let share = (u128::from(MAX_EXPOSURE) * weight).div_ceil(weight + 4 * hosts);
    u64::try_from(share).unwrap_or(MAX_EXPOSURE).min(MAX_EXPOSURE)
}

fn count_change(change: &Change, rules: &[Rule]) -> Vec<Counted> {
    match change.kind {
        ChangeKind::NewHost => vec![Counted::NewHosts],
        ChangeKind::ServiceChange => vec![Counted::ServiceChanges],
        ChangeKind::NewPort => {
            let rule = change.port.and_then(|port| rule_for(rules, port));
            let on_top = match rule.map(|rule| rule.severity) {
                Some(Severity::Critical) => Some(Counted::CriticalPorts),
                Some(Severity::High) => Some(Counted::HighPorts),
                Some(Severity::Medium) => Some(Counted::MediumPorts),
                Some(Severity::Low) | None => None,
            };
            [Some(Counted::NewPorts), on_top].into_iter().flatten().collect()
        }
        ChangeKind::RemovedHost
        | ChangeKind::ClosedPort
        | ChangeKind::OsChange
        | ChangeKind::NameChange
        | ChangeKind::MacChange => Vec::new(),
    }
}

fn count_alert((severity, state): (Severity, AlertState)) -> Option<Counted> {
    match (state, severity) {
        (AlertState::Ignored | AlertState::Resolved, _) | (_, Severity::Low) => None,
        (AlertState::Open | AlertState::Actioned, Severity::Critical) => Some(Counted::CriticalAlerts),
        (AlertState::Open | AlertState::Actioned, Severity::High) => Some(Counted::HighAlerts),
        (AlertState::Open | AlertState::Actioned, Severity::Medium) => Some(Counted::MediumAlerts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::alert::default_rules;
    use crate::analysis::delta::{Confirmation, PortId};
    use proptest::prelude::*;
    use protocol::Protocol;

    /// A name, changes, alerts, known hosts, and the score they give.
    type Row = (&'static str, Vec<Change>, Vec<(Severity, AlertState)>, u64, u8);

    fn change(kind: ChangeKind, port: u16) -> Change {
        let port = (port > 0).then_some(PortId { protocol: Protocol::Tcp, port });
        let address = "10.0.0.1".parse().unwrap();
        Change { kind, address, port, before: None, after: None, confirmation: Confirmation::NotNeeded }
    }

    #[test]
    fn the_example_of_the_guide_gives_85_and_good() {
        use ChangeKind::{ClosedPort, NewPort, ServiceChange};
        let changes = [(NewPort, 8080), (NewPort, 8443), (ClosedPort, 81), (ServiceChange, 80)];
        let changes: Vec<Change> = changes.into_iter().map(|(kind, port)| change(kind, port)).collect();
        let score = score(&changes, &default_rules(), [], 12);
        assert_eq!((score.value, score.band().name()), (85, "Good"));
        let sums: Vec<(Counted, u64, u64)> =
            score.parts.iter().map(|part| (part.what, part.count, part.points)).collect();
        assert_eq!(sums, [(Counted::NewPorts, 2, 10), (Counted::ServiceChanges, 1, 5)]);
    }

    #[test]
    fn each_sum_of_the_specification_holds() {
        use AlertState::{Actioned, Ignored, Open, Resolved};
        use ChangeKind::{ClosedPort, NewHost, NewPort, RemovedHost};
        let rows: Vec<Row> = vec![
            ("nothing", vec![], vec![], 0, 100),
            ("a new host", vec![change(NewHost, 0)], vec![], 1, 97),
            ("gone is free", vec![change(RemovedHost, 0), change(ClosedPort, 22)], vec![], 1, 100),
            ("critical port", vec![change(NewPort, 3389)], vec![], 1, 75),
            ("high port", vec![change(NewPort, 22)], vec![], 1, 85),
            ("medium port", vec![change(NewPort, 21)], vec![], 1, 90),
            ("changes are capped", vec![change(NewPort, 3389); 9], vec![], 1, 40),
            ("critical alert of one host", vec![], vec![(Severity::Critical, Open)], 1, 73),
            ("no host counts as one", vec![], vec![(Severity::Critical, Open)], 0, 73),
            ("high alert of ten hosts", vec![], vec![(Severity::High, Actioned)], 10, 97),
            ("ignored and resolved", vec![], vec![(Severity::High, Ignored), (Severity::High, Resolved)], 1, 100),
            ("low alerts", vec![], vec![(Severity::Low, Open)], 1, 100),
            ("all at its worst", vec![change(NewPort, 3389); 9], vec![(Severity::Critical, Open); 5000], 1, 0),
        ];
        for (name, changes, alerts, hosts, value) in rows {
            assert_eq!(score(&changes, &default_rules(), alerts, hosts).value, value, "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_value_is_what_its_parts_say(ports in proptest::collection::vec(1u16..4000, 0..30), alerts in 0usize..40, hosts in 0u64..99) {
            let changes: Vec<Change> = ports.into_iter().map(|port| change(ChangeKind::NewPort, port)).collect();
            let score = score(&changes, &default_rules(), vec![(Severity::High, AlertState::Open); alerts], hosts);
            prop_assert_eq!(score.value, 100 - score.change - score.exposure);
            let calm = score.clone().with_alerts([], hosts);
            prop_assert_eq!((calm.value, calm.exposure), (100 - score.change, 0));
            prop_assert_eq!(&calm.with_alerts(vec![(Severity::High, AlertState::Open); alerts], hosts), &score);
            let points: u64 = score.parts.iter().filter(|part| part.what.is_change()).map(|part| part.points).sum();
            prop_assert_eq!(u64::from(score.change), points.min(60));
        }
    }
}
