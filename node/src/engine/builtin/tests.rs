//! The built-in engine against real sockets in 127.77.1.0/24.

use super::*;
use crate::engine::trial::{Manner, Scanned, admit, admitted, closed_port, scan, scan_until, serve, silent_port, task};
use protocol::observation::PortState;
use rustix::process::{Rlimit, setrlimit};
use std::process::Command;

/// The ports from which the system picks, so that the servers of a test are among them.
const HALF: &str = "32768-65535";

/// Every wanted port was found, and what else was found (a service of this machine on all addresses) really accepts.
fn assert_open(scanned: &Scanned, address: &str, wanted: &[u16]) {
    let open = scanned.open(address);
    assert!(wanted.iter().all(|port| open.contains(port)), "{wanted:?} in {open:?}");
    for port in open.iter().filter(|port| !wanted.contains(port)) {
        std::net::TcpStream::connect((address, *port)).unwrap_or_else(|error| panic!("{port} is not open: {error}"));
    }
}

#[tokio::test]
async fn open_closed_and_filtered_ports_are_told_apart() {
    let address = "127.77.1.1";
    let open = serve(address, Manner::Waits).await;
    let (_listener, _filling, silent) = silent_port(address).await;
    let closed = [closed_port(address), closed_port(address)];
    let ports = format!("{open},{silent},{},{}", closed[0], closed[1]);
    let scanned = scan(&Builtin::new(), admitted(address, &ports, "-T5")).await;
    let host = scanned.host(address);
    let listed: Vec<_> = host.ports.iter().map(|port| (port.port, port.state, port.reason.as_str())).collect();
    let mut wanted = vec![(open, PortState::Open, "syn-ack"), (silent, PortState::Filtered, "no-response")];
    wanted.sort();
    assert_eq!(listed, wanted);
    assert_eq!(host.unlisted.iter().map(|rest| (rest.state, rest.count)).collect::<Vec<_>>(), [(PortState::Closed, 2)]);
    assert_eq!((scanned.progress.cells_done, scanned.progress.cells_total), (4, 4));
    assert_eq!(scanned.progress.hosts_found, 1);
    let coverage = scanned.coverage();
    assert!([open, silent, closed[0]].iter().all(|port| coverage.covers(host.address, Protocol::Tcp, *port)));
    assert_eq!(coverage.probed[0].method, ProbeMethod::Connect);
}

#[tokio::test]
async fn a_listener_that_never_accepts_is_open_while_its_queue_has_room() {
    let listener = std::net::TcpListener::bind("127.77.1.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let scanned = scan(&Builtin::new(), admitted("127.77.1.2", &port.to_string(), "")).await;
    assert_eq!(scanned.open("127.77.1.2"), [port]);
}

#[tokio::test]
async fn on_loopback_a_host_is_there_only_with_an_open_port_and_its_cells_are_covered_either_way() {
    let open = serve("127.77.1.4", Manner::Waits).await;
    for args in ["", "-Pn"] {
        let scanned = scan(&Builtin::new(), admitted("127.77.1.3-5", &open.to_string(), args)).await;
        let states: Vec<_> = scanned.hosts.iter().map(|host| (host.state, host.reason.as_str())).collect();
        let down = (HostState::Down, "no-open-port");
        assert_eq!(states, [down, (HostState::Up, "syn-ack"), down]);
        let coverage = scanned.coverage();
        assert_eq!(coverage.by_port_only.to_string(), "127.77.1.3-127.77.1.5");
        assert!(coverage.covers("127.77.1.5".parse().unwrap(), Protocol::Tcp, open));
    }
}

#[tokio::test]
async fn asking_for_life_alone_covers_no_port() {
    let scanned = scan(&Builtin::new(), admitted("127.77.1.6", "", "-sn")).await;
    assert_eq!(scanned.host("127.77.1.6").state, HostState::Down);
    assert!(scanned.coverage().probed.is_empty());
}

#[tokio::test]
async fn the_short_default_set_and_what_is_left_out_of_it_are_recorded_as_probed() {
    let scanned = scan(&Builtin::new(), admitted("127.77.1.7", "", "-F --exclude-ports 80-90")).await;
    let probed = &scanned.coverage().probed[0].ports;
    assert!(probed.contains(Protocol::Tcp, 443) && !probed.contains(Protocol::Tcp, 80));
    assert_eq!(u64::from(probed.count()), scanned.progress.cells_total);
}

#[tokio::test]
async fn every_open_port_is_found_over_half_of_all_with_few_descriptors() {
    let address = "127.77.1.8";
    let mut wanted = Vec::new();
    for _ in 0..5 {
        wanted.push(serve(address, Manner::Waits).await);
    }
    let scanned = scan(&Builtin::with_descriptors(8), admitted(address, HALF, "-T4")).await;
    assert_open(&scanned, address, &wanted);
    assert_eq!(scanned.progress.cells_done, 32_768);
}

#[test]
fn running_out_of_descriptors_slows_the_scan_and_closes_no_port() {
    const CHILD: &str = "PORTDRIFT_TEST_FEW_DESCRIPTORS";
    const ME: &str = "engine::builtin::tests::running_out_of_descriptors_slows_the_scan_and_closes_no_port";
    if std::env::var_os(CHILD).is_none() {
        let own = std::env::current_exe().unwrap();
        let output = Command::new(own).args(["--exact", ME, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("found all"), "{text}");
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let address = "127.77.1.9";
        let mut wanted = Vec::new();
        for _ in 0..3 {
            wanted.push(serve(address, Manner::Greets(b"")).await);
        }
        let few = Rlimit { current: Some(40), maximum: Some(40) };
        setrlimit(Resource::Nofile, few).unwrap();
        let scanned = scan(&Builtin::with_descriptors(1_024), admitted("127.77.1.9-10", HALF, "-T5")).await;
        assert_open(&scanned, address, &wanted);
        assert_eq!(scanned.coverage().asked.count(), 2);
        println!("found all");
    });
}

#[tokio::test]
async fn a_scan_that_is_stopped_covers_what_it_sent_and_nothing_else() {
    let scanned = scan_until(&Builtin::new(), admitted("127.77.1.128/25", "1-2000", "-T4"), 3).await;
    let coverage = scanned.coverage();
    assert!((3..128).contains(&coverage.asked.count()), "{}", coverage.asked.count());
    assert_eq!(coverage.probed[0].targets, coverage.asked);
}

#[tokio::test]
async fn a_scan_whose_time_is_up_covers_nothing_it_did_not_finish() {
    let mut task = task("127.77.1.64", "1-65535", "--scan-delay 1s");
    task.spec.time_limit = Duration::from_millis(50);
    let scanned = scan(&Builtin::new(), admit(task)).await;
    assert!(scanned.coverage().asked.is_empty() && scanned.coverage().probed.is_empty());
}

#[tokio::test]
async fn a_host_that_runs_out_of_its_time_is_not_observed_and_the_others_are() {
    let (_listener, _filling, silent) = silent_port("127.77.1.66").await;
    let args = "--host-timeout 5s --max-retries 10 --initial-rtt-timeout 2s --min-rtt-timeout 2s";
    let scanned = scan(&Builtin::new(), admitted("127.77.1.65-67", &silent.to_string(), args)).await;
    assert_eq!(scanned.coverage().asked.to_string(), "127.77.1.65,127.77.1.67");
}

#[tokio::test]
async fn what_only_nmap_does_is_refused_by_name() {
    let mut task = task("127.77.1.68", "", "-sC");
    task.spec.engine = protocol::task::EngineChoice::Builtin;
    let refused = crate::policy::Policy::default().admit(task, &"127.0.0.0/8".parse().unwrap()).expect_err("-sC");
    assert!(refused.to_string().contains("-sC"), "{refused}");
}

#[tokio::test]
async fn a_host_with_too_many_open_ports_to_name_is_observed_all_the_same() {
    let address = "127.77.1.69";
    let mut wanted = Vec::new();
    for _ in 0..30 {
        wanted.push(serve(address, Manner::Waits).await);
    }
    let ports = wanted.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let scanned = scan(&Builtin::new(), admitted(address, &ports, "-sV --host-timeout 5s")).await;
    wanted.sort_unstable();
    assert_eq!(scanned.open(address), wanted);
    assert_eq!(scanned.coverage().asked.to_string(), address);
}

#[tokio::test]
async fn ipv6_is_scanned_and_the_options_that_took_effect_are_recorded() {
    let port = serve("::1", Manner::Waits).await;
    let policy = crate::policy::Policy::parse("max_rate = 500\n").unwrap();
    let task = policy.admit(task("::1", &port.to_string(), "-T4"), &"::1".parse().unwrap()).unwrap();
    let scanned = scan(&Builtin::new(), task).await;
    assert_eq!(scanned.open("::1"), [port]);
    let options = &scanned.coverage().options[0];
    assert_eq!(
        (options.engine.as_str(), options.options.as_str(), options.raw),
        ("builtin", "-T4 --max-rate 500", false)
    );
}
