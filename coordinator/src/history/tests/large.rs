//! The benchmark of a delta (SPEC acceptance): two runs of 100,000 hosts with 20 ports each, 2 in 100 changed, compared
//! from the store, against nmap's `ndiff` on the same data in the same run.
//!
//! `cargo test --release -p coordinator --lib -- --ignored --nocapture two_runs_of_100_000_hosts`
//!
//! ndiff takes some minutes and several GiB. `PORTDRIFT_BENCH_HOSTS=10000` makes it smaller; then nothing is demanded.
//! It is a test, and no file of `benches`, because the store is private to this crate.

use super::{PastRun, compared, host};
use crate::analysis::delta::ChangeKind;
use crate::fixture::{Fixture, NOW, result};
use crate::store::{Store, StoreOptions};
use protocol::observation::{HostObservation, Service, ServiceDetection, ServiceMethod};
use protocol::task::RunId;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the store to a child process.
const STORE: &str = "PORTDRIFT_BENCH_STORE";
/// Changed hosts: one in so many.
const CHANGED: u32 = 50;
const PORTS: std::ops::Range<u16> = 8_000..8_020;

/// The host with this number, in the first run or the second.
fn server(number: u32, is_later: bool) -> HostObservation {
    let open: Vec<u16> = PORTS.collect();
    let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
    let mut server = HostObservation { address, ..host("10.0.0.0", &open) };
    for port in &mut server.ports {
        let is_new = is_later && number.is_multiple_of(CHANGED) && port.port == PORTS.start;
        port.service = Some(Service {
            name: "http".into(),
            product: "nginx".into(),
            version: if is_new { "1.20.1" } else { "1.18.0" }.into(),
            method: ServiceMethod::Probed,
            ..Service::default()
        });
    }
    server
}

fn targets(hosts: u32) -> String {
    format!("10.0.0.0-{}", IpAddr::from((0x0a00_0000 + hosts - 1).to_be_bytes()))
}

/// One run through intake and closing, 256 addresses a task; gives the time that closing took.
async fn run(fixture: &Fixture, is_later: bool) -> Duration {
    let mut run = RunId(0);
    for (task, targets) in fixture.leased_tasks().await {
        let found = targets.addresses().map(|address| match address {
            IpAddr::V4(address) => server(address.to_bits() - 0x0a00_0000, is_later),
            IpAddr::V6(_) => unreachable!("they are IPv4"),
        });
        let mut given = result(task, 1, &targets.to_string(), found.collect());
        given.coverage.probed[0].ports = "8000-8019".parse().unwrap();
        given.coverage.services =
            Some(ServiceDetection { engine: "nmap".into(), version: "7.93".into(), intensity: 7 });
        let taken = crate::intake::take(&fixture.store, fixture.node, given, NOW).await.unwrap();
        assert!(taken.ended.is_some(), "{taken:?}");
        run = task.run;
    }
    let began = Instant::now();
    crate::closing::close(&fixture.store, run, NOW).await.unwrap();
    began.elapsed()
}

async fn two_runs(hosts: u32) -> (Fixture, [Duration; 2]) {
    let targets: &'static str = targets(hosts).leak();
    let fixture = Fixture::with(targets, StoreOptions::default()).await;
    fixture.ask_for("8000-8019", "-sV").await;
    let times = [run(&fixture, false).await, run(&fixture, true).await];
    (fixture, times)
}

/// The document that nmap would write.
fn write_xml(path: &Path, hosts: u32, is_later: bool) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    writeln!(
        out,
        "<?xml version=\"1.0\"?>\n<nmaprun scanner=\"nmap\" args=\"nmap -sV\" start=\"1\" version=\"7.93\" xmloutputversion=\"1.05\">\n<scaninfo type=\"connect\" protocol=\"tcp\" numservices=\"20\" services=\"8000-8019\"/>"
    )?;
    for host in (0..hosts).map(|number| server(number, is_later)) {
        write!(
            out,
            "<host><status state=\"up\" reason=\"syn-ack\" reason_ttl=\"0\"/><address addr=\"{}\" addrtype=\"ipv4\"/><ports>",
            host.address
        )?;
        for port in &host.ports {
            let version = port.service.as_ref().map_or("", |service| service.version.as_str());
            write!(
                out,
                "<port protocol=\"tcp\" portid=\"{}\"><state state=\"open\" reason=\"syn-ack\" reason_ttl=\"0\"/><service name=\"http\" product=\"nginx\" version=\"{version}\" method=\"probed\" conf=\"10\"/></port>",
                port.port
            )?;
        }
        writeln!(out, "</ports></host>")?;
    }
    writeln!(
        out,
        "<runstats><finished time=\"2\" exit=\"success\"/><hosts up=\"{hosts}\" down=\"0\" total=\"{hosts}\"/></runstats>\n</nmaprun>"
    )?;
    out.flush()
}

/// Time of ndiff, and the processor seconds that the shell counts for it.
fn ndiff(folder: &Path, hosts: u32) -> (Duration, f64) {
    for (name, is_later) in [("a.xml", false), ("b.xml", true)] {
        write_xml(&folder.join(name), hosts, is_later).unwrap();
    }
    let began = Instant::now();
    let script = "ndiff --xml a.xml b.xml >delta.xml; [ $? = 1 ] || exit 9; times";
    let ran = Command::new("sh").args(["-c", script]).current_dir(folder).stderr(Stdio::inherit()).output().unwrap();
    assert!(ran.status.success(), "ndiff finds changes");
    let times = String::from_utf8(ran.stdout).unwrap();
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
        60.0 * minutes.parse::<f64>().unwrap() + seconds.parse::<f64>().unwrap()
    };
    (began.elapsed(), times.lines().last().unwrap().split_whitespace().map(seconds).sum())
}

/// A number of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time of this process so far, in seconds: fields 14 and 15, in ticks of 10 ms.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Not a test of its own: the process that the benchmark measures. Without the variable it does nothing.
#[tokio::test]
async fn a_child_compares_two_runs_of_a_store() {
    let Some(dir) = std::env::var_os(STORE) else { return };
    let store = Store::open(dir.as_ref(), StoreOptions::default()).unwrap();
    let (began, before) = (Instant::now(), processor_seconds());
    let read = |view: &crate::store::View| {
        let look = |run| Ok::<_, crate::StoreError>(PastRun::read(view, run)?.and_then(|past| past.look).unwrap());
        super::compare(view, crate::fixture::SCAN, (RunId(1), &look(RunId(1))?), (RunId(2), &look(RunId(2))?))
    };
    let found = store.read(read).await.unwrap();
    let (took, used) = (began.elapsed(), processor_seconds() - before);
    println!("\nmeasured {} {} {used} {}", found.changes.len(), took.as_secs_f64(), status("VmHWM"));
    store.close().await;
}

/// Changes, seconds, processor seconds and KiB of a process that compares two runs of this store.
fn compare_in_a_child(store: &Path) -> [f64; 4] {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::tests::large::a_child_compares_two_runs_of_a_store", "--nocapture"])
        .env(STORE, store)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("measured ")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<f64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[tokio::test]
#[ignore = "a benchmark of some minutes; see the head of this file"]
async fn two_runs_of_100_000_hosts() {
    let hosts: u32 = std::env::var("PORTDRIFT_BENCH_HOSTS").map_or(100_000, |hosts| hosts.parse().unwrap());
    let (fixture, closings) = two_runs(hosts).await;
    let ingest_kib = status("VmHWM");
    let folder = fixture.close().await;
    let [changes, took, used, kib] = compare_in_a_child(&folder.path().join("store"));
    assert_eq!(changes, f64::from(hosts.div_ceil(CHANGED)));
    let (theirs, theirs_used) = ndiff(folder.path(), hosts);
    let ratio = theirs.as_secs_f64() / took;
    println!(
        "{ratio:.0} times faster than ndiff ({:.0} times by processor time), {:.0} MiB",
        theirs_used / used.max(0.01),
        kib / 1024.0
    );
    println!(
        "{hosts} hosts, {changes} changes: {took:.3} s ({used:.2} s of processor); ndiff {:.1} s ({theirs_used:.1} s)",
        theirs.as_secs_f64()
    );
    println!(
        "closing the first run {:.1} s, the second {:.1} s; both runs in one process {} MiB",
        closings[0].as_secs_f64(),
        closings[1].as_secs_f64(),
        ingest_kib / 1024
    );
    if hosts >= 100_000 {
        assert!(ratio >= 100.0 && kib < 200.0 * 1024.0, "100 times faster and below 200 MiB");
    }
}

#[tokio::test]
async fn runs_of_more_than_one_task_and_batch_are_compared_whole() {
    let (fixture, _) = two_runs(600).await;
    let found = compared(&fixture, RunId(1), RunId(2)).await;
    assert!(found.changes.iter().all(|change| change.kind == ChangeKind::ServiceChange));
    assert_eq!((found.changes.len(), found.hosts, found.shared_addresses), (12, (600, 600), 600));
}
