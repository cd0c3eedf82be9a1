//! What changed between two stored runs, against `ndiff` on the documents that they came from.
//!
//! `cargo bench --bench delta` makes two documents (100,000 hosts with 20 ports each, two in a hundred hosts differ) in a
//! folder of its own, imports them into a coordinator that has no nodes, and lets a process of its own open that store
//! and compare the two runs three times. ndiff compares the documents once: that takes minutes and several GiB. Needs
//! ndiff and python3. `cargo bench --bench delta -- 5000` takes another number of hosts; the tests run it small.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "ndiff/documents.rs"]
mod documents;
#[path = "ndiff/process.rs"]
mod process;

use coordinator::scan::ScanDraft;
use coordinator::settings::{Settings, Timing};
use coordinator::{Actor, Coordinator, CoordinatorOptions, SetupOptions, setup};
use documents::{Fleet, Side};
use process::{NDIFF, Taken, demand, measure, median};
use protocol::task::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{File, read_to_string};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const ROUNDS: usize = 3;
const HOSTS: u32 = 100_000;
/// The argument that makes this program the measured process; the data folder follows.
const COMPARE: &str = "--compare-stored-runs";
/// The longest that nothing may happen while a run is closed.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the measured process found.
#[derive(Deserialize, Serialize)]
struct Compared {
    /// Of each round.
    seconds: Vec<f64>,
    /// Hosts with a change.
    hosts: usize,
    left_out: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(folder) = std::env::args().skip_while(|argument| argument != COMPARE).nth(1) {
        let compared = runtime.block_on(compare(Path::new(&folder)))?;
        println!("{}", serde_json::to_string(&compared)?);
        return Ok(());
    }
    let hosts = process::size(HOSTS);
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let a = documents::file(folder.path(), hosts, Fleet::Alike, Side::Before)?;
    let b = documents::file(folder.path(), hosts, Fleet::Alike, Side::After)?;
    println!("two runs of {hosts} hosts x 20 ports; {ROUNDS} rounds of ours, one of ndiff");
    runtime.block_on(import(Path::new(&at("data")), [&a, &b]))?;
    let program = std::env::current_exe()?.display().to_string();
    let ours = measure(&at("ours.json"), &[&program, COMPARE, &at("data")])?;
    let compared: Compared = serde_json::from_str(&read_to_string(at("ours.json"))?)?;
    let theirs = measure(&at("theirs.xml"), &[NDIFF, "--xml", &a, &b])?;
    let differing = read_to_string(at("theirs.xml"))?.matches("<hostdiff>").count();
    let expected = (documents::differing(hosts), documents::differing(hosts), 0);
    let found = (compared.hosts, differing, compared.left_out);
    if found != expected {
        return Err(format!("hosts that we find, that ndiff finds, lines left out: {found:?}, not {expected:?}").into());
    }
    println!("both find the same number of hosts that differ: {differing}");
    tell(hosts, &compared, ours, theirs)
}

fn tell(hosts: u32, compared: &Compared, ours: Taken, theirs: Taken) -> Result<(), Box<dyn Error>> {
    let faster = theirs.elapsed / median(compared.seconds.iter().copied());
    println!("time:   the delta is {faster:.0} times faster than ndiff");
    println!("memory: {:.1} MiB, 1/{:.0} of ndiff's", ours.peak_kib / 1_024.0, theirs.peak_kib / ours.peak_kib);
    println!("the delta {:.3?} s", compared.seconds);
    println!("all of it {ours}: start, open the store, {ROUNDS} deltas, stop");
    println!("ndiff     {theirs}");
    let is_held = faster >= 100.0 && ours.peak_kib < 200.0 * 1_024.0;
    demand(hosts < HOSTS || is_held, "100 times faster than ndiff, below 200 MiB")
}

fn actor() -> Actor {
    Actor::local(0)
}

async fn start(folder: &Path) -> Result<Coordinator, Box<dyn Error>> {
    let options = CoordinatorOptions {
        dir: folder.into(),
        mesh: None,
        http: None,
        timing: Timing::default(),
        keep_free: coordinator::KeepFree::default(),
        mail: None,
    };
    Ok(Coordinator::start(options).await?)
}

/// Makes a coordinator in `folder` with a scan and a run for each document. It has no nodes, so it scans nothing.
async fn import(folder: &Path, documents: [&str; 2]) -> Result<(), Box<dyn Error>> {
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

/// The two runs in `folder`, compared as the API does it.
async fn compare(folder: &Path) -> Result<Compared, Box<dyn Error>> {
    let coordinator = start(folder).await?;
    let runs = coordinator.runs(&actor(), None).await?;
    let [later, earlier] = runs.as_slice() else { return Err("there must be two runs".into()) };
    let mut compared = Compared { seconds: Vec::new(), hosts: 0, left_out: 0 };
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found = coordinator.compare_runs(&actor(), later.scan, earlier.id, later.id).await?;
        compared.seconds.push(began.elapsed().as_secs_f64());
        compared.hosts = found.changes.iter().map(|change| change.address).collect::<BTreeSet<_>>().len();
        compared.left_out = found.left_out;
    }
    coordinator.stop().await;
    Ok(compared)
}
