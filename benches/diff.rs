//! `portdrift diff` against `ndiff` on the same two nmap XML files, as whole processes, in turn.
//!
//! `cargo bench --bench diff` makes the files (10,000 hosts with 20 ports each, two in a hundred hosts differ; once with
//! the same services on each host, once with no two port elements alike) in a
//! folder of its own, checks that both programs find the same changes, runs each three times, and prints the medians.
//! Needs ndiff and python3. `cargo bench --bench diff -- 1000` takes another number of hosts; the tests run it small.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "ndiff/documents.rs"]
mod documents;
#[path = "ndiff/process.rs"]
mod process;

use documents::{Fleet, Side};
use process::{NDIFF, Taken, demand, measure, median};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};

const ROUNDS: usize = 3;
const HOSTS: u32 = 10_000;
const PORTDRIFT: &str = env!("CARGO_BIN_EXE_portdrift");

fn main() -> Result<(), Box<dyn Error>> {
    let hosts = process::size(HOSTS);
    let (faster, smaller) = compare(hosts, Fleet::Alike)?;
    compare(hosts, Fleet::NoTwoAlike)?;
    demand(hosts < HOSTS || faster >= 20.0 && smaller >= 5.0, "20 times faster than ndiff in a fifth of its memory")
}

/// How many times faster, and in which part of the memory.
fn compare(hosts: u32, fleet: Fleet) -> Result<(f64, f64), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let a = documents::file(folder.path(), hosts, fleet, Side::Before)?;
    let b = documents::file(folder.path(), hosts, fleet, Side::After)?;
    let size = std::fs::metadata(&a)?.len() / 1_000_000;
    let differing = documents::differing(hosts);
    let kind = match fleet {
        Fleet::Alike => "the same services on each host",
        Fleet::NoTwoAlike => "no two ports alike",
    };
    println!("{hosts} hosts x 20 ports, {kind}: two files of {size} MB, {differing} hosts differ, {ROUNDS} rounds");
    check(&a, &b)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(measure("/dev/null", &[NDIFF, &a, &b])?);
        ours.push(measure("/dev/null", &[PORTDRIFT, "diff", &a, &b])?);
    }
    let (ours, theirs) = (middle(&ours), middle(&theirs));
    let (faster, smaller) = (theirs.elapsed / ours.elapsed, theirs.peak_kib / ours.peak_kib);
    println!("time:   {faster:.1} times faster than ndiff ({:.1} by processor)", theirs.processor / ours.processor);
    println!("memory: 1/{smaller:.1} of ndiff's");
    println!("portdrift diff {ours}");
    println!("ndiff          {theirs}\n");
    Ok((faster, smaller))
}

/// The median of each number by itself.
fn middle(rounds: &[Taken]) -> Taken {
    Taken {
        elapsed: median(rounds.iter().map(|taken| taken.elapsed)),
        processor: median(rounds.iter().map(|taken| taken.processor)),
        peak_kib: median(rounds.iter().map(|taken| taken.peak_kib)),
    }
}

/// Both must find the same hosts and ports.
fn check(a: &str, b: &str) -> Result<(), Box<dyn Error>> {
    let (ours, theirs) = (portdrift_finds(a, b)?, ndiff_finds(a, b)?);
    let differing: Vec<&String> = ours.symmetric_difference(&theirs).take(10).collect();
    if !differing.is_empty() || ours.is_empty() {
        return Err(format!("not both find: {differing:?}").into());
    }
    println!("both find the same {} hosts and ports that are new or gone", ours.len());
    Ok(())
}

fn portdrift_finds(a: &str, b: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let output = Command::new(PORTDRIFT).args(["diff", "--json", a, b]).output()?;
    let comparison: Value = serde_json::from_slice(&output.stdout)?;
    let line = |change: &Value| {
        let text = |key: &str| change.get(key).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        let (host, port) = (text("host"), format!("{}/{}", text("port"), text("protocol")));
        match text("kind").as_str() {
            "new-host" => Some(format!("new host {host}")),
            "removed-host" => Some(format!("gone host {host}")),
            "new-port" => Some(format!("new port {host} {port}")),
            "closed-port" => Some(format!("gone port {host} {port}")),
            _ => None,
        }
    };
    Ok(comparison.get("changes").and_then(Value::as_array).into_iter().flatten().filter_map(line).collect())
}

fn ndiff_finds(a: &str, b: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut python = Command::new("python3")
        .args(["-c", include_str!("../tests/ndiff/driver.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let task = json!({ "files": [], "pairs": [], "command": [[a, b]] });
    python.stdin.take().ok_or("no way to ask ndiff")?.write_all(task.to_string().as_bytes())?;
    let answer: Value = serde_json::from_slice(&python.wait_with_output()?.stdout)?;
    let side = |side: &str| -> Vec<String> {
        let lines = answer.pointer(&format!("/pairs/0/{side}")).and_then(Value::as_array);
        lines.into_iter().flatten().filter_map(|line| Some(format!("{side} {}", line.as_str()?))).collect()
    };
    Ok(side("new").into_iter().chain(side("gone")).collect())
}
