//! Programs run as processes of their own, and what they took.

use serde::Deserialize;
use std::error::Error;
use std::fmt;
use std::process::Command;

/// nmap's own comparison.
pub(crate) const NDIFF: &str = "/usr/bin/ndiff";

/// What one process took, as `measure.py` writes it.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Taken {
    /// Seconds from start to end.
    pub(crate) elapsed: f64,
    /// Processor seconds of all its threads.
    pub(crate) processor: f64,
    /// The most memory it held.
    pub(crate) peak_kib: f64,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elapsed, processor, peak_kib } = self;
        write!(f, "{elapsed:>8.3} s elapsed {processor:>8.3} s processor {:>7.1} MiB peak", peak_kib / 1_024.0)
    }
}

/// The middle one.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Runs `command`, its standard output into the file `output`.
pub(crate) fn measure(output: &str, command: &[&str]) -> Result<Taken, Box<dyn Error>> {
    let mut python = Command::new("python3");
    let measured = python.args(["-c", include_str!("measure.py"), output]).args(command).output()?;
    if !measured.status.success() {
        return Err(String::from_utf8_lossy(&measured.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&measured.stdout)?)
}

/// How many hosts to take: what was typed, `full` under `cargo bench`, and few in a test, which only shows that the
/// benchmark runs.
pub(crate) fn size(full: u32) -> u32 {
    let typed = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    typed.unwrap_or(if is_bench { full } else { 500 })
}

/// An error when a full-size benchmark misses what the README promises.
pub(crate) fn demand(is_held: bool, promise: &str) -> Result<(), Box<dyn Error>> {
    if is_held { Ok(()) } else { Err(format!("the promise does not hold: {promise}").into()) }
}
