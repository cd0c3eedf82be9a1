//! Two documents as two runs of a coordinator that has no nodes, and what changed between them as the API tells it.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

use crate::documents;
use coordinator::config::{Config, StoreConfig};
use coordinator::scan::ScanDraft;
use coordinator::settings::{Settings, Timing};
use coordinator::{Actor, Coordinator, CoordinatorOptions, SetupOptions, setup};
use protocol::task::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The longest that nothing may happen while a run is closed.
const PATIENCE: Duration = Duration::from_secs(600);

/// What comparing two stored runs gave.
#[derive(Deserialize, Serialize)]
pub(crate) struct Compared {
    /// Of each round.
    pub(crate) seconds: Vec<f64>,
    /// Hosts with a change.
    pub(crate) hosts: usize,
    pub(crate) left_out: u64,
}

fn actor() -> Actor {
    Actor::local(0)
}

async fn start(folder: &Path) -> Result<Coordinator, Box<dyn Error>> {
    let options = CoordinatorOptions {
        dir: folder.into(),
        configuration: Config { store: StoreConfig { keep_free_mib: 1 }, ..Config::default() }.into(),
        timing: Timing::default(),
    };
    Ok(Coordinator::start(options).await?)
}

/// Makes a coordinator in `folder` with a scan and a run for each document. It has no nodes, so it scans nothing.
pub(crate) async fn import(folder: &Path, documents: [&str; 2]) -> Result<(), Box<dyn Error>> {
    let settings = Settings { mesh: "127.0.0.1:0".parse()?, ..Settings::default() };
    setup(SetupOptions { dir: folder.into(), settings, admin: None }).await?;
    let coordinator = start(folder).await?;
    let draft = ScanDraft {
        name: "Benchmark".into(),
        targets: documents::NETWORK.into(),
        budget: documents::ADDRESSES.to_string(),
        ..ScanDraft::default()
    };
    let scan = coordinator.create_scan(&actor(), &draft).await?.id;
    for document in documents {
        let began = Instant::now();
        let run = coordinator.import(&actor(), scan, File::open(document)?, true).await?.run.id;
        let stored = began.elapsed().as_secs_f64();
        report_of(&coordinator, run).await?;
        println!("import {stored:.1} s, with its report {:.1} s", began.elapsed().as_secs_f64());
    }
    coordinator.stop().await;
    Ok(())
}

/// Waits until a run has its report.
async fn report_of(coordinator: &Coordinator, run: RunId) -> Result<(), Box<dyn Error>> {
    let mut events = coordinator.events().subscribe(None).live;
    while !coordinator.run(&actor(), run).await?.run.state.is_final() {
        timeout(PATIENCE, events.recv()).await??;
    }
    Ok(())
}

/// The two runs in `folder`, compared as the API does it, so often.
pub(crate) async fn compare(folder: &Path, rounds: usize) -> Result<Compared, Box<dyn Error>> {
    let coordinator = start(folder).await?;
    let runs = coordinator.runs(&actor(), None).await?;
    let [later, earlier] = runs.as_slice() else { return Err("there must be two runs".into()) };
    let mut compared = Compared { seconds: Vec::new(), hosts: 0, left_out: 0 };
    for _ in 0..rounds {
        let began = Instant::now();
        let found = coordinator.compare_runs(&actor(), later.scan, earlier.id, later.id).await?;
        compared.seconds.push(began.elapsed().as_secs_f64());
        compared.hosts = found.changes.iter().map(|change| change.address).collect::<BTreeSet<_>>().len();
        compared.left_out = found.left_out;
    }
    coordinator.stop().await;
    Ok(compared)
}
