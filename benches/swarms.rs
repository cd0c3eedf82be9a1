//! Two hundred real swarms in one process, and a thousand nodes that make themselves heard by a real coordinator.
//!
//! `cargo bench --bench swarms` prints what the README tells: how long an announced task takes to every member, what a
//! member costs at rest, how soon survivors are connected again when 30 in 100 are killed at once, and what the coordinator
//! takes. The first part runs in a network namespace of its own, where all bytes on loopback are its own (`unshare` and
//! `ip`, as root or where users may make namespaces; else bytes are not counted). `cargo bench --bench swarms -- 50`
//! takes another number of swarms and five times as many nodes; the tests run it small.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "swarms/gossip.rs"]
mod gossip;
#[path = "swarms/heartbeats.rs"]
mod heartbeats;
#[path = "swarms/load.rs"]
mod load;
#[path = "swarms/member.rs"]
mod member;

use gossip::Size;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The argument that runs the first part, here and now.
const GOSSIP: &str = "--gossip";
/// Opens loopback in a new namespace, then becomes the program and arguments that follow.
const INSIDE: &str = "ip link set lo up && exec \"$@\"";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut coordinate = arguments.iter().skip_while(|argument| *argument != heartbeats::COORDINATE).skip(1);
    if let (Some(folder), Some(nodes), Some(seconds)) = (coordinate.next(), coordinate.next(), coordinate.next()) {
        return runtime.block_on(heartbeats::coordinate(Path::new(folder), nodes.parse()?, seconds.parse()?));
    }
    let is_full = arguments.iter().any(|argument| argument == "--bench");
    let typed = arguments.iter().find_map(|argument| argument.parse().ok());
    let members = typed.unwrap_or(if is_full { 200 } else { 30 });
    let size = Size {
        members,
        announcements: if is_full { 100 } else { 10 },
        rest: Duration::from_secs(if is_full { 180 } else { 3 }),
    };
    if arguments.iter().any(|argument| argument == GOSSIP) {
        return runtime.block_on(gossip(size, is_full));
    }
    let rest = in_namespace(members, is_full);
    let nodes = members * if is_full { 5 } else { 1 };
    // The second part tells its numbers whatever became of the first.
    rest.and(runtime.block_on(heartbeats(nodes, if is_full { 600 } else { 5 }, is_full)))
}

/// Runs the first part in a namespace; as it is, where none can be made.
fn in_namespace(members: usize, is_full: bool) -> Result<(), Box<dyn Error>> {
    let namespace: &[&str] =
        if rustix::process::geteuid().is_root() { &["--net"] } else { &["--net", "--map-root-user"] };
    let inside = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(namespace).args(["sh", "-c", INSIDE, "sh"]).args(command);
        unshare
    };
    let probe = inside(&["true"]).stderr(Stdio::null()).status();
    let program = std::env::current_exe()?.display().to_string();
    let mut command = match probe {
        Ok(status) if status.success() => inside(&[&program]),
        Ok(_) | Err(_) => {
            println!("no namespace can be made, so bytes of other programs are counted too");
            Command::new(&program)
        }
    };
    let full: &[&str] = if is_full { &["--bench"] } else { &[] };
    let status = command.args([GOSSIP, &members.to_string()]).args(full).status()?;
    if status.success() { Ok(()) } else { Err("the swarms did not do what they must".into()) }
}

async fn gossip(size: Size, is_full: bool) -> Result<(), Box<dyn Error>> {
    println!("{} swarms in one process, all on loopback", size.members);
    let found = gossip::measure(size).await?;
    let gossip::Measured { converged, p99, median, arrived, idle, healed, arrived_after, peak_mib } = found;
    let gossip::Idle { bytes, payload, segments, percent } = idle;
    println!("four connections each, from one known address: after {:.1} s", converged.as_secs_f64());
    println!("2 KiB task announcements: median {median:.1?}, p99 {p99:.1?}, {} of {} arrived", arrived.0, arrived.1);
    println!(
        "a member at rest for {:?}: {percent:.4} % of a core, {bytes:.0} B/s sent and received with all headers",
        size.rest
    );
    println!("of these {payload:.0} B/s are TCP payload; {segments:.2} segments a second sent and received");
    println!("30 in 100 killed: four living connections again after {:.1} s", healed.as_secs_f64());
    println!("announced after that: {} of {} arrived", arrived_after.0, arrived_after.1);
    println!("memory at its peak: {peak_mib:.0} MiB");
    if arrived.0 != arrived.1 || arrived_after.0 != arrived_after.1 {
        return Err("announcements were lost".into());
    }
    let is_held =
        p99 < Duration::from_millis(150) && healed < Duration::from_secs(15) && bytes < 400.0 && percent < 0.02;
    demand(!is_full || is_held, "p99 below 150 ms, four connections within 15 s, at rest 400 B/s and 0.02 % of a core")
}

async fn heartbeats(nodes: usize, seconds: u64, is_full: bool) -> Result<(), Box<dyn Error>> {
    println!("{nodes} nodes that say every 10 s that they are there, to a coordinator of their own");
    let found = heartbeats::measure(nodes, seconds).await?;
    let heartbeats::Measured { all_online, seconds, percent, peak_mib, looks, not_online } = found;
    println!("all online {all_online:.0} s after the last was started");
    println!("for {seconds:.0} s: {percent:.1} % of a core, {peak_mib:.0} MiB at its peak");
    println!("looked at {looks} times: {not_online} times a node seemed offline");
    if not_online > 0 {
        return Err("a node that is there seemed offline".into());
    }
    demand(!is_full || percent < 30.0 && peak_mib < 512.0, "below 30 % of a core and 512 MiB")
}

/// An error when a full benchmark misses what the README promises.
fn demand(is_held: bool, promise: &str) -> Result<(), Box<dyn Error>> {
    if is_held { Ok(()) } else { Err(format!("the promise does not hold: {promise}").into()) }
}
