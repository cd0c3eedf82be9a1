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
#[path = "ndiff/stored.rs"]
mod stored;

use documents::{Fleet, Side};
use process::{NDIFF, Taken, demand, measure, median};
use std::error::Error;
use std::fs::read_to_string;
use std::path::Path;
use stored::Compared;

const ROUNDS: usize = 3;
const HOSTS: u32 = 100_000;
/// The argument that makes this program the measured process; the data folder follows.
const COMPARE: &str = "--compare-stored-runs";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(folder) = std::env::args().skip_while(|argument| argument != COMPARE).nth(1) {
        let compared = runtime.block_on(stored::compare(Path::new(&folder), ROUNDS))?;
        println!("{}", serde_json::to_string(&compared)?);
        return Ok(());
    }
    let hosts = process::size(HOSTS);
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let a = documents::file(folder.path(), hosts, Fleet::Alike, Side::Before)?;
    let b = documents::file(folder.path(), hosts, Fleet::Alike, Side::After)?;
    println!("two runs of {hosts} hosts x 20 ports; {ROUNDS} rounds of ours, one of ndiff");
    runtime.block_on(stored::import(Path::new(&at("data")), [&a, &b]))?;
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
