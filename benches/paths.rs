//! The built-in engine beside nmap, masscan and rustscan, on clean, lossy, narrow and silent paths.
//!
//! `cargo bench --bench paths` makes two hosts of network namespaces (198.18.0.0/15 inside of them, no way out), joins
//! them with a veth pair or with a wire of its own that has delay, loss, a rate and a queue, and lets peer and product
//! scan in turn, three rounds each, every time between new hosts. What was found is held against what listens; the
//! product then goes on alone up to 20 scans, so that recall rests on more. It ends with a table for the README.
//!
//! `cargo bench --bench paths -- clean many` takes these paths only, `-- 1` one round and no more; the tests run all of it
//! small. Takes `unshare`, `ip` and `nft`, as root or where users may make namespaces, and python3. A peer that is not
//! installed is left out with a word on how to get it.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "paths/chance.rs"]
mod chance;
#[path = "paths/field.rs"]
mod field;
#[path = "paths/lab.rs"]
mod lab;
#[path = "paths/link.rs"]
mod link;
#[path = "paths/namespace.rs"]
mod namespace;
#[path = "paths/part.rs"]
mod part;
#[path = "ndiff/process.rs"]
#[expect(dead_code, reason = "other benchmarks compare documents with it")]
mod process;
#[path = "paths/product.rs"]
mod product;
#[path = "paths/rehearsal.rs"]
mod rehearsal;
#[path = "paths/scanner.rs"]
mod scanner;
#[path = "paths/scenario.rs"]
mod scenario;
#[path = "paths/table.rs"]
mod table;
#[path = "paths/wire.rs"]
mod wire;

use lab::{Lab, NEAR};
use scanner::Scanner;
use scenario::Scenario;
use std::error::Error;
use table::{Round, Row, Told};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Scans of each scanner that are timed, and of the product in all.
const ROUNDS: usize = 3;
const RUNS: usize = 20;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = || arguments.iter().skip(1).cloned();
    match arguments.first().map(String::as_str) {
        Some(wire::WIRE) => wire::serve(rest()),
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

fn bench(arguments: &[String]) -> Outcome<()> {
    let is_small = !arguments.iter().any(|argument| argument == "--bench");
    let typed = arguments.iter().find_map(|argument| argument.parse().ok());
    let rounds = typed.unwrap_or(if is_small { 1 } else { ROUNDS });
    let runs = if is_small || typed.is_some() { rounds } else { RUNS };
    let is_named = |scenario: &Scenario| arguments.iter().any(|argument| argument == scenario.name);
    let all = scenario::all(is_small);
    let is_chosen = all.iter().any(is_named);
    rehearsal::tell(if is_small { 20_000 } else { 1_000_000 })?;
    let mut told = Vec::new();
    for scenario in all.into_iter().filter(|scenario| !is_chosen || is_named(scenario)) {
        println!("\n{}", scenario.title);
        let rows = measure(&scenario, rounds, runs)?;
        let one = Told { scenario, rows };
        one.tell_targets();
        one.tell_rounds();
        told.push(one);
    }
    table::print(&told);
    // What a test must hold to; on time nothing is built.
    let is_right =
        |row: &Row| !row.scanner.is_ours() || row.rounds.iter().all(|round| round.missed + round.false_opens == 0);
    if told.iter().flat_map(|one| &one.rows).all(is_right) {
        Ok(())
    } else {
        Err("the product did not tell the truth".into())
    }
}

/// Scans in turn, then with the product alone.
fn measure(scenario: &Scenario, rounds: usize, runs: usize) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for scanner in &scenario.scanners {
        match scanner.absence() {
            Some(why) => println!("without {}: {why}", scanner.name()),
            None => rows.push(Row { scanner: *scanner, rounds: Vec::new(), timed: rounds }),
        }
    }
    for number in 0..runs {
        for row in rows.iter_mut().filter(|row| number < rounds || row.scanner.is_ours()) {
            row.rounds.push(scan(scenario, row.scanner)?);
        }
    }
    Ok(rows)
}

/// One scan between new hosts.
fn scan(scenario: &Scenario, scanner: Scanner) -> Outcome<Round> {
    let lab = Lab::new(scenario.path, scenario.field)?;
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("output").display().to_string();
    let program = std::env::current_exe()?.display().to_string();
    let words = scanner.command(&program, scenario.field);
    let mut command = vec!["ip", "netns", "exec", NEAR];
    command.extend(words.iter().map(String::as_str));
    let taken = process::measure(&output, &command)?;
    let carried = lab.end()?;
    let found = scanner.read(&std::fs::read_to_string(&output)?);
    if found.method.as_deref() != scanner.method() {
        return Err(format!("{} scanned by {:?}", scanner.name(), found.method).into());
    }
    let open = scenario.field.open();
    Ok(Round {
        taken,
        missed: open.difference(&found.open).count(),
        false_opens: found.open.difference(&open).count(),
        filtered: found.filtered,
        carried,
    })
}
