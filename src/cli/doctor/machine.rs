//! What the machine gives: room on its disk, the right time, something to scan with.

use super::Finding;
use crate::cli::print;
use node::engine::{EngineFacts, Engines};
use node::policy::Policy;
use protocol::Timestamp;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that was written further in the future than this tells of a clock that was set back.
const CLOCK: Duration = Duration::from_secs(60);

/// The most files whose times are looked at.
const MOST_FILES: usize = 4_096;

/// The room on the disk of a folder; `mark` says what must stay free on a disk of that many bytes.
pub(crate) fn disk(dir: &Path, mark: impl FnOnce(u64) -> u64) -> Finding {
    match rustix::fs::statvfs(dir) {
        Ok(found) => {
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            let total = bytes(found.f_blocks);
            room(bytes(found.f_bavail), total, mark(total))
        }
        Err(error) => Finding::warning("disk room", format!("the disk does not tell how much room it has: {error}")),
    }
}

fn room(free: u64, total: u64, mark: u64) -> Finding {
    let (left, keep) = (format!("{} of {} free", print::size(free), print::size(total)), print::size(mark));
    let remedy = "make room, or move the folder to a larger disk";
    match free {
        free if free < mark => {
            Finding::fault("disk room", format!("{left}, and no new work begins below {keep}")).remedy(remedy)
        }
        free if free < mark.saturating_mul(2) => {
            Finding::warning("disk room", format!("{left}; new work ends below {keep}")).remedy(remedy)
        }
        _ => Finding::ok("disk room", left),
    }
}

/// Whether the clock of this machine was set back since something was written.
pub(crate) fn clock(dir: &Path, now: Timestamp) -> Finding {
    let (path, written) = newest(dir);
    if written > now.plus(CLOCK) {
        let found = format!("it says {now}, but {} was written at {written}", path.display());
        return Finding::fault("clock", found).remedy("set it, for instance with `timedatectl set-ntp true`");
    }
    Finding::ok("clock", format!("it says {now}"))
}

/// The file that was written last, in the folder or one below it.
fn newest(dir: &Path) -> (PathBuf, Timestamp) {
    let files =
        |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|file| file.path());
    let below = files(dir).flat_map(|path| files(&path).chain([path.clone()]).collect::<Vec<_>>());
    let written = |path: PathBuf| {
        let seconds = u64::try_from(std::fs::symlink_metadata(&path).ok()?.mtime()).ok()?;
        Some((path, Timestamp::from_millis(seconds.saturating_mul(1_000))))
    };
    let all = below.take(MOST_FILES).filter_map(written);
    all.max_by_key(|(_, at)| *at).unwrap_or_else(|| (dir.to_owned(), Timestamp::default()))
}

/// What scans can be done with here.
pub(crate) async fn scanners(policy: &Policy) -> Vec<Finding> {
    // Nothing is started through it here.
    let engines = Engines::find(policy, PathBuf::new()).await;
    match engines.nmap_trouble() {
        Some(trouble) => vec![Finding::warning("nmap", format!("{trouble}; scans use the built-in engine alone"))],
        None => of_engines(&engines.facts(), policy.raw_packets()),
    }
}

fn of_engines(facts: &EngineFacts, is_raw_allowed: bool) -> Vec<Finding> {
    let nmap = match &facts.nmap {
        Some(nmap) => Finding::ok("nmap", format!("version {} at {}", nmap.version, nmap.path.display())),
        None => {
            let found =
                "it is not installed: a node here scans TCP with the built-in engine, without -O, scripts or UDP";
            Finding::warning("nmap", found).remedy("install nmap 7.80 or later for those")
        }
    };
    vec![nmap, raw_packets(facts, is_raw_allowed)]
}

/// By whom raw packets may be sent.
fn raw_packets(facts: &EngineFacts, is_allowed: bool) -> Finding {
    let name = "raw packets";
    match (facts.raw, is_allowed, &facts.nmap) {
        (false, _, _) => {
            let found = "this process may not send them: ports are asked by connects, -sS, -sU and -O are refused";
            Finding::warning(name, found).remedy("give the node's service CAP_NET_RAW as ambient capability")
        }
        (true, false, _) => {
            let found =
                "the policy does not let them be sent: ports are asked by connects, -sS, -sU and -O are refused";
            Finding::ok(name, found).remedy("`raw_packets = true` in the policy file allows them")
        }
        (true, true, Some(nmap)) if !nmap.raw => {
            let found = "the built-in engine may send them, nmap may not: -sU and -O are refused";
            Finding::warning(name, found).remedy("give the node's service CAP_NET_RAW as ambient capability")
        }
        (true, true, Some(_)) => Finding::ok(name, "the built-in engine and nmap may send them"),
        (true, true, None) => Finding::ok(name, "the built-in engine may send them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use node::engine::nmap::NmapFacts;

    #[test]
    fn room_is_judged_by_what_must_stay_free() {
        let lines = [100, 30, 10].map(|free| room(free << 20, 200 << 20, 20 << 20).line());
        insta::assert_snapshot!(lines.join("\n"), @"
        ok | disk room | 100.0 MiB of 200.0 MiB free
        warning | disk room | 30.0 MiB of 200.0 MiB free; new work ends below 20.0 MiB; make room, or move the folder to a larger disk
        fault | disk room | 10.0 MiB of 200.0 MiB free, and no new work begins below 20.0 MiB; make room, or move the folder to a larger disk
        ");
    }

    #[test]
    fn a_clock_that_was_set_back_is_known_by_what_was_written_before() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::create_dir(temporary.path().join("store")).unwrap();
        std::fs::write(temporary.path().join("store/journal"), "x").unwrap();
        let now = Timestamp::now();
        assert!(clock(temporary.path(), now).line().starts_with("ok | clock | it says "));
        let behind = clock(temporary.path(), now.minus(Duration::from_secs(3_600))).line();
        assert!(behind.starts_with("fault | clock | it says ") && behind.contains("was written at"), "{behind}");
    }

    #[test]
    fn what_can_be_scanned_with_here_is_said() {
        let nmap = |raw| Some(NmapFacts { path: "/usr/bin/nmap".into(), version: "7.93".to_owned(), raw });
        let cases = [(None, false, true), (None, true, true), (nmap(false), false, true), (nmap(false), true, true)];
        let lines = cases.into_iter().chain([(nmap(true), true, true), (nmap(true), true, false)]).flat_map(
            |(nmap, raw, is_allowed)| of_engines(&EngineFacts { builtin: "0.1.0".to_owned(), raw, nmap }, is_allowed),
        );
        let lines: Vec<String> = lines.map(|finding| finding.line()).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        warning | nmap | it is not installed: a node here scans TCP with the built-in engine, without -O, scripts or UDP; install nmap 7.80 or later for those
        warning | raw packets | this process may not send them: ports are asked by connects, -sS, -sU and -O are refused; give the node's service CAP_NET_RAW as ambient capability
        warning | nmap | it is not installed: a node here scans TCP with the built-in engine, without -O, scripts or UDP; install nmap 7.80 or later for those
        ok | raw packets | the built-in engine may send them
        ok | nmap | version 7.93 at /usr/bin/nmap
        warning | raw packets | this process may not send them: ports are asked by connects, -sS, -sU and -O are refused; give the node's service CAP_NET_RAW as ambient capability
        ok | nmap | version 7.93 at /usr/bin/nmap
        warning | raw packets | the built-in engine may send them, nmap may not: -sU and -O are refused; give the node's service CAP_NET_RAW as ambient capability
        ok | nmap | version 7.93 at /usr/bin/nmap
        ok | raw packets | the built-in engine and nmap may send them
        ok | nmap | version 7.93 at /usr/bin/nmap
        ok | raw packets | the policy does not let them be sent: ports are asked by connects, -sS, -sU and -O are refused; `raw_packets = true` in the policy file allows them
        ");
    }
}
