//! `portdrift diff` against `ndiff` on the same two nmap XML files, as whole processes, in turn.
//!
//! `cargo bench --bench diff` makes the files (10,000 hosts with 20 ports each, two in a hundred hosts differ) in a
//! folder of its own, checks that both programs find the same changes, runs each three times, and prints the medians.
//! Needs ndiff and python3. `cargo bench --bench diff -- 1000` takes another number of hosts.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "diff/documents.rs"]
mod documents;

use documents::Side;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

const ROUNDS: usize = 3;
const HOSTS: u32 = 10_000;
const PORTDRIFT: &str = env!("CARGO_BIN_EXE_portdrift");
const NDIFF: &str = "/usr/bin/ndiff";

/// What one process took, as `measure.py` writes it.
#[derive(Clone, Copy, Deserialize)]
struct Taken {
    elapsed: f64,
    processor: f64,
    peak_kib: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let hosts = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(HOSTS);
    let folder = tempfile::tempdir()?;
    let a = document(folder.path(), "before.xml", hosts, Side::Before)?;
    let b = document(folder.path(), "after.xml", hosts, Side::After)?;
    let size = std::fs::metadata(&a)?.len() / 1_000_000;
    println!("two files of {hosts} hosts x 20 ports, {size} MB each; medians of {ROUNDS} rounds, in turn");
    check(&a, &b)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(measure(&[NDIFF, &a, &b])?);
        ours.push(measure(&[PORTDRIFT, "diff", &a, &b])?);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    println!("time:   {:.1} times faster than ndiff", theirs.elapsed / ours.elapsed);
    println!("memory: 1/{:.1} of ndiff's", theirs.peak_kib / ours.peak_kib);
    for (name, taken) in [("portdrift diff", ours), ("ndiff", theirs)] {
        let Taken { elapsed, processor, peak_kib } = taken;
        println!(
            "{name:<14} {elapsed:>8.3} s elapsed {processor:>8.3} s processor {:>7.1} MiB peak",
            peak_kib / 1_024.0
        );
    }
    Ok(())
}

fn document(folder: &Path, name: &str, hosts: u32, side: Side) -> Result<String, Box<dyn Error>> {
    let path = folder.join(name);
    let mut out = BufWriter::new(File::create(&path)?);
    documents::write(&mut out, hosts, side)?;
    out.flush()?;
    Ok(path.to_str().ok_or("the temporary folder has no readable name")?.to_owned())
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

fn measure(command: &[&str]) -> Result<Taken, Box<dyn Error>> {
    let output = Command::new("python3").args(["-c", include_str!("diff/measure.py")]).args(command).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Of each number by itself.
fn median(taken: &[Taken]) -> Taken {
    let of = |number: fn(&Taken) -> f64| {
        let mut numbers: Vec<f64> = taken.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or_default()
    };
    Taken {
        elapsed: of(|taken| taken.elapsed),
        processor: of(|taken| taken.processor),
        peak_kib: of(|taken| taken.peak_kib),
    }
}
