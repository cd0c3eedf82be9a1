//! How time and memory grow with hosts, ports, runs and nodes, and the plots of it.
//!
//! `cargo bench --bench growth` lets a coordinator in a process of its own take in and compare runs of more and more hosts,
//! of more and more ports a host, and more and more runs; and be there for more and more nodes, which it hears every ten
//! seconds. It prints how straight each line is, and writes the plots to `docs/growth.svg`. Needs python3. The tests run it
//! small and write no file there.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "growth/document.rs"]
mod document;
#[path = "swarms/heartbeats.rs"]
mod heartbeats;
#[path = "swarms/load.rs"]
#[expect(dead_code, reason = "the bench of swarms counts bytes too")]
mod load;
#[path = "swarms/member.rs"]
#[expect(dead_code, reason = "the bench of swarms looks at what members see")]
mod member;
#[path = "growth/plot.rs"]
mod plot;
#[path = "ndiff/process.rs"]
#[expect(dead_code, reason = "the other benchmarks compare documents with it")]
mod process;

use coordinator::config::{Config, StoreConfig};
use coordinator::scan::ScanDraft;
use coordinator::settings::{Settings, Timing};
use coordinator::{Actor, Coordinator, CoordinatorOptions, SetupOptions, setup};
use plot::{Line, Plot};
use protocol::task::RunId;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::{File, read_to_string};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The argument that makes this program the measured process; a folder and a number of documents in it follow.
const TAKE_IN: &str = "--take-in";
/// The longest that nothing may happen while a run is closed.
const PATIENCE: Duration = Duration::from_secs(600);
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/growth.svg");

/// What the measured process took for each document, from its first byte until the report stood.
#[derive(Deserialize, Serialize)]
struct TakenIn {
    seconds: Vec<f64>,
}

/// How much of everything a point has.
#[derive(Clone, Copy)]
struct Size {
    hosts: u32,
    ports: u32,
    runs: u32,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [TAKE_IN, folder, runs] => runtime.block_on(take_in(Path::new(folder), runs.parse()?)),
        [heartbeats::COORDINATE, folder, nodes, seconds] => {
            runtime.block_on(heartbeats::coordinate(Path::new(folder), nodes.parse()?, seconds.parse()?))
        }
        _ => grow(!words.contains(&"--bench"), &runtime),
    }
}

fn grow(is_small: bool, runtime: &tokio::runtime::Runtime) -> Outcome<()> {
    let scale = if is_small { 40 } else { 1 };
    let usual = Size { hosts: 4_000 / scale, ports: 10, runs: 2 };
    let steps = |first: u32| (0..if is_small { 2 } else { 5 }).map(move |step| first << step);
    let mut plots = Vec::new();
    let hosts = steps(4_000 / scale).map(|hosts| Ok((hosts, documents(Size { hosts, ..usual }, true)?)));
    plots.extend(told("hosts", "the second run of so many hosts", hosts.collect::<Outcome<_>>()?));
    let ports = steps(20 / scale.min(4)).map(|ports| Ok((ports, documents(Size { ports, ..usual }, true)?)));
    plots.extend(told("open ports a host", "the second run of so many ports", ports.collect::<Outcome<_>>()?));
    let runs = steps(2).map(|runs| Ok((runs, documents(Size { runs, ..usual }, false)?)));
    plots.extend(told("runs", "all runs together", runs.collect::<Outcome<_>>()?));
    let seconds = if is_small { 1 } else { 30 };
    let nodes = steps(if is_small { 2 } else { 12 }).map(|nodes| {
        let measured = runtime.block_on(heartbeats::measure(usize::try_from(nodes)?, seconds))?;
        Ok((nodes, (measured.percent / 100.0, measured.peak_mib)))
    });
    plots.extend(told("nodes", "of processor in each second", nodes.collect::<Outcome<_>>()?));
    // Times in the upper row, memory in the lower one.
    let (memory, times): (Vec<_>, Vec<_>) = plots.into_iter().partition(|plot| plot.title.starts_with("MiB"));
    let picture = plot::svg(&times.into_iter().chain(memory).collect::<Vec<_>>(), 4);
    let file = if is_small { tempfile::NamedTempFile::new()?.path().to_owned() } else { PICTURE.into() };
    std::fs::write(&file, picture)?;
    println!("plots: {}", file.display());
    Ok(())
}

/// Imports documents of this size in a process of its own; gives the seconds of the last one or of all, and its MiB.
fn documents(size: Size, only_last: bool) -> Outcome<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let Size { hosts, ports, runs } = size;
    for run in 0..runs {
        let mut out = BufWriter::new(File::create(folder.path().join(format!("{run}.xml")))?);
        document::write(&mut out, hosts, ports, run)?;
        out.flush()?;
    }
    let program = std::env::current_exe()?.display().to_string();
    let (output, path) = (folder.path().join("output").display().to_string(), folder.path().display().to_string());
    let taken = process::measure(&output, &[&program, TAKE_IN, &path, &runs.to_string()])?;
    let TakenIn { seconds } = serde_json::from_str(&read_to_string(&output)?)?;
    let time = if only_last { seconds.last().copied().ok_or("no run")? } else { seconds.iter().sum() };
    Ok((time, taken.peak_kib / 1_024.0))
}

/// Prints a line for each point and how straight they lie; gives the plots of time and of memory.
fn told(across: &'static str, what: &str, points: Vec<(u32, (f64, f64))>) -> [Plot; 2] {
    let points: Vec<(f64, f64, f64)> = points.into_iter().map(|(x, (time, mib))| (f64::from(x), time, mib)).collect();
    println!("\n{across}: seconds, {what}, and MiB at the peak");
    for (x, time, mib) in &points {
        println!("{x:>8} {time:>9.3} s {mib:>8.1} MiB");
    }
    let time: Vec<(f64, f64)> = points.iter().map(|(x, time, _)| (*x, *time)).collect();
    let memory: Vec<(f64, f64)> = points.iter().map(|(x, _, mib)| (*x, *mib)).collect();
    for (name, series) in [("time", &time), ("memory", &memory)] {
        let Line { base, slope, explained } = Line::through(series);
        let bend = plot::bend(series).unwrap_or(1.0);
        let word = if bend <= 1.3 { "linear or less" } else { "bends up" };
        println!(
            "{name}: {base:.3} + {slope:.6} for each; a line explains {explained:.3}; later half grows {bend:.2} times as the earlier: {word}"
        );
    }
    [Plot { title: "seconds", across, points: time }, Plot { title: "MiB at the peak", across, points: memory }]
}

/// The measured process.
async fn take_in(folder: &Path, runs: u32) -> Outcome<()> {
    let data = folder.join("data");
    let settings = Settings { mesh: "127.0.0.1:0".parse()?, ..Settings::default() };
    setup(SetupOptions { dir: data.clone(), settings, admin: None }).await?;
    let options = CoordinatorOptions {
        dir: data,
        configuration: Config { store: StoreConfig { keep_free_mib: 1 }, ..Config::default() }.into(),
        timing: Timing::default(),
    };
    let coordinator = Coordinator::start(options).await?;
    let actor = Actor::local(0);
    let draft = ScanDraft {
        name: "Growth".into(),
        targets: document::NETWORK.into(),
        budget: document::ADDRESSES.to_string(),
        ..ScanDraft::default()
    };
    let scan = coordinator.create_scan(&actor, &draft).await?.id;
    let mut seconds = Vec::new();
    for run in 0..runs {
        let began = Instant::now();
        let file = File::open(folder.join(format!("{run}.xml")))?;
        let run = coordinator.import(&actor, scan, file, true).await?.run.id;
        report_of(&coordinator, run).await?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    coordinator.stop().await;
    println!("{}", serde_json::to_string(&TakenIn { seconds })?);
    Ok(())
}

/// Waits until a run has its report.
async fn report_of(coordinator: &Coordinator, run: RunId) -> Outcome<()> {
    let mut events = coordinator.events().subscribe(None).live;
    while !coordinator.run(&Actor::local(0), run).await?.run.state.is_final() {
        timeout(PATIENCE, events.recv()).await??;
    }
    Ok(())
}
