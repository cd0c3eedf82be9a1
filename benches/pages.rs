//! How long pages take with years of data behind them.
//!
//! `cargo bench --bench pages` imports 20 runs of 10,000 hosts with 10 open ports each into a coordinator of its own, starts
//! the real program on that data and signs in. It follows every link from the first page on, asks for pages of each kind
//! several times, and then again while one run after the other is taken in. It ends with a table for the README.
//! `cargo bench --bench pages -- 2000` takes another number of hosts; the tests run it small.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "pages/browser.rs"]
mod browser;
#[path = "pages/fleet.rs"]
mod fleet;
#[path = "ndiff/process.rs"]
#[expect(dead_code, reason = "the other benchmarks measure whole processes with it")]
mod process;
#[path = "fleet/services.rs"]
mod services;
#[path = "pages/table.rs"]
mod table;

use browser::Browser;
use coordinator::config::Configuration;
use coordinator::scan::ScanDraft;
use coordinator::settings::{Settings, Timing};
use coordinator::{Actor, Coordinator, CoordinatorOptions, SetupOptions, setup};
use process::{demand, size};
use protocol::task::RunId;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::timeout;

type Outcome<T> = Result<T, Box<dyn Error>>;

const HOSTS: u32 = 10_000;
const RUNS: u32 = 20;
/// How often each page is asked for.
const ROUNDS: usize = 15;
/// How often while runs are taken in, at least.
const BUSY_ROUNDS: usize = 5;
/// The most runs that are taken in while pages are asked for.
const MOST_TAKEN: u32 = 100;
/// The longest that nothing may happen while a run is closed.
const PATIENCE: Duration = Duration::from_secs(600);
const PASSWORD: &str = "correct horse battery staple";

fn main() -> Outcome<()> {
    let hosts = size(HOSTS);
    let (runs, rounds) = if hosts < 1_000 { (3, 2) } else { (RUNS, ROUNDS) };
    tokio::runtime::Runtime::new()?.block_on(bench(hosts, runs, rounds))
}

async fn bench(hosts: u32, runs: u32, rounds: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("hub");
    println!("{runs} runs of {hosts} hosts x {} ports", services::SERVICES.len());
    fill(&data, hosts, runs).await?;
    let mut served = Served::start(&data)?;
    let browser = Browser::sign_in(&served.address, "ada", PASSWORD).await?;
    let pages = browser.explore(runs).await?;
    let quiet = browser.time(&pages, rounds).await?;
    table::tell("quiet", &quiet);
    let resident_quiet = served.peak_mib()?;
    let mut busy = browser::unvisited(&pages);
    let began = Instant::now();
    let (mut taken, mut resident_first) = (0, 0.0);
    while taken < MOST_TAKEN && busy.iter().any(|page| page.times.len() < rounds.min(BUSY_ROUNDS)) {
        let document = fleet::document(hosts, runs + taken);
        browser.time_until(&mut busy, browser.import(1, document), PATIENCE).await?;
        taken += 1;
        if taken == 1 {
            resident_first = served.peak_mib()?;
        }
    }
    table::tell("while runs are taken in", &busy);
    println!("{taken} runs were taken in, each within {:.1} s", began.elapsed().as_secs_f64() / f64::from(taken));
    let resident = served.peak_mib()?;
    println!(
        "memory at most: {resident_quiet:.0} MiB while quiet, {resident_first:.0} MiB until one run was taken in, \
        {resident:.0} MiB in all"
    );
    table::print(&quiet, &busy);
    served.stop()?;
    let is_held = [&quiet, &busy].into_iter().all(|seen| {
        let (medians, p95) = (table::slowest(seen), browser::percentile(seen, 95));
        medians < 50.0 && p95 < 150.0 && seen.iter().all(|page| page.bytes < 300_000)
    });
    let is_small = resident_first < 150.0;
    demand(hosts < HOSTS || is_held, "each page's median below 50 ms and 300 kB, 95 of 100 below 150 ms")?;
    demand(hosts < HOSTS || is_small, "below 150 MiB resident")
}

/// Makes a coordinator in `folder` with one network and its runs. It has no nodes, so it scans nothing.
async fn fill(folder: &Path, hosts: u32, runs: u32) -> Outcome<()> {
    let settings = Settings { mesh: "127.0.0.1:0".parse()?, ..Settings::default() };
    let admin = Some(("ada".to_owned(), PASSWORD.to_owned()));
    setup(SetupOptions { dir: folder.into(), settings, admin }).await?;
    let options =
        CoordinatorOptions { dir: folder.into(), configuration: Configuration::default(), timing: Timing::default() };
    let coordinator = Coordinator::start(options).await?;
    let actor = Actor::local(0);
    let draft = ScanDraft {
        name: "Benchmark".into(),
        targets: fleet::NETWORK.into(),
        budget: fleet::ADDRESSES.to_string(),
        ..ScanDraft::default()
    };
    let scan = coordinator.create_scan(&actor, &draft).await?.id;
    let began = Instant::now();
    for number in 0..runs {
        let document = std::io::Cursor::new(fleet::document(hosts, number));
        let run = coordinator.import(&actor, scan, document, true).await?.run.id;
        report_of(&coordinator, &actor, run).await?;
    }
    println!("made in {:.1} s", began.elapsed().as_secs_f64());
    coordinator.stop().await;
    Ok(())
}

/// Waits until a run has its report.
async fn report_of(coordinator: &Coordinator, actor: &Actor, run: RunId) -> Outcome<()> {
    let mut events = coordinator.events().subscribe(None).live;
    while !coordinator.run(actor, run).await?.run.state.is_final() {
        timeout(PATIENCE, events.recv()).await??;
    }
    Ok(())
}

/// The real program over a data folder; it is stopped when dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(data: &Path) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portdrift"));
        command.args(["coordinator", "run", "--http", "127.0.0.1:0", "--dir"]).arg(data);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let out = child.stdout.take().ok_or("no output")?;
        let mut started = Self { child, address: String::new() };
        for line in BufReader::new(out).lines() {
            let line = line?;
            if let Some((_, address)) = line.split_once("http://") {
                started.address = format!("http://{}", address.trim());
            }
            if line.starts_with("ready") {
                return Ok(started);
            }
        }
        Err("the coordinator did not start".into())
    }

    /// The most memory that it held so far.
    fn peak_mib(&self) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
    }

    fn stop(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended is no fault here.
        let _ended = self.stop();
    }
}
