//! Causes: what is told when nothing is wrong, and when one thing is.

use super::*;
use crate::fixture::{NOW, made_up_run};
use crate::presence::Presence;
use crate::registry::tests::{approval, record};
use crate::registry::{Admission, Approval};
use crate::run::{RunOutcome, Uncovered, UncoveredReason};
use crate::scan::{Scan, ScanDraft};

fn draft() -> ScanDraft {
    ScanDraft {
        name: "office".into(),
        targets: "10.0.0.0/28".into(),
        ports: "22".into(),
        interval: "1440".into(),
        scheduled: true,
        ..ScanDraft::default()
    }
}

fn scan(draft: &ScanDraft, last_run: Option<Run>) -> ScanView {
    let scan = Scan::new(ScanId(1), draft.check().unwrap(), Text::default(), NOW);
    ScanView { scan, open_run: None, last_run, last_report: None }
}

fn ended(state: RunState, reason: &str, hosts_up: u32) -> Run {
    let outcome = RunOutcome { hosts_up, open_ports: 0, coverage_hundredths: 10_000, reason: reason.into() };
    Run { state, outcome: Some(outcome), ..made_up_run(7, "10.0.0.0/28", "22", "") }
}

fn node(ranges: &str, status: NodeStatus) -> NodeView {
    let approval = Approval { ranges: ranges.parse().unwrap(), ..approval(NOW) };
    let presence = Presence {
        last_seen: NOW,
        boot: 1,
        sequence: 1,
        address: None,
        load_hundredths: 0,
        running: Vec::new(),
        spooled: 0,
        room: Default::default(),
        clock_offset_ms: 0,
        connected: true,
        lost: false,
        links: Vec::new(),
        through: None,
        has_left: false,
    };
    let record = record(3, Admission::Approved(approval));
    NodeView { record, presence: Some(presence), status, is_awaited: false, ending: None, sponsor: None }
}

fn told(question: Question, scans: &[ScanView], nodes: &[NodeView]) -> Vec<String> {
    let facts = Facts { scans, nodes, refusal: None, now: NOW.plus(Duration::from_secs(3 * 3600)) };
    let causes = facts.causes(question).into_iter();
    causes.map(|cause| format!("{} {}", if cause.is_fault { "!" } else { "." }, cause.words)).collect()
}

const AWAY: NodeStatus = NodeStatus::Offline { since: Some(NOW), reason: "its connection was lost" };

#[test]
fn a_sound_network_has_no_fault() {
    let sound = [scan(&draft(), Some(ended(RunState::Completed, "", 4)))];
    let nodes = [node("10.0.0.0/24", NodeStatus::Online)];
    let due = sound[0].scan.next_due.unwrap();
    assert_eq!(told(Question::NotRunning, &sound, &nodes), [format!(". it is due at {due}")]);
    assert_eq!(told(Question::NoResults, &sound, &nodes), Vec::<String>::new());
    assert_eq!(told(Question::Slow, &sound, &nodes), Vec::<String>::new());
}

#[test]
fn why_a_scan_does_not_run_is_named() {
    let pending = NodeView {
        record: record(4, Admission::Pending),
        presence: None,
        status: NodeStatus::Pending,
        is_awaited: false,
        ending: None,
        sponsor: None,
    };
    let by_hand = ScanDraft { interval: String::new(), scheduled: false, ..draft() };
    let off = ScanDraft { scheduled: false, ..draft() };
    let cases = [
        told(Question::NotRunning, &[], &[]),
        told(Question::NotRunning, &[scan(&draft(), None)], &[pending]),
        told(Question::NotRunning, &[scan(&by_hand, None)], &[node("10.0.0.0/29", NodeStatus::Online)]),
        told(Question::NotRunning, &[scan(&off, None)], &[node("10.0.0.0/24", AWAY)]),
    ];
    insta::assert_snapshot!(cases.map(|lines| lines.join("\n")).join("\n--\n"), @"
    ! there is no scan yet, or each is deactivated; create one
    ! no node has been let in; add one, since nodes do the scanning
    --
    ! 1 of the nodes ask to be let in, and none is; approve one
    ! 16 of its 16 addresses are in no approved node's ranges at site main; approve a node for them
    . it is due at 2023-11-15T22:13:20.000Z
    --
    ! 8 of its 16 addresses are in no approved node's ranges at site main; approve a node for them
    . it runs only by hand: it has no interval
    --
    ! every node is offline
    ! the nodes for 16 of its 16 addresses are offline
    ! it is offline: its connection was lost
    . its schedule is switched off
    ");
}

#[test]
fn why_there_is_nothing_to_see_and_why_it_takes_long_is_named() {
    let nodes = [node("10.0.0.0/24", NodeStatus::Online)];
    let lost = Run {
        uncovered: vec![Uncovered {
            targets: "10.0.0.4-10.0.0.15".parse().unwrap(),
            reason: UncoveredReason::NodeOffline,
        }],
        ..ended(RunState::Partial, "12 addresses were not looked at", 4)
    };
    let mut late = node("10.0.0.0/24", NodeStatus::Online);
    late.presence = late.presence.map(|presence| Presence {
        clock_offset_ms: -61_000,
        load_hundredths: 912,
        spooled: 40,
        ..presence
    });
    let late = [late];
    let open = Run { state: RunState::Running, ..made_up_run(8, "10.0.0.0/28", "22", "") };
    let cases = [
        told(Question::NoResults, &[scan(&draft(), Some(lost))], &nodes),
        told(Question::NoResults, &[scan(&draft(), Some(ended(RunState::Completed, "", 0)))], &late),
        told(Question::NoReport, &[scan(&draft(), None)], &nodes),
        told(Question::NoReport, &[scan(&draft(), Some(ended(RunState::Failed, "no node came", 0)))], &nodes),
        told(Question::Slow, &[scan(&draft(), Some(open))], &late),
    ];
    insta::assert_snapshot!(cases.map(|lines| lines.join("\n")).join("\n--\n"), @"
    ! office: run 7 is partial: 12 addresses were not looked at
    ! 12 addresses: the nodes that have them in their ranges were offline
    --
    ! everything was looked at and nothing answered; check targets and ports, and whether hosts drop pings (-Pn)
    ! its clock is 61 s behind the coordinator's
    --
    . it has not run yet; the first run makes the first report
    --
    ! it ended without a report: run 7 is failed: no node came
    --
    ! it is running for more than two hours
    ! its load is 9.12
    ! 40 results wait on its disk; its way to the coordinator is slow
    ");
}

#[test]
fn a_full_disk_is_named_where_it_hurts() {
    let facts = Facts { scans: &[], nodes: &[], refusal: Some("the disk is low".into()), now: NOW };
    for question in [Question::NotRunning, Question::NoReport] {
        assert!(facts.causes(question).iter().any(|cause| cause.words.contains("the disk is low")), "{question:?}");
    }
}
