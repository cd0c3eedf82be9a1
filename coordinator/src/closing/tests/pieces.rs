//! Small pieces: long reports, damaged rows, people who act meanwhile, and what is left open.

use super::super::ending::Ending;
use super::super::facts::Facts;
use super::super::survey::Survey;
use super::super::{Bounds, close, close_within};
use super::{lines, narrow_run, report};
use crate::analysis::alert::{Alert, AlertState, Rule, Severity};
use crate::analysis::delta::{ChangeKind, NoteKind};
use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host};
use crate::run::Run;
use crate::store::tables::{ACCEPTED, ALERTS, REPORT_PARTS, REPORTS, RULES, RUNS};
use crate::store::{Draft, Reads, StoreError, Table, View};
use crate::verified::Verified;
use protocol::observation::HostObservation;
use protocol::task::RunId;
use std::net::IpAddr;
use std::sync::Arc;

fn some(open: &[u16]) -> Vec<HostObservation> {
    (1..=12).map(|last| host(&format!("10.9.0.{last}"), open)).collect()
}

#[tokio::test]
async fn a_long_report_is_kept_in_parts_and_read_whole() {
    let (short, long) = (Fixture::new().await, Fixture::new().await);
    for (fixture, part) in [(&short, 1_000), (&long, 5)] {
        fixture.finished_run(TARGETS, some(&[80])).await;
        let run = fixture.looked_once(TARGETS, some(&[80, 3389])).await;
        let bounds = Bounds { batch: 7, lines: 1_000, part };
        close_within(&fixture.store, run, NOW, bounds).await.unwrap();
    }
    let run = RunId(2);
    for (fixture, parts) in [(&short, 0), (&long, 2)] {
        assert_eq!(fixture.store.read(|view| Ok(view.iter(&REPORT_PARTS).count())).await.unwrap(), parts);
    }
    let whole = report(&long, run).await;
    assert_eq!((whole.count(ChangeKind::NewPort), &whole), (12, &report(&short, run).await));
    let stored = long.store.read(move |view| view.get(&REPORTS, &run)).await.unwrap().unwrap();
    assert_eq!((stored.report.changes.len(), stored.parts), (5, 2));
}

#[tokio::test]
async fn lines_beyond_the_limit_are_counted_and_the_status_knows_them() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, some(&[80])).await;
    let mut found = some(&[80, 443]);
    found.push(host("10.9.0.13", &[3389]));
    let run = fixture.looked_once(TARGETS, found).await;
    close_within(&fixture.store, run, NOW, Bounds { lines: 1, ..Bounds::default() }).await.unwrap();
    let report = report(&fixture, run).await;
    assert_eq!((report.changes.len(), report.left_out), (1, 1), "443 is not looked for");
    assert_eq!(report.status, crate::analysis::delta::Status::Critical);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_and_never_a_host_that_is_gone() {
    const STAGED_BADLY: Table<(RunId, IpAddr), String> = Table::new(b'o', "staged observations");
    const HISTORY_BADLY: Table<(protocol::task::ScanId, IpAddr, RunId), String> = Table::new(b'h', "host history");
    let address: IpAddr = "10.9.0.6".parse().unwrap();
    for damages_history in [false, true] {
        let fixture = Fixture::new().await;
        let first = fixture.finished_run(TARGETS, some(&[80])).await;
        let run = fixture.looked_once(TARGETS, some(&[80])).await;
        fixture
            .store
            .update(move |draft| {
                let nonsense = "no host at all".to_owned();
                match damages_history {
                    true => draft.put(&HISTORY_BADLY, &(crate::fixture::SCAN, address, first), &nonsense),
                    false => draft.put(&STAGED_BADLY, &(run, address), &nonsense),
                }
            })
            .await
            .unwrap();
        let failed = close(&fixture.store, run, NOW).await;
        assert!(matches!(failed, Err(StoreError::Damaged { .. })), "{failed:?}");
        let none = fixture.store.read(move |view| view.get(&REPORTS, &run)).await.unwrap();
        assert_eq!(none, None);
    }
}

/// The ending of a run whose second look is over, worked out and not stored yet.
async fn worked_out(fixture: &Fixture, run: RunId) -> Ending {
    worked_out_within(fixture, run, Bounds::default()).await
}

async fn worked_out_within(fixture: &Fixture, run: RunId, bounds: Bounds) -> Ending {
    let facts = Arc::new(fixture.store.read(move |view| Facts::read(view, run)).await.unwrap());
    let shared = facts.clone();
    let survey = fixture.store.read(move |view| Survey::of(view, &shared, 100)).await.unwrap();
    Ending::of(&fixture.store, facts, survey, NOW, bounds).await.unwrap().expect("the run is open")
}

#[tokio::test]
async fn a_person_who_acts_while_a_run_is_closed_is_not_overruled() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let run = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let ending = worked_out(&fixture, run).await;
    fixture
        .store
        .update(|draft| {
            let (key, mut alert) = draft.last(&ALERTS)?.expect("SSH has an alert");
            alert.state = AlertState::Ignored;
            draft.put(&ALERTS, &key, &alert)
        })
        .await
        .unwrap();
    assert!(ending.store(&fixture.store, NOW).await.unwrap().is_some(), "nobody starts it over");
    let told = |view: &View| Ok(Verified::of(view, SCAN)?.tell(view.last(&ALERTS)?.expect("SSH has an alert").1));
    let alert = fixture.store.read(told).await.unwrap();
    assert_eq!((alert.state, alert.verified), (AlertState::Ignored, run));
    assert_eq!(report(&fixture, run).await.score.exposure, 0, "an ignored alert costs nothing");
}

#[tokio::test]
async fn an_alert_that_still_holds_is_verified_without_a_row_of_its_own() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.9", &[22, 3389])]).await;
    let rows = |view: &View| view.iter(&ALERTS).collect::<Result<Vec<_>, _>>();
    let before = fixture.store.read(rows).await.unwrap();
    let half = fixture.finished_run("10.9.0.0/29", vec![host("10.9.0.1", &[22])]).await;
    assert_eq!(fixture.store.read(rows).await.unwrap(), before);
    let told = move |view: &View| {
        let verified = Verified::of(view, SCAN)?;
        rows(view).map(|rows| rows.into_iter().map(|(_, alert)| verified.tell(alert).verified).collect::<Vec<_>>())
    };
    assert_eq!(fixture.store.read(told).await.unwrap(), [half, RunId(1), RunId(1)]);
    let whole = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22]), host("10.9.0.9", &[22])]).await;
    let after = fixture.store.read(rows).await.unwrap();
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert_eq!(moved.map(|(_, (key, _))| key.port.port).collect::<Vec<_>>(), [3389], "only what the run ended");
    assert_eq!(fixture.store.read(told).await.unwrap(), [whole; 3]);
}

#[tokio::test]
async fn only_new_rules_and_accepted_cells_start_a_closing_over() {
    type Act = fn(&mut Draft) -> Result<(), StoreError>;
    let rules: Act = |draft| draft.put(&RULES, &(), &Vec::new());
    let accepts: Act = |draft| {
        let key = draft.last(&ALERTS)?.expect("SSH has an alert").0;
        draft.put(&ACCEPTED, &(key.scan, key.address, key.port), &RunId(1))
    };
    for (act, is_over) in [(rules, false), (accepts, false), ((|_| Ok(())) as Act, true)] {
        let fixture = Fixture::new().await;
        fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
        let run = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
        let ending = worked_out(&fixture, run).await;
        fixture.store.update(act).await.unwrap();
        assert_eq!(ending.store(&fixture.store, NOW).await.unwrap().is_some(), is_over);
    }
}

#[tokio::test]
async fn a_decision_about_an_alert_whose_rule_is_renamed_meanwhile_is_handed_on() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let rule = Rule { name: "Shell".into(), severity: Severity::High, protocol: protocol::Protocol::Tcp, port: 22 };
    fixture.store.update(move |draft| draft.put(&RULES, &(), &vec![rule])).await.unwrap();
    let run = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let ending = worked_out(&fixture, run).await;
    let ignore = |draft: &mut Draft| {
        let (key, alert) = draft.last(&ALERTS)?.expect("SSH has an alert");
        draft.put(&ALERTS, &key, &Alert { state: AlertState::Ignored, ..alert })
    };
    fixture.store.update(ignore).await.unwrap();
    assert!(ending.store(&fixture.store, NOW).await.unwrap().is_none(), "it is worked out again");
    close(&fixture.store, run, NOW).await.unwrap();
    let shell = fixture.store.read(|view| view.last(&ALERTS)).await.unwrap().unwrap();
    assert_eq!((shell.0.rule.as_str(), shell.1.state), ("Shell", AlertState::Ignored));
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_it_is_closed_stays_cancelled() {
    let fixture = Fixture::new().await;
    let run = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    let ending = worked_out(&fixture, run).await;
    let cancelled = move |draft: &mut crate::store::Draft| {
        let run = Run { state: crate::run::RunState::Cancelled, ..draft.get(&RUNS, &run)?.unwrap() };
        draft.put(&RUNS, &run.id, &run)
    };
    fixture.store.update(cancelled).await.unwrap();
    assert!(ending.store(&fixture.store, NOW).await.unwrap().is_none());
    let none = fixture.store.read(move |view| view.get(&REPORTS, &run)).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn no_part_of_a_report_is_written_for_a_run_that_was_cancelled_meanwhile() {
    let fixture = Fixture::new().await;
    fixture.finished_run(TARGETS, some(&[80])).await;
    let run = fixture.looked_once(TARGETS, some(&[80, 3389])).await;
    let ending = worked_out_within(&fixture, run, Bounds { part: 5, ..Bounds::default() }).await;
    let cancelled = move |draft: &mut Draft| {
        let run = Run { state: crate::run::RunState::Cancelled, ..draft.get(&RUNS, &run)?.unwrap() };
        draft.put(&RUNS, &run.id, &run)
    };
    fixture.store.update(cancelled).await.unwrap();
    assert!(ending.store(&fixture.store, NOW).await.unwrap().is_none());
    assert_eq!(fixture.store.read(|view| Ok(view.iter(&REPORT_PARTS).count())).await.unwrap(), 0);
}

#[tokio::test]
async fn a_port_of_a_host_whose_life_was_open_is_not_new_later() {
    let cases = [("nobody looked again", None), ("it was there again", Some(vec![host("10.9.0.1", &[80])]))];
    for (name, again) in cases {
        let fixture = Fixture::new().await;
        narrow_run(&fixture, vec![host("10.9.0.1", &[80]), host("10.9.0.2", &[80])]).await;
        let silent = fixture.looked_once(TARGETS, vec![host("10.9.0.2", &[80])]).await;
        fixture.finish(silent, again).await;
        let back = vec![host("10.9.0.1", &[80, 3389]), host("10.9.0.2", &[80])];
        let run = fixture.finished_run(TARGETS, back).await;
        let report = report(&fixture, run).await;
        assert_eq!(lines(&report), Vec::<String>::new(), "{name}: nobody knew whether 3389 was open");
        assert_eq!(report.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [NoteKind::NewlyCovered], "{name}");
    }
}
