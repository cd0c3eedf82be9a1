//! Runs of a whole network through intake and closing, and what the process and its disk hold meanwhile.

use crate::fleet::{self, PORTS};
use coordinator::bench::Bench;
use coordinator::scan::ScanDraft;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::Timestamp;
use protocol::message::TaskResult;
use protocol::task::RunId;
use std::error::Error;
use std::fs::read_to_string;
use std::path::Path;
use std::time::Instant;

/// Uploads under way at a time: two nodes with four each.
const AT_ONCE: usize = 8;
/// How often memory is looked at in a run.
const LOOKS: usize = 10;

/// A store for a network of so many hosts, in the empty folder `dir`.
pub(crate) async fn create(dir: &Path, hosts: u32, now: Timestamp) -> Result<Bench, Box<dyn Error>> {
    let scan = ScanDraft {
        name: "Benchmark".into(),
        targets: fleet::targets(0, hosts).to_string(),
        budget: hosts.to_string(),
        ports: PORTS.into(),
        args: "-sV".into(),
        ..ScanDraft::default()
    };
    Ok(Bench::create(dir, &scan, now).await?)
}

/// Begins a run and says what its nodes will send.
pub(crate) async fn begin(
    bench: &Bench,
    hosts: u32,
    run: u32,
    now: Timestamp,
) -> Result<impl ExactSizeIterator<Item = TaskResult>, Box<dyn Error>> {
    let uploads: Vec<(u32, u32)> = fleet::uploads(hosts).collect();
    let targets = uploads.iter().map(|(first, count)| fleet::targets(*first, *count)).collect();
    let tasks = bench.begin(targets, now).await?;
    Ok(tasks.into_iter().zip(uploads).map(move |(task, hosts)| fleet::result(task, run, hosts, now)))
}

/// Takes all of `results`; a few are under way at a time, as nodes send them.
pub(crate) async fn take(
    bench: &Bench,
    results: impl IntoIterator<Item = TaskResult>,
    now: Timestamp,
) -> Result<RunId, Box<dyn Error>> {
    let takes = stream::iter(results).map(async |result| {
        let run = result.task.run;
        bench.take(result, now).await.map(|is_stored| is_stored.then_some(run))
    });
    let runs: Vec<Option<RunId>> = takes.buffer_unordered(AT_ONCE).try_collect().await?;
    runs.into_iter().min().flatten().ok_or_else(|| "a result was not stored".into())
}

/// What one run took.
pub(crate) struct Taken {
    /// Seconds until every upload was on disk, with making them up.
    pub(crate) ingest: f64,
    /// Seconds until the report was there.
    pub(crate) closing: f64,
    /// Seconds of the compaction after it; none was due without.
    pub(crate) compaction: Option<f64>,
    /// Resident memory while uploads came in, at even distances, in MiB.
    pub(crate) memory: Vec<f64>,
}

/// One run from its first upload to the tidying up after its report.
pub(crate) async fn whole(bench: &Bench, hosts: u32, run: u32, now: Timestamp) -> Result<Taken, Box<dyn Error>> {
    let mut results = begin(bench, hosts, run, now).await?;
    let began = Instant::now();
    let (mut memory, part) = (Vec::new(), results.len().div_ceil(LOOKS));
    let mut last = None;
    while results.len() > 0 {
        last = Some(take(bench, results.by_ref().take(part), now).await?);
        memory.push(resident_mib("VmRSS:")?);
    }
    let ingest = began.elapsed().as_secs_f64();
    let began = Instant::now();
    if !bench.close_run(last.ok_or("a run without a result")?, now).await? {
        return Err("the run has no whole report".into());
    }
    let closing = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let compaction = bench.tidy().await?.then(|| began.elapsed().as_secs_f64());
    Ok(Taken { ingest, closing, compaction, memory })
}

/// A line of `/proc/self/status`, in MiB.
pub(crate) fn resident_mib(line: &str) -> Result<f64, Box<dyn Error>> {
    let status = read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)).ok_or("no such line of /proc/self/status")?;
    Ok(found.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
}
