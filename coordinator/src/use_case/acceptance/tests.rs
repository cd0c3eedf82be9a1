//! Accepted changes over real runs: what stops counting, for how long, and what an undo brings back.

use super::*;
use crate::analysis::alert::{Alert, AlertKey, AlertState, Evidence, rule_for};
use crate::analysis::delta::Status;
use crate::fixture::{Fixture, NOW, TARGETS, host};
use crate::store::tables::{ACCEPTED, ALERTS};
use protocol::observation::HostObservation;
use protocol::task::ScanId;

fn there(ports: &[u16]) -> Vec<HostObservation> {
    vec![host("10.9.0.1", ports), host("10.9.0.2", &[80])]
}

/// A network where RDP opened in its second run.
async fn opened() -> (Fixture, RunId) {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, there(&[80])).await;
    let run = fixture.finished_run(TARGETS, there(&[80, 3389])).await;
    (fixture, run)
}

async fn step(fixture: &Fixture, step: Step, run: RunId, pattern: LinePattern) -> Result<AcceptOutcome, UseCaseError> {
    let (actor, now) = (Actor::local(1), NOW);
    let person = Person { name: "ada".into(), comment: "planned".into(), now };
    fixture.store.update(move |draft| take(draft, step, run, &[pattern], &person, &actor)).await
}

async fn report(fixture: &Fixture, run: RunId) -> Report {
    let read =
        move |view: &crate::store::View| Ok((crate::report::read(view, run)?, view.get(&REPORT_SUMMARIES, &run)?));
    let (report, summary) = fixture.store.read(read).await.unwrap();
    assert_eq!(summary, report.as_ref().map(ReportSummary::from), "what lists show says the same");
    report.unwrap()
}

async fn alerts(fixture: &Fixture) -> Vec<Alert> {
    fixture.store.read(|view| view.iter(&ALERTS).map(|row| row.map(|(_, alert)| alert)).collect()).await.unwrap()
}

async fn states(fixture: &Fixture) -> Vec<AlertState> {
    alerts(fixture).await.iter().map(|alert| alert.state).collect()
}

async fn accepted_rows(fixture: &Fixture) -> usize {
    fixture.store.read(|view| Ok(view.iter(&ACCEPTED).count())).await.unwrap()
}

#[tokio::test]
async fn an_accepted_change_counts_no_more_until_the_port_changes_again() {
    let (fixture, run) = opened().await;
    let before = report(&fixture, run).await;
    // 5 and 20 for the port; one critical alert on two hosts costs 20.
    assert_eq!((before.status, before.score.value), (Status::Critical, 55));

    let done = step(&fixture, Step::Accept, run, LinePattern::default()).await.unwrap();
    assert_eq!((done.selected, done.changed), (1, 1));
    let after = report(&fixture, run).await;
    assert_eq!((after.status, after.score.value, after.score.parts.len()), (Status::Stable, 100, 0));
    assert_eq!(after.changes, before.changes, "the report keeps its lines");
    let said = after.acceptance_of(0).unwrap();
    assert_eq!((said.by.as_str(), said.comment.as_str(), said.at), ("ada", "planned", NOW));
    let ended = alerts(&fixture).await.remove(0);
    let how = ended.resolution.unwrap();
    assert_eq!((ended.state, how.evidence, how.run), (AlertState::Resolved, Evidence::Accepted, run));
    assert_eq!(step(&fixture, Step::Accept, run, LinePattern::default()).await.unwrap().changed, 0);

    for _ in 0..2 {
        let calm = fixture.finished_run(TARGETS, there(&[80, 3389])).await;
        assert_eq!(
            (report(&fixture, calm).await.score.value, states(&fixture).await),
            (100, vec![AlertState::Resolved])
        );
    }
    let closed = fixture.finished_run(TARGETS, there(&[80])).await;
    assert_eq!((report(&fixture, closed).await.changes.len(), accepted_rows(&fixture).await), (1, 0));
    let again = fixture.finished_run(TARGETS, there(&[80, 3389])).await;
    assert_eq!(report(&fixture, again).await.status, Status::Critical);
    assert_eq!(states(&fixture).await, [AlertState::Open]);
    assert_eq!(alerts(&fixture).await.remove(0).raised, again);
}

#[tokio::test]
async fn an_undo_brings_back_what_the_acceptance_ended() {
    let (fixture, run) = opened().await;
    let (report_before, alerts_before) = (report(&fixture, run).await, alerts(&fixture).await);
    step(&fixture, Step::Accept, run, LinePattern::default()).await.unwrap();
    assert_eq!(step(&fixture, Step::Undo, run, LinePattern::default()).await.unwrap().changed, 1);
    assert_eq!((report(&fixture, run).await, accepted_rows(&fixture).await), (report_before, 0));
    let back = alerts(&fixture).await.remove(0);
    assert_eq!(back.trail.steps.len(), 3);
    assert_eq!(Alert { trail: alerts_before[0].trail.clone(), ..back }, alerts_before[0]);
    assert_eq!(step(&fixture, Step::Undo, run, LinePattern::default()).await.unwrap().changed, 0);
}

#[tokio::test]
async fn only_the_lines_that_are_meant_are_accepted() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80]), host("10.9.0.2", &[80])]).await;
    let all = vec![host("10.9.0.1", &[22, 80, 3389]), host("10.9.0.2", &[22, 80])];
    let run = fixture.finished_run(TARGETS, all.clone()).await;
    let ssh = crate::rules::port_of("22/tcp").unwrap();
    let one = LinePattern { addresses: Some("10.9.0.1".parse().unwrap()), port: Some(ssh), kind: None };
    assert_eq!(step(&fixture, Step::Accept, run, one).await.unwrap().report.accepted[0].lines, [0]);
    assert_eq!(states(&fixture).await, [AlertState::Resolved, AlertState::Open, AlertState::Open]);
    let rest = LinePattern { kind: Some(ChangeKind::NewPort), ..LinePattern::default() };
    let done = step(&fixture, Step::Accept, run, rest).await.unwrap();
    assert_eq!((done.selected, done.changed), (3, 2));
    assert!(states(&fixture).await.iter().all(|state| *state == AlertState::Resolved));
    let none = LinePattern { kind: Some(ChangeKind::NewHost), ..LinePattern::default() };
    let error = step(&fixture, Step::Accept, run, none).await.unwrap_err().to_string();
    assert_eq!(error, "lines: no line of report 2 is meant; `portdrift reports show 2` shows them");
    let error = step(&fixture, Step::Undo, RunId(9), LinePattern::default()).await.unwrap_err().to_string();
    assert_eq!(error, "there is no report 9; `portdrift reports list` shows what there is");
}

#[tokio::test]
async fn an_old_line_is_marked_but_says_nothing_about_a_port_that_changed_since() {
    let (fixture, run) = opened().await;
    let closed = fixture.finished_run(TARGETS, there(&[80])).await;
    let score = report(&fixture, closed).await.score;
    let old = step(&fixture, Step::Accept, run, LinePattern::default()).await.unwrap().report;
    // The exposure of its time stays; the change costs nothing any more.
    assert_eq!((old.status, old.score.value, old.score.change), (Status::Stable, 80, 0));
    assert_eq!((accepted_rows(&fixture).await, report(&fixture, closed).await.score), (0, score));
    let again = fixture.finished_run(TARGETS, there(&[80, 3389])).await;
    assert_eq!(
        (report(&fixture, again).await.status, states(&fixture).await),
        (Status::Critical, vec![AlertState::Open])
    );
}

#[tokio::test]
async fn what_another_network_knows_of_the_same_port_is_its_own() {
    let (fixture, run) = opened().await;
    let mut foreign = alerts(&fixture).await.remove(0);
    foreign.key = AlertKey { scan: ScanId(2), ..foreign.key };
    let kept = foreign.clone();
    fixture.store.update(move |draft| draft.put(&ALERTS, &foreign.key, &foreign)).await.unwrap();
    step(&fixture, Step::Accept, run, LinePattern::default()).await.unwrap();
    fixture.finished_run(TARGETS, there(&[80])).await;
    fixture.finished_run(TARGETS, vec![]).await;
    assert_eq!(alerts(&fixture).await[1], kept);
}

#[tokio::test]
async fn a_rule_edit_counts_from_the_next_run_on() {
    let (fixture, _) = opened().await;
    let port = crate::rules::port_of("80/tcp").unwrap();
    let rules = fixture.store.read(crate::rules::in_force).await.unwrap();
    assert!(rule_for(&rules, port).is_none());
    let mut edited = rules.clone();
    edited.retain(|rule| rule.port != 3389);
    edited.push(crate::analysis::alert::Rule {
        name: "Web".into(),
        severity: crate::analysis::alert::Severity::Medium,
        protocol: port.protocol,
        port: port.port,
    });
    fixture.store.update(move |draft| draft.put(&crate::store::tables::RULES, &(), &edited)).await.unwrap();
    assert_eq!(states(&fixture).await, [AlertState::Open], "nothing happens by itself");
    fixture.finished_run(TARGETS, there(&[80, 3389])).await;
    let told: Vec<String> =
        alerts(&fixture).await.iter().map(|alert| format!("{} {}", alert.key, alert.state.name())).collect();
    assert_eq!(told, ["1-10.9.0.1-80-tcp-Web open", "1-10.9.0.1-3389-tcp-RDP resolved", "1-10.9.0.2-80-tcp-Web open"]);
}
