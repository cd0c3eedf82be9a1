//! Real services of Debian on loopback, identified by the built-in engine, by both engines, and by `nmap -sV`, in turn.
//!
//! `cargo bench --bench services` starts what is installed of benches/services/catalogue.toml, each on a port of its own,
//! says which packages it misses, and prints a table of what each side calls each service and how long it took: medians
//! of three rounds, ratio first. Nothing is installed. As root each service runs as its own user. The tests run it with
//! the first few services and without nmap.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

#[path = "services/catalogue.rs"]
mod catalogue;
#[path = "services/scan.rs"]
mod scan;
#[path = "services/server.rs"]
mod server;
#[path = "services/table.rs"]
mod table;

use catalogue::Entry;
use protocol::task::EngineChoice;
use scan::{Names, Scanner};
use server::Server;
use std::error::Error;
use std::time::{Duration, Instant};

/// How long all services may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Services that the tests start.
const FEW: usize = 3;

/// Argument that starts this very program as the guard of nmap.
const GUARD: &str = node::engine::guard::SUBCOMMAND;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, _, program, rest @ ..] = &arguments[..]
        && word == GUARD
    {
        return Err(node::engine::guard::exec_guarded(program.as_ref(), rest).into());
    }
    let is_full = arguments.iter().any(|argument| argument == "--bench");
    let folder = tempfile::tempdir()?;
    let (mut servers, mut missing) = (Vec::new(), Vec::new());
    for (place, entry) in catalogue::read()?.into_iter().enumerate() {
        if !entry.is_installed() {
            missing.push(entry.package);
        } else if is_full || servers.len() < FEW {
            servers.push(Server::start(entry, place, folder.path())?);
        }
    }
    missing.sort();
    missing.dedup();
    if !missing.is_empty() {
        println!("not installed, so left out: {}", missing.join(" "));
    }
    let servers = wait_for(servers);
    if servers.is_empty() {
        println!("nothing to ask");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(compare(&servers, is_full))
}

/// Those that listen in time; tells of the others.
fn wait_for(servers: Vec<Server>) -> Vec<Server> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !servers.iter().all(Server::listens) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (up, down): (Vec<Server>, Vec<Server>) = servers.into_iter().partition(Server::listens);
    for server in &down {
        println!("{} did not start: {}", server.entry.name, server.complaint());
    }
    up
}

async fn compare(servers: &[Server], is_full: bool) -> Result<(), Box<dyn Error>> {
    let mut scanner = Scanner::new().await?;
    let rounds = if is_full { 3 } else { 1 };
    let (mut builtin, mut both, mut nmap) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        builtin.push(scanner.identify(EngineChoice::Builtin, servers).await?);
        if is_full && scanner.has_nmap() {
            both.push(scanner.identify(EngineChoice::Auto, servers).await?);
            nmap.push(scan::nmap(servers).await?);
        }
    }
    let names: Vec<Names> = [&builtin, &both, &nmap].map(|rounds| rounds.first().cloned().unwrap_or_default().1).into();
    let [ours, merged, theirs] = &names[..] else { return Err("three sides".into()) };
    let seconds = [builtin, both, nmap].map(|rounds| table::median(rounds.into_iter().map(|(took, _)| took).collect()));
    let entries: Vec<(&Entry, _)> = servers.iter().map(|server| (&server.entry, server.target)).collect();
    let verdict = table::print(&entries, ours, merged, theirs);
    if let [Some(ours), Some(both), Some(nmap)] = seconds {
        println!("identification, medians of {rounds} rounds, {} services:", servers.len());
        println!("| | times as fast as `nmap -sV -T4` | seconds |\n|---|---|---|");
        println!("| built-in | {:.1} | {ours:.2} |", nmap / ours);
        println!("| auto | {:.1} | {both:.2} |", nmap / both);
        println!("| nmap | 1 | {nmap:.2} |");
        let is_held = verdict.contradicted == 0 && verdict.equal * 100 >= verdict.told * 95 && nmap / ours >= 10.0;
        println!(
            "of {} services that nmap names, {} are named in its words, {} in other words",
            verdict.told, verdict.equal, verdict.contradicted
        );
        if !is_held {
            return Err("the promise does not hold: 95 in 100 equal, none contradicted, 10 times as fast".into());
        }
    } else if ours.is_empty() {
        return Err("the built-in engine named nothing".into());
    }
    Ok(())
}
