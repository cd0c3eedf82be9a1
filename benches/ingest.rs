//! What comes in from nodes and stays: durable ingest against a bare sled, reopening, disk, memory, and the delta from the
//! store against `ndiff`.
//!
//! `cargo bench --bench ingest` makes its stores in folders of its own and takes each part three times, ours and the other
//! in turn, but for the three runs of 100,000 hosts. Results go through intake, journal and closing as in a coordinator, without
//! a mesh around. It ends with a table for the README. ndiff and python3 are needed for its last line. `cargo bench --bench
//! ingest -- 1000` takes another number of hosts (ten times as many in the large store); the tests run it small.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "ndiff/documents.rs"]
mod documents;
#[path = "ingest/fleet.rs"]
mod fleet;
#[path = "ndiff/process.rs"]
#[expect(dead_code, reason = "other benchmarks demand what this one tells")]
mod process;
#[path = "ingest/runs.rs"]
mod runs;
#[path = "fleet/services.rs"]
mod services;
#[path = "ndiff/stored.rs"]
mod stored;

use coordinator::bench::{Bench, Usage, bare};
use documents::{Fleet, Side};
use process::{NDIFF, measure, median};
use protocol::Timestamp;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 3;
const HOSTS: u32 = 10_000;
/// How many times as many hosts the large store has.
const LARGE: u32 = 10;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A line of the table: what, the goal, whether it is met, and the figures.
struct Line {
    what: String,
    goal: &'static str,
    is_met: bool,
    found: String,
    raw: String,
}

fn main() -> Outcome<()> {
    let hosts = process::size(HOSTS);
    let runtime = tokio::runtime::Runtime::new()?;
    let mut table = vec![runtime.block_on(ingest(hosts))?];
    table.extend(runtime.block_on(large(hosts * LARGE))?);
    match Path::new(NDIFF).exists() {
        true => table.push(runtime.block_on(delta(hosts))?),
        false => println!("no {NDIFF}: the delta is compared with nothing"),
    }
    println!("\n| what | goal | | found | figures (medians of {ROUNDS}) |\n|---|---|---|---|---|");
    for Line { what, goal, is_met, found, raw } in table {
        let met = if is_met { "met" } else { "not met" };
        println!("| {what} | {goal} | {met} | {found} | {raw} |");
    }
    Ok(())
}

/// Uploads of a hundred hosts into the store, and the same rows into a bare sled with a synced file beside it.
async fn ingest(hosts: u32) -> Outcome<Line> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let folder = tempfile::tempdir()?;
        let rows = fleet::rows(hosts, NOW);
        let began = Instant::now();
        bare(folder.path(), &rows)?;
        theirs.push(f64::from(hosts) / began.elapsed().as_secs_f64());
        drop(rows);
        let bench = runs::create(&folder.path().join("store"), hosts, NOW).await?;
        let results: Vec<_> = runs::begin(&bench, hosts, 1, NOW).await?.collect();
        let began = Instant::now();
        runs::take(&bench, results, NOW).await?;
        ours.push(f64::from(hosts) / began.elapsed().as_secs_f64());
        bench.stop().await;
        println!("round {round}: {:.0?} hosts/s into the store, {:.0?} into a bare sled", ours.last(), theirs.last());
    }
    let (ours, theirs) = (median(ours.into_iter()), median(theirs.into_iter()));
    Ok(Line {
        what: format!("durable ingest, {hosts} hosts x 10 ports in uploads of {}", fleet::UPLOAD),
        goal: "0.6 of a bare sled + fdatasync loop, or 20,000 hosts/s",
        is_met: ours > 0.6 * theirs || ours > 20_000.0,
        found: format!("{:.2} of the bare loop", ours / theirs),
        raw: format!("{ours:.0} hosts/s, bare loop {theirs:.0}"),
    })
}

/// Three runs of a large network, what they leave on disk, and how long the store takes to open then.
async fn large(hosts: u32) -> Outcome<Vec<Line>> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("store");
    let bench = runs::create(&dir, hosts, NOW).await?;
    let mut memory = Vec::new();
    for run in 1..=3 {
        let taken = runs::whole(&bench, hosts, run, NOW).await?;
        let usage = bench.usage().await?;
        println!(
            "run {run} of {hosts} hosts: taken in {:.1} s, report after {:.1} s more, compacted in {:.1?} s; {}",
            taken.ingest,
            taken.closing,
            taken.compaction,
            told(usage)
        );
        println!("  resident while it came in: {:.0?} MiB", taken.memory);
        memory.extend(taken.memory);
    }
    let disk = disk(bench.usage().await?);
    bench.stop().await;
    let peak = runs::resident_mib("VmHWM:")?;
    Ok(vec![flat(hosts, &memory, peak), reopened(hosts, &dir).await?, disk])
}

fn told(Usage { live, journal, index, since }: Usage) -> String {
    let mb = |bytes: u64| bytes / 1_000_000;
    format!(
        "{} MB live, {} MB journal ({} MB since its snapshot), {} MB index",
        mb(live),
        mb(journal),
        mb(since),
        mb(index)
    )
}

fn flat(hosts: u32, memory: &[f64], peak: f64) -> Line {
    let third = memory.len() / 3;
    let most = |looks: &[f64]| looks.iter().copied().fold(0.0, f64::max);
    let (first, last) = memory.split_at_checked(third).unwrap_or_default();
    let last = last.split_at_checked(third).unwrap_or_default().1;
    let (first, last) = (most(first), most(last));
    Line {
        what: format!("memory while runs of {hosts} hosts come in"),
        goal: "flat: in the third run at most 1.25 times the first",
        is_met: last <= 1.25 * first,
        found: format!("{:.2} times", last / first),
        raw: format!(
            "{first:.0} MiB in the first run, {last:.0} MiB in the third; {peak:.0} MiB at most, while closing"
        ),
    }
}

fn disk(usage: Usage) -> Line {
    let (live, taken) = (usage.live as f64, (usage.journal + usage.index) as f64);
    Line {
        what: "disk after three runs in which 2 in 100 hosts change".into(),
        goal: "below 2.5 times what lives: the newest row under each key",
        is_met: taken < 2.5 * live,
        found: format!("{:.2} times", taken / live),
        raw: told(usage),
    }
}

async fn reopened(hosts: u32, dir: &Path) -> Outcome<Line> {
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let bench = Bench::open(dir)?;
        seconds.push(began.elapsed().as_secs_f64());
        bench.stop().await;
    }
    let seconds = median(seconds.into_iter());
    Ok(Line {
        what: format!("opening a store with {} port records", 10 * u64::from(hosts)),
        goal: "below 2 s",
        is_met: seconds < 2.0,
        found: format!("{seconds:.2} s"),
        raw: "every record of the journal and every row of the index is checked".into(),
    })
}

/// What changed between two stored runs, and between the documents that they came from.
async fn delta(hosts: u32) -> Outcome<Line> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let a = documents::file(folder.path(), hosts, Fleet::Alike, Side::Before)?;
    let b = documents::file(folder.path(), hosts, Fleet::Alike, Side::After)?;
    let data = folder.path().join("data");
    stored::import(&data, [&a, &b]).await?;
    let compared = stored::compare(&data, ROUNDS).await?;
    if compared.hosts != documents::differing(hosts) || compared.left_out > 0 {
        return Err(format!("{} hosts differ, not {}", compared.hosts, documents::differing(hosts)).into());
    }
    let mut theirs = Vec::new();
    for _ in 0..ROUNDS {
        theirs.push(measure(&at("theirs.xml"), &[NDIFF, "--xml", &a, &b])?.elapsed);
    }
    let (ours, theirs) = (median(compared.seconds.into_iter()), median(theirs.into_iter()));
    Ok(Line {
        what: format!("delta of two stored runs, {hosts} hosts x 20 ports"),
        goal: "100 times faster than ndiff",
        is_met: theirs > 100.0 * ours,
        found: format!("{:.0} times", theirs / ours),
        raw: format!("{ours:.4} s, ndiff {theirs:.2} s"),
    })
}
