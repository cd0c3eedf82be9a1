//! What becomes of a scan that is edited, copied and switched, on a real coordinator; and that no edit fakes a change.

use super::*;
use crate::accounts::Role;
use crate::analysis::alert::AlertState;
use crate::analysis::delta::ChangeKind;
use crate::fixture::{Fixture, NOW, SCAN, host, result};
use crate::report::Report;
use crate::settings::{Settings, Timing};
use crate::store::tables::{ALERTS, AUDIT};
use crate::{CoordinatorOptions, SetupOptions};
use protocol::observation::HostObservation;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

async fn coordinator() -> (Coordinator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, loopback) = (folder.path().join("data"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = Settings { mesh: loopback, advertised: Vec::new(), http: loopback };
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    let options = CoordinatorOptions {
        dir,
        mesh: None,
        http: None,
        timing: Timing::default(),
        keep_free: crate::KeepFree::default(),
        mail: None,
    };
    (Coordinator::start(options).await.unwrap(), folder)
}

fn actor(role: Role) -> Actor {
    Actor::new("ada".into(), role)
}

fn draft(name: &str) -> ScanDraft {
    ScanDraft {
        name: name.into(),
        targets: "127.0.10.0/28".into(),
        ports: "22,80".into(),
        interval: "60".into(),
        scheduled: true,
        ..ScanDraft::default()
    }
}

async fn actions(coordinator: &Coordinator) -> Vec<String> {
    let read = |view: &crate::store::View| -> Result<Vec<String>, StoreError> {
        view.iter(&AUDIT).map(|row| row.map(|(_, entry)| format!("{}: {}", entry.action, entry.subject))).collect()
    };
    let mut all = coordinator.store().read(read).await.unwrap();
    all.retain(|line| line.starts_with("scan ") || line.starts_with("jobs "));
    all
}

#[tokio::test]
async fn a_scan_is_edited_copied_switched_off_and_on_and_each_step_is_audited() {
    let (coordinator, _folder) = coordinator().await;
    let ada = actor(Role::Operator);
    let office = coordinator.create_scan(&ada, &draft("Office")).await.unwrap();
    let next = office.next_due;
    let edit = ScanDraft { description: "ground floor".into(), ..draft("Office") };
    assert_eq!(coordinator.edit_scan(&ada, office.id, &edit).await.unwrap().next_due, next, "it stays where it was");
    coordinator.edit_scan(&ada, office.id, &edit).await.unwrap();
    let daily = ScanDraft { interval: String::new(), cron: "0 2 * * *".into(), ..edit };
    let edited = coordinator.edit_scan(&ada, office.id, &daily).await.unwrap();
    assert_eq!(edited.next_due, edited.definition.cadence().unwrap().cron().unwrap().first_after(Timestamp::now()));

    let copy = coordinator.duplicate_scan(&ada, office.id).await.unwrap();
    assert_eq!(
        (copy.definition.name().as_str(), copy.definition.scheduled(), copy.next_due),
        ("Office copy", false, None)
    );
    assert_eq!(copy.definition.cadence(), edited.definition.cadence());
    let second = coordinator.duplicate_scan(&ada, office.id).await.unwrap();
    assert_eq!(second.definition.name().as_str(), "Office copy 2");

    let off = coordinator.schedule_scan(&ada, office.id, false).await.unwrap();
    assert_eq!((off.next_due, off.definition.cadence().is_some()), (None, true));
    assert!(coordinator.schedule_scan(&ada, office.id, true).await.unwrap().next_due.is_some());
    assert_eq!(coordinator.deactivate_scan(&ada, office.id).await.unwrap().next_due, None);
    assert_eq!(
        (coordinator.scans(&ada).await.unwrap().len(), coordinator.every_scan(&ada).await.unwrap().len()),
        (2, 3)
    );
    let refused = coordinator.start_run(&ada, office.id).await.unwrap_err().to_string();
    assert_eq!(refused, "scan 1 is deactivated; activate it first");
    assert!(coordinator.activate_scan(&ada, office.id).await.unwrap().next_due.is_some());
    assert_eq!(coordinator.jobs(&ada).await.unwrap().len(), 1);
    assert_eq!(coordinator.reload_jobs(&actor(Role::Admin)).await.unwrap().differed, []);
    insta::assert_snapshot!(actions(&coordinator).await.join("\n"), @"
    scan create: 1 Office
    scan edit: 1 Office
    scan edit: 1 Office
    scan duplicate: 2 Office copy
    scan duplicate: 3 Office copy 2
    scan schedule off: 1 Office
    scan schedule on: 1 Office
    scan deactivate: 1 Office
    scan activate: 1 Office
    jobs reload: all
    ");
    coordinator.stop().await;
}

#[tokio::test]
async fn two_active_scans_never_share_a_name() {
    let (coordinator, _folder) = coordinator().await;
    let ada = actor(Role::Operator);
    let first = coordinator.create_scan(&ada, &draft("Office")).await.unwrap();
    let taken = "name: scan 1 has this name already; choose another one";
    let refused = |made: Result<Scan, UseCaseError>| made.unwrap_err().to_string();
    assert_eq!(refused(coordinator.create_scan(&ada, &draft(" office")).await), taken);
    let check = async |edited| coordinator.check_scan(&ada, &draft("OFFICE"), edited).await.unwrap().name_taken;
    assert_eq!((check(None).await, check(Some(first.id)).await), (Some(ScanId(1)), None));
    coordinator.deactivate_scan(&ada, first.id).await.unwrap();
    let second = coordinator.create_scan(&ada, &draft("Office")).await.unwrap();
    let taken = "name: scan 2 has this name already; choose another one";
    assert_eq!(refused(coordinator.activate_scan(&ada, first.id).await), taken);
    coordinator.edit_scan(&ada, second.id, &draft("Office 2")).await.unwrap();
    assert!(coordinator.activate_scan(&ada, first.id).await.unwrap().active);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_check_names_the_next_runs_and_changes_nothing() {
    let (coordinator, _folder) = coordinator().await;
    let ada = actor(Role::Operator);
    let scan = coordinator.create_scan(&ada, &draft("Office")).await.unwrap();
    let kept = coordinator.check_scan(&ada, &draft("Office"), Some(scan.id)).await.unwrap();
    let hours = |count: u64| scan.next_due.unwrap().plus(Duration::from_secs(count * 3_600));
    assert_eq!(kept.coming, [hours(0), hours(1), hours(2)]);
    assert_eq!((kept.addresses, kept.ports, kept.uncovered.count()), (16, Some(2), 16));
    let daily =
        ScanDraft { interval: String::new(), cron: "0 2 * * *".into(), zone: "Europe/Berlin".into(), ..draft("x") };
    assert_eq!(coordinator.check_scan(&ada, &daily, None).await.unwrap().coming.len(), 3);
    let by_hand = ScanDraft { scheduled: false, ..draft("x") };
    assert_eq!(coordinator.check_scan(&ada, &by_hand, None).await.unwrap().coming, []);
    let gone = coordinator.check_scan(&ada, &draft("x"), Some(ScanId(9))).await;
    assert!(matches!(gone, Err(UseCaseError::NotFound(..))), "{gone:?}");
    assert_eq!(coordinator.scan(&ada, scan.id).await.unwrap().scan, scan);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_run_under_way_keeps_the_definition_it_was_started_with() {
    let (coordinator, _folder) = coordinator().await;
    let ada = actor(Role::Operator);
    let scan = coordinator.create_scan(&ada, &draft("Office")).await.unwrap();
    let run = coordinator.start_run(&ada, scan.id).await.unwrap();
    coordinator.edit_scan(&ada, scan.id, &ScanDraft { ports: "443".into(), ..draft("Office") }).await.unwrap();
    coordinator.deactivate_scan(&ada, scan.id).await.unwrap();
    let kept = coordinator.run(&ada, run.id).await.unwrap().run;
    assert_eq!((kept.definition, kept.state.is_final()), (scan.definition, false));
    assert_eq!(coordinator.scan(&ada, scan.id).await.unwrap().open_run, Some(run.id), "it ends as it would");
    coordinator.stop().await;
}

#[tokio::test]
async fn only_operators_change_scans_and_only_administrators_reload() {
    let (coordinator, _folder) = coordinator().await;
    let scan = coordinator.create_scan(&actor(Role::Admin), &draft("Office")).await.unwrap();
    for role in [Role::Viewer, Role::Approver] {
        let eve = actor(role);
        let refused = [
            coordinator.create_scan(&eve, &draft("x")).await,
            coordinator.edit_scan(&eve, scan.id, &draft("x")).await,
            coordinator.duplicate_scan(&eve, scan.id).await,
            coordinator.activate_scan(&eve, scan.id).await,
            coordinator.deactivate_scan(&eve, scan.id).await,
            coordinator.schedule_scan(&eve, scan.id, false).await,
        ];
        assert!(refused.iter().all(|done| matches!(done, Err(UseCaseError::Forbidden(_)))), "{refused:?}");
    }
    let reload = coordinator.reload_jobs(&actor(Role::Operator)).await;
    assert!(matches!(reload, Err(UseCaseError::Forbidden(_))), "{reload:?}");
    assert_eq!(coordinator.scan(&actor(Role::Viewer), scan.id).await.unwrap().scan, scan);
    coordinator.stop().await;
}

#[tokio::test]
async fn a_scan_with_runs_stays_at_its_site() {
    let fixture = Fixture::new().await;
    let refused = |reads: &crate::store::View| {
        let before = reads.get(&SCANS, &SCAN)?.expect("the fixture's scan");
        let mut after = before.clone();
        let moved = ScanDraft { site: "annex".into(), ..draft("Office") }.check().unwrap();
        after.redefine(moved.clone(), NOW);
        let checked = reach(reads, moved, Some(SCAN), NOW).err().map(|error| error.to_string());
        let saved = refuse_other_site(reads, &before, &after).err().map(|error| error.to_string());
        assert_eq!(checked, saved, "what is checked and what is saved say the same");
        after.redefine(draft("Plant").check().unwrap(), NOW);
        assert!(refuse_other_site(reads, &before, &after).is_ok(), "all else may change");
        Ok(saved)
    };
    assert_eq!(fixture.store.read(refused).await.unwrap(), None, "nothing has been looked at yet");
    let run = fixture.looked_once("10.9.0.0/28", vec![host("10.9.0.1", &[80])]).await;
    let said = fixture.store.read(refused).await.unwrap().unwrap();
    assert!(said.contains("site main") && said.contains("duplicate the scan"), "{said}");
    fixture.finish(run, None).await;
    assert_eq!(fixture.store.read(refused).await.unwrap(), Some(said), "it has a report");
}

#[tokio::test]
async fn an_edit_to_another_site_names_the_field() {
    let (coordinator, _folder) = coordinator().await;
    let ada = actor(Role::Operator);
    let office = coordinator.create_scan(&ada, &draft("Office")).await.unwrap();
    let annex = ScanDraft { site: "annex".into(), ..draft("Office") };
    coordinator.edit_scan(&ada, office.id, &annex).await.unwrap();
    let (id, who) = (office.id, ada.clone());
    let queued = coordinator.store().update(move |draft| {
        let trigger = crate::run::Trigger::Person(who.name);
        crate::use_case::runs::queue(draft, id, trigger, NOW)
    });
    queued.await.unwrap();
    for refused in [
        coordinator.edit_scan(&ada, office.id, &draft("Office")).await.err(),
        coordinator.check_scan(&ada, &draft("Office"), Some(office.id)).await.err(),
    ] {
        let Some(UseCaseError::Draft(error)) = &refused else { panic!("{refused:?}") };
        assert_eq!(error.0.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [ScanField::Site]);
    }
    coordinator.stop().await;
}

/// Edits the fixture's scan, runs it to its end over all that it now asks for, and gives the report.
async fn edited_run(fixture: &Fixture, targets: &str, ports: &str, hosts: Vec<HostObservation>) -> Report {
    let text = ScanDraft { name: "Office".into(), targets: targets.into(), ports: ports.into(), ..Default::default() };
    let definition = text.check().unwrap();
    let edited = fixture.store.update(move |draft| {
        let mut scan = draft.get(&SCANS, &SCAN)?.expect("the fixture's scan");
        scan.redefine(definition, NOW);
        draft.put(&SCANS, &SCAN, &scan)
    });
    edited.await.unwrap();
    let task = fixture.leased_run().await;
    let mut seen = result(task, 1, targets, hosts.clone());
    seen.coverage.probed.iter_mut().for_each(|cells| cells.ports = ports.parse().unwrap());
    crate::intake::take(&fixture.store, fixture.node, seen, NOW).await.unwrap();
    fixture.finish(task.run, Some(hosts)).await;
    fixture.store.read(move |view| crate::report::read(view, task.run)).await.unwrap().expect("a report")
}

#[tokio::test]
async fn narrowing_and_widening_a_scan_never_fakes_a_change() {
    let fixture = Fixture::new().await;
    let all = vec![host("10.9.0.1", &[22, 80]), host("10.9.0.9", &[3389])];
    edited_run(&fixture, "10.9.0.0/28", "22,80,3389", all.clone()).await;

    let narrow = edited_run(&fixture, "10.9.0.0/29", "80", vec![host("10.9.0.1", &[80])]).await;
    assert_eq!(narrow.changes, [], "a host and a port were only not asked for");
    let states = fixture.store.read(|view| view.iter(&ALERTS).map(|row| row.map(|(_, alert)| alert.state)).collect());
    let states: Vec<AlertState> = states.await.unwrap();
    assert_eq!(states, [AlertState::Open, AlertState::Open], "silence resolves nothing");

    let other = edited_run(&fixture, "10.9.0.8/29", "3389", vec![host("10.9.0.9", &[3389])]).await;
    assert_eq!(other.changes, [], "what was there before is compared with what was seen then");
    let wider = vec![host("10.9.0.1", &[22, 80, 443]), host("10.9.0.9", &[3389])];
    let wide = edited_run(&fixture, "10.9.0.0/28", "22,80,443,3389", wider).await;
    assert_eq!(wide.changes, [], "443 is newly covered, not new");

    let true_change = vec![host("10.9.0.1", &[80, 443]), host("10.9.0.9", &[3389])];
    let last = edited_run(&fixture, "10.9.0.0/28", "22,80,443,3389", true_change).await;
    let kinds: Vec<ChangeKind> = last.changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::ClosedPort], "and what really changed is still seen");
}
