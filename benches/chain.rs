//! The whole chain, from the wish for a run to its report: two real nodes and a real coordinator.
//!
//! `cargo bench --bench chain` makes hosts of network namespaces (198.18.0.0/15 inside of them, no way out): a plant of 254
//! hosts with 1,000 ports each and the coordinator, and two nodes on links of their own. Three times it lets the mesh scan
//! the plant with the times of the field, and then each node's share with the engine alone, side by side and without any
//! mesh; what the chain adds is the difference. At the end the first and the last run are compared by the coordinator and,
//! as documents, by `ndiff`. Takes `unshare` and `ip`, as root or where users may make namespaces, python3 and ndiff. The
//! tests run it small.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "paths/chance.rs"]
mod chance;
#[path = "paths/field.rs"]
#[expect(dead_code, reason = "the bench of paths knows what must be found, and silence")]
mod field;
#[path = "chain/mesh.rs"]
mod mesh;
#[path = "paths/namespace.rs"]
#[expect(dead_code, reason = "the bench of paths opens sockets inside")]
mod namespace;
#[path = "paths/part.rs"]
#[expect(dead_code, reason = "the bench of paths hears what its parts have counted")]
mod part;
#[path = "ndiff/process.rs"]
#[expect(dead_code, reason = "other benchmarks take their size and their promise from it")]
mod process;
#[path = "paths/product.rs"]
#[expect(dead_code, reason = "the bench of paths asks which modes there are")]
mod product;
#[path = "chain/program.rs"]
mod program;

use field::Field;
use mesh::{Mesh, NODES};
use process::{NDIFF, median};
use protocol::{TargetSet, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;
use web::api::compare::Comparison;
use web::api::runs::RunDetail;

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: u16 = 3;
/// How the plant is scanned, by the mesh and by the engine alone.
const ARGS: &str = "-Pn -T4 -sT";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = || arguments.iter().skip(1).cloned();
    match arguments.first().map(String::as_str) {
        Some(field::LISTEN) => field::listen(rest()),
        Some(product::SCAN) => product::scan(rest()),
        Some(_) | None => {
            if namespace::enter(&arguments)? {
                bench(&arguments)
            } else {
                Ok(())
            }
        }
    }
}

/// One run of the mesh, and its scans repeated without the mesh; in seconds.
struct Round {
    whole: f64,
    /// From the wish until the last task ended.
    until_scanned: f64,
    /// The slower of the two engines, each with its node's share.
    alone: f64,
    run: u64,
}

fn bench(arguments: &[String]) -> Outcome<()> {
    let is_small = !arguments.iter().any(|argument| argument == "--bench");
    let (hosts, ports) = if is_small { (8, 50) } else { (254, 1_000) };
    let field = Field { hosts, ports, open: 10, is_silent: false };
    let mut mesh = Mesh::start(field)?;
    let args = format!("--args={ARGS}");
    let scan = ["scans", "create", "plant", "--targets", &field.targets(), "--ports", &field.port_range(), &args];
    mesh.ask(&scan)?;
    println!("{hosts} hosts x {ports} ports, two nodes, {ROUNDS} rounds, each with one more open port on each host");
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let field = Field { open: field.open + round, ..field };
        mesh.listen(field)?;
        rounds.push(measure(&mesh, field)?);
    }
    tell(&rounds);
    compare(&mesh, &rounds, usize::from(hosts) * usize::from(ROUNDS - 1))
}

fn measure(mesh: &Mesh, field: Field) -> Outcome<Round> {
    #[derive(Deserialize)]
    struct Ended {
        run: RunDetail,
    }
    let told = mesh.ask(&["scans", "run", "plant", "--wait", "--json"])?;
    let Ended { run } = serde_json::from_str(&told)?;
    let open = usize::from(field.hosts) * usize::from(field.open);
    if run.run.state != "completed" || run.run.open_ports.map(usize::try_from) != Some(Ok(open)) {
        return Err(format!("run {} is no whole run with {open} open ports: {run:?}", run.run.id).into());
    }
    let created = run.run.created_at;
    let ended = run.run.ended_at.ok_or("a run that ended without a time")?;
    let scanned = run.tasks.iter().filter_map(|task| task.ended_at).max().ok_or("no task ended")?;
    let mut shares: BTreeMap<String, TargetSet> = BTreeMap::new();
    for task in &run.tasks {
        let share = shares.entry(task.node.as_ref().map(ToString::to_string).unwrap_or_default()).or_default();
        *share = share.union(&task.targets);
    }
    if shares.len() != NODES.len() {
        return Err(format!("not every node took part: {shares:?}").into());
    }
    let alone = alone(shares.values(), field)?;
    let whole = seconds(created, ended);
    Ok(Round { whole, until_scanned: seconds(created, scanned), alone, run: run.run.id.0 })
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64()
}

/// Scans each share with the engine alone, side by side; gives the time of the slower one.
fn alone<'a>(shares: impl Iterator<Item = &'a TargetSet>, field: Field) -> Outcome<f64> {
    let program = std::env::current_exe()?.display().to_string();
    let ports = field.port_range();
    let scan = |host: &'static str, share: String| {
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", host, &program, product::SCAN, &share, &ports]).args(ARGS.split(' '));
        let began = Instant::now();
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(began.elapsed().as_secs_f64()) } else { Err(format!("{output:?}")) }
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = NODES
            .into_iter()
            .zip(shares.map(TargetSet::to_string))
            .map(|(host, share)| scope.spawn(move || scan(host, share)))
            .collect();
        let mut slower = 0.0_f64;
        for scan in started {
            slower = slower.max(scan.join().map_err(|_| "a scan broke")??);
        }
        Ok(slower)
    })
}

fn tell(rounds: &[Round]) {
    let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let (whole, alone) = (middle(|round| round.whole), middle(|round| round.alone));
    let part = whole / alone;
    let word = if part <= 1.3 { "met" } else { "not met" };
    println!(
        "target end to end: {part:.2} times the slower node's own scan ({whole:.2} s, {alone:.2} s), at most 1.3: {word}"
    );
    for Round { whole, until_scanned, alone, run } in rounds {
        println!(
            "run {run}: report after {whole:.2} s, all scanned after {until_scanned:.2} s; the engines alone {alone:.2} s"
        );
    }
}

/// The first run against the last, by the coordinator and by ndiff.
fn compare(mesh: &Mesh, rounds: &[Round], expected: usize) -> Outcome<()> {
    let (Some(first), Some(last)) = (rounds.first(), rounds.last()) else { return Err("no rounds".into()) };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let at = |name: &str| mesh.home().join(name).display().to_string();
    for round in [first, last] {
        let file = at(&format!("{}.xml", round.run));
        mesh.ask(&["reports", "export", &round.run.to_string(), "--format", "xml", "--output", &file])?;
    }
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found: Comparison = mesh.get(&format!("/compare?scan=1&from={}&to={}", first.run, last.run))?;
        ours.push(began.elapsed().as_secs_f64());
        if found.changes.len() != expected {
            return Err(format!("{} changes, not {expected}", found.changes.len()).into());
        }
        let files = [first, last].map(|round| at(&format!("{}.xml", round.run)));
        theirs.push(process::measure("/dev/null", &[NDIFF, &files[0], &files[1]])?.elapsed);
    }
    let (ours, theirs) = (median(ours.into_iter()), median(theirs.into_iter()));
    println!(
        "delta of the two runs: {:.0} times faster than ndiff ({:.1} ms, {:.1} ms)",
        theirs / ours,
        ours * 1e3,
        theirs * 1e3
    );
    Ok(())
}
