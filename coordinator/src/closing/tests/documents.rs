//! Runs that a document of another scanner made: nobody can look again.

use super::{lines, report};
use crate::analysis::alert::AlertState;
use crate::analysis::delta::NoteKind;
use crate::closing::{Closing, close};
use crate::fixture::{Fixture, NOW, TARGETS, host};
use crate::run::Trigger;
use crate::store::Reads;
use crate::store::tables::{ALERTS, RUNS};
use protocol::observation::{HostObservation, PortObservation, PortState};
use protocol::task::RunId;

/// A network is known, and a document says something else of it.
async fn imported(fixture: &Fixture, authoritative: bool) -> RunId {
    let known = vec![host("10.9.0.1", &[22, 80]), host("10.9.0.2", &[3389]), host("10.9.0.3", &[80])];
    fixture.finished_run(TARGETS, known).await;
    let closed = |port: PortObservation| PortObservation { state: PortState::Closed, ..port };
    let first = host("10.9.0.1", &[22, 80]);
    let ports = first.ports.clone().into_iter().map(|port| if port.port == 22 { closed(port) } else { port });
    let found = vec![HostObservation { ports: ports.collect(), ..first }, host("10.9.0.4", &[80])];
    let run = fixture.looked_once(TARGETS, found).await;
    fixture
        .store
        .update(move |draft| {
            let mut record = draft.get(&RUNS, &run)?.unwrap();
            record.trigger = Trigger::Import { by: "ada".into(), authoritative };
            draft.put(&RUNS, &run, &record)
        })
        .await
        .unwrap();
    let closing = close(&fixture.store, run, NOW).await.unwrap();
    assert!(matches!(closing, Closing::Closed { .. }), "nobody looks again");
    run
}

async fn alerts(fixture: &Fixture) -> Vec<(u16, AlertState)> {
    let read = |view: &crate::store::View| {
        view.iter(&ALERTS).map(|row| row.map(|(key, alert)| (key.port.port, alert.state))).collect()
    };
    fixture.store.read(read).await.unwrap()
}

#[tokio::test]
async fn what_a_document_does_not_show_is_unconfirmed_and_resolves_nothing() {
    let fixture = Fixture::new().await;
    let run = imported(&fixture, false).await;
    let found = report(&fixture, run).await;
    assert_eq!(lines(&found), ["NewHost 10.9.0.4 0", "NewPort 10.9.0.4 80"]);
    assert!(found.notes.iter().all(|note| note.kind == NoteKind::Unconfirmed) && found.notes.len() == 5);
    let states = alerts(&fixture).await;
    assert!(states.iter().all(|(_, state)| *state == AlertState::Open) && states.len() == 3, "{states:?}");
}

#[tokio::test]
async fn what_a_document_does_not_show_is_gone_when_its_silence_is_said_to_be_proof() {
    let fixture = Fixture::new().await;
    let run = imported(&fixture, true).await;
    let found = report(&fixture, run).await;
    let gone =
        ["RemovedHost 10.9.0.2 0", "ClosedPort 10.9.0.2 3389", "RemovedHost 10.9.0.3 0", "ClosedPort 10.9.0.3 80"];
    let expected = [&["ClosedPort 10.9.0.1 22"][..], &gone, &["NewHost 10.9.0.4 0", "NewPort 10.9.0.4 80"]].concat();
    assert_eq!((lines(&found), found.notes.len()), (expected.iter().map(ToString::to_string).collect(), 0));
    let over: Vec<u16> = alerts(&fixture)
        .await
        .into_iter()
        .filter(|(_, state)| *state == AlertState::Resolved)
        .map(|(port, _)| port)
        .collect();
    assert_eq!(over, [22, 3389]);
}
