//! The pages of scans, runs and the schedule, filled and empty.

use super::super::*;
use super::{NOW, hours};
use crate::faults::Faults;
use crate::filters::Percent;
use crate::look::{Badge, Gauge, Progress, Tone};
use protocol::task::{RunId, ScanId, TaskId};
use std::time::Duration;

type Named = (&'static str, Arc<dyn View>);

pub(super) fn filled(word: &str) -> Vec<Named> {
    let ended = run::RunPage {
        is_live: false,
        may_stop: false,
        origin: run::Origin::Missing { of: RunId(6), targets: "10.9.0.0/24".into(), addresses: 256 },
        retry: run::Retry::Possible,
        ..run(word)
    };
    let imported = run::RunPage {
        origin: run::Origin::Import { is_authoritative: false },
        retry: run::Retry::Done(RunId(9)),
        ..run(word)
    };
    let gone = scan::ScanPage { is_active: false, next: scan::NextRun::Inactive, ..scan(word) };
    vec![
        ("scans", Arc::new(scans(word))),
        ("scan_form-new", Arc::new(scan_form::ScanFormPage { edited: None, ..scan_form(word) })),
        ("scan_form-edit", Arc::new(scan_form(word))),
        ("scan", Arc::new(scan(word))),
        ("scan-inactive", Arc::new(gone)),
        ("scan_deactivate", Arc::new(deactivation(word))),
        ("run", Arc::new(run(word))),
        ("run-ended", Arc::new(ended)),
        ("run-imported", Arc::new(imported)),
        ("schedule", Arc::new(schedule(word))),
        ("scan_check", Arc::new(scan_check::ScanCheck { faults: vec![word.into()], sum: None })),
    ]
}

pub(super) fn empty() -> Vec<Named> {
    let none = |filter| scans::Scans { scans: vec![], total: 0, filter, may_run: true };
    let filter = scans::Filter { text: "Office".into(), ..scans::Filter::default() };
    let new = scan::ScanPage { runs: vec![], results: None, warning: None, ..scan("Office") };
    let queued = run::RunPage { nodes: vec![], tasks: run::Tasks::default(), missing: vec![], ..run("Office") };
    vec![
        ("scans", Arc::new(none(scans::Filter::default()))),
        ("scans-filtered", Arc::new(none(filter))),
        ("scan_form", Arc::new(scan_form::ScanFormPage::default())),
        ("scan", Arc::new(new)),
        ("run", Arc::new(queued)),
        ("schedule", Arc::new(schedule::Schedule { jobs: vec![], may_reload: true, reloaded: Some(0) })),
    ]
}

fn scans(word: &str) -> scans::Scans {
    let row = |state, is_active| scans::ScanRow {
        path: "/scans/1".into(),
        name: word.into(),
        is_active,
        is_running: false,
        targets: "192.168.10.0/24".parse().unwrap(),
        addresses: 256,
        ports: "T:22,80,443".into(),
        last: Some(scans::LastRun { path: "/runs/7".into(), state, time: NOW.minus(hours(5)) }),
        next: if is_active { scan::NextRun::At(NOW.plus(hours(19))) } else { scan::NextRun::Inactive },
        gauge: is_active.then_some(Gauge { score: 85, coverage: Percent(94) }),
    };
    let scans = vec![
        row(Badge::plain(Tone::Ok, "circle-check", "completed"), true),
        row(Badge::plain(Tone::Low, "loader-circle", "running"), false),
    ];
    let filter = scans::Filter { text: word.into(), inactive: "1".into(), ..scans::Filter::default() };
    scans::Scans { scans, total: 5, filter, may_run: true }
}

fn scan_form(word: &str) -> scan_form::ScanFormPage {
    let mut faults = Faults::default();
    faults.add("name", word);
    faults.add("targets", word);
    let form = scan_form::ScanForm {
        name: word.into(),
        targets: word.into(),
        args: word.into(),
        interval: word.into(),
        scheduled: true,
        ..Default::default()
    };
    let edited = scan_form::Edited { id: ScanId(1), name: word.into(), open_run: Some(RunId(8)) };
    scan_form::ScanFormPage { form, faults, edited: Some(edited) }
}

fn deactivation(word: &str) -> scan::actions::Deactivation {
    let next = scan::NextRun::At(NOW.plus(hours(19)));
    scan::actions::Deactivation { id: ScanId(1), name: word.into(), open_run: Some(RunId(8)), next }
}

fn found(word: &str) -> found::Found {
    let ports = vec![found::OpenPort { number: "443/tcp".into(), service: word.into() }];
    let host = found::HostRow { address: "192.168.10.4".into(), names: word.into(), ports };
    let next = Some("192.168.10.4".parse().unwrap());
    found::Found { path: "/scans/1".into(), rows: vec![host], is_later: true, next }
}

fn scan(word: &str) -> scan::ScanPage {
    let run = |id, state, running: bool| scan::RunRow {
        id: RunId(id),
        state,
        reason: if running { String::new() } else { word.into() },
        trigger: word.into(),
        started: NOW.minus(hours(5)),
        took: (!running).then_some(Duration::from_secs(128)),
        hosts: Some(17),
        coverage: Some(Percent(94)),
        has_report: !running,
    };
    let results = scan::Results {
        run: RunId(7),
        time: NOW.minus(hours(5)),
        hosts: 17,
        coverage: Percent(94),
        found: found(word),
    };
    scan::ScanPage {
        id: ScanId(1),
        name: word.into(),
        description: word.into(),
        is_active: true,
        may_operate: true,
        open_run: None,
        targets: "192.168.10.0/24".into(),
        addresses: 250,
        exclusions: "192.168.10.1-192.168.10.6".into(),
        ports: "T:22,80,443".into(),
        args: word.into(),
        engine: "auto",
        site: word.into(),
        budget: 65_536,
        special: true,
        cadence: Some(word.into()),
        scheduled: true,
        next: scan::NextRun::At(NOW.plus(hours(19))),
        warning: Some(scan::Warning { run: RunId(7), state: "partial", reason: word.into() }),
        runs: vec![
            run(8, Badge::plain(Tone::Low, "loader-circle", "running"), true),
            run(7, Badge::plain(Tone::High, "triangle-alert", "partial"), false),
        ],
        results: Some(results),
    }
}

fn run(word: &str) -> run::RunPage {
    let node = |state, running| run::NodeRow {
        label: word.into(),
        state: Some(state),
        running,
        done: 3,
        failed: 1,
        addresses: 112,
        hosts: 9,
        heard: Some(NOW.minus(Duration::from_secs(4))),
    };
    let gap =
        run::Gap { targets: "10.9.0.0/24".into(), addresses: 256, reason: "no approved node has them in its ranges" };
    run::RunPage {
        id: RunId(8),
        scan: ScanId(1),
        scan_name: word.into(),
        cause: format!("started by {word}"),
        origin: run::Origin::Whole,
        is_live: true,
        may_stop: true,
        state: Badge::plain(Tone::Low, "contrast", "running"),
        phase: "scanning",
        progress: Progress {
            label: "Addresses done".into(),
            percent: Percent(44),
            count: "112 of 256 addresses".into(),
        },
        hosts: 9,
        created: NOW.minus(Duration::from_secs(48)),
        elapsed: Duration::from_secs(44),
        left: Some(Duration::from_secs(62)),
        has_report: false,
        reason: word.into(),
        missing: vec![gap],
        retry: run::Retry::After(RunId(9)),
        nodes: vec![
            node(Badge::presence(true, true), 2),
            node(Badge::plain(Tone::High, "triangle-alert", "no word for 2 min"), 1),
        ],
        found: found(word),
        tasks: tasks(word),
    }
}

fn tasks(word: &str) -> run::Tasks {
    let task = |index, state| run::TaskRow {
        id: TaskId { run: RunId(8), index },
        is_second_look: index > 50,
        targets: "192.168.10.0-192.168.10.127".into(),
        ports: "T:22".into(),
        state,
        why: word.into(),
        node: word.into(),
        lease: 4,
        leased: Some(NOW.minus(Duration::from_secs(40))),
        attempts: 1,
        progress: Some(Percent(44)),
        took: None,
    };
    let rows = vec![
        task(50, Badge::plain(Tone::Low, "loader-circle", "leased")),
        task(51, Badge::plain(Tone::Muted, "clock", "waiting")),
    ];
    run::Tasks { total: 120, rows, first: Some(50), earlier: Some(0), later: Some(100) }
}

fn schedule(word: &str) -> schedule::Schedule {
    let job = |state, fault| schedule::JobRow {
        scan: Some(ScanId(1)),
        name: word.into(),
        wakes: Some(NOW.plus(hours(19))),
        due: Some(NOW.plus(hours(19))),
        woken: None,
        state,
        fault,
    };
    let jobs = vec![
        job(Badge::plain(Tone::Critical, "circle-alert", "differs"), "it wakes, but no scan is due"),
        job(Badge::plain(Tone::Ok, "circle-check", "held"), ""),
    ];
    schedule::Schedule { jobs, may_reload: true, reloaded: Some(1) }
}
