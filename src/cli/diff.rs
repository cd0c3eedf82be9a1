//! `portdrift diff A B`: what changed between two nmap XML files, without a coordinator (SPEC R10).
//!
//! The comparison is the coordinator's own. Only the coverage is another question here, because a file names no run and
//! no lease. The rule: a file whose scan finished speaks for every address, so a host that it does not list was not
//! there; a file whose scan did not finish speaks only for the hosts that it lists. Ports are covered where `scaninfo`
//! names them, on every address that the file speaks for. A host that was given up counts for nothing. A file that we
//! wrote says itself, to the cell, what it speaks for; one of masscan speaks for the open ports that it lists.

mod file;
#[cfg(test)]
mod tests;
mod words;

use super::print::Form;
use anyhow::Context as _;
use coordinator::analysis::coverage::RunCoverage;
use coordinator::analysis::delta::{self, Change, ChangeKind, HostDelta, KnownHost, NoteKind, Side};
use file::ScanFile;
use protocol::Protocol;
use protocol::observation::HostObservation;
use protocol::task::RunId;
use serde::Serialize;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Compare two nmap XML files.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portdrift diff monday.xml tuesday.xml
  portdrift diff --exit-code monday.xml tuesday.xml    exit 0 same, 1 different, 2 error")]
pub(crate) struct DiffArgs {
    /// The earlier file, as nmap wrote it with -oX
    #[arg(value_name = "BEFORE")]
    a: PathBuf,
    /// The later file
    #[arg(value_name = "AFTER")]
    b: PathBuf,
    /// Exit with 0 when nothing changed, 1 when something did, 2 on errors
    #[arg(long)]
    exit_code: bool,
}

/// What is printed with `--json`.
#[derive(Debug, Serialize)]
struct Comparison {
    before: file::Facts,
    after: file::Facts,
    changes: Vec<Line>,
    not_compared: Vec<Line>,
}

/// One change, or one line that counts as none.
#[derive(Debug, Serialize)]
struct Line {
    kind: ChangeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<NoteKind>,
    host: IpAddr,
    protocol: Option<Protocol>,
    port: Option<u16>,
    before: Option<Side>,
    after: Option<Side>,
}

/// Compares and prints; returns the exit code.
///
/// # Errors
/// A file that cannot be read, or an output that cannot be written. With `--exit-code` such an error is printed here
/// and becomes 2.
pub(crate) fn run(args: &DiffArgs, form: Form) -> anyhow::Result<i32> {
    match compare_and_print(args, form) {
        Ok(changed) => Ok(i32::from(changed && args.exit_code)),
        Err(error) if args.exit_code => {
            writeln!(io::stderr().lock(), "error: {error:#}").context("writing the error")?;
            Ok(2)
        }
        Err(error) => Err(error),
    }
}

/// True when something changed.
fn compare_and_print(args: &DiffArgs, form: Form) -> anyhow::Result<bool> {
    let (before, after) = read_both(&args.a, &args.b)?;
    let comparison = compare(before, after);
    form.show(&comparison, words::sentences)?;
    Ok(!comparison.changes.is_empty())
}

/// Side by side: reading takes nearly all of the time.
fn read_both(a: &Path, b: &Path) -> anyhow::Result<(ScanFile, ScanFile)> {
    std::thread::scope(|scope| {
        let before = scope.spawn(|| ScanFile::read(a));
        let after = ScanFile::read(b);
        let before = before.join().map_err(|_| anyhow::anyhow!("reading {} ended by a fault of ours", a.display()))?;
        Ok((before?, after?))
    })
}

fn compare(mut before: ScanFile, mut after: ScanFile) -> Comparison {
    if before.coverage == after.coverage {
        (before.hosts, after.hosts) = differing(before.hosts, after.hosts);
    }
    let nothing = RunCoverage::default();
    let baseline: Vec<KnownHost> =
        delta::compare(std::iter::empty(), before.hosts.into_iter(), &nothing, &before.coverage)
            .filter_map(|compared| delta::apply(compared, &nothing, &before.coverage, RunId(1)))
            .collect();
    let deltas = delta::delta(baseline.into_iter(), after.hosts.into_iter(), &before.coverage, &after.coverage);
    let (mut changes, mut not_compared) = (Vec::new(), Vec::new());
    for HostDelta { changes: changed, notes, .. } in deltas {
        changes.extend(changed.into_iter().map(|change| Line::new(change, None)));
        not_compared.extend(notes.into_iter().map(|note| Line::new(note.change, Some(note.kind))));
    }
    Comparison { before: before.facts, after: after.facts, changes, not_compared }
}

/// Without the hosts that are the same in both. Where both sides looked in the same way, these have no line.
fn differing(
    before: Vec<HostObservation>,
    after: Vec<HostObservation>,
) -> (Vec<HostObservation>, Vec<HostObservation>) {
    let mut after = after.into_iter().peekable();
    let (mut only_before, mut only_after) = (Vec::new(), Vec::new());
    for was in before {
        while let Some(earlier) = after.next_if(|is| is.address < was.address) {
            only_after.push(earlier);
        }
        let Some(mut is) = after.next_if(|is| is.address == was.address) else {
            only_before.push(was);
            continue;
        };
        let seen = std::mem::replace(&mut is.seen, was.seen);
        if is != was {
            is.seen = seen;
            only_before.push(was);
            only_after.push(is);
        }
    }
    only_after.extend(after);
    (only_before, only_after)
}

impl Line {
    fn new(change: Change, because: Option<NoteKind>) -> Self {
        let Change { kind, address, port, before, after, confirmation: _ } = change;
        let (protocol, port) = (port.map(|port| port.protocol), port.map(|port| port.port));
        Self { kind, because, host: address, protocol, port, before, after }
    }
}
