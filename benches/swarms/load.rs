//! What a process takes, as the kernel counts it.

use std::error::Error;
use std::fs::read_to_string;

/// Ticks of `/proc` in a second: the same on every Linux.
const TICKS: f64 = 100.0;

/// Counted since the process, or its network namespace, began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Processor seconds of all threads.
    pub(crate) processor: f64,
    /// Bytes over loopback with all headers. Only within a namespace of its own are they all of this process.
    pub(crate) network_bytes: f64,
    /// Segments over loopback, those without payload too.
    pub(crate) segments: f64,
    /// The most memory that it held, in MiB.
    pub(crate) peak_mib: f64,
}

impl Load {
    /// Of this process, now.
    pub(crate) fn now() -> Result<Self, Box<dyn Error>> {
        let (stat, status) = (read_to_string("/proc/self/stat")?, read_to_string("/proc/self/status")?);
        // The name of the program, in brackets, may hold anything; what follows it does not.
        let (_, fields) = stat.rsplit_once(") ").ok_or("no fields in /proc/self/stat")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let devices = read_to_string("/proc/self/net/dev")?;
        let loopback = devices.lines().find_map(|line| line.trim().strip_prefix("lo:")).ok_or("no loopback")?;
        Ok(Self {
            processor: ticks.sum::<Result<f64, _>>()? / TICKS,
            network_bytes: counter(loopback, 0)?,
            segments: counter(loopback, 1)?,
            peak_mib: peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0,
        })
    }
}

fn counter(line: &str, index: usize) -> Result<f64, Box<dyn Error>> {
    Ok(line.split_whitespace().nth(index).ok_or("no counter of loopback")?.parse()?)
}
