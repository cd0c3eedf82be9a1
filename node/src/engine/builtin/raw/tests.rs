//! Half-open scans of this machine's own loopback, which takes root.

use crate::engine::builtin::Builtin;
use crate::engine::trial::{Manner, Scanned, closed_port, scan, scan_until, serve, silent_port, task};
use crate::policy::Policy;
use protocol::observation::{HostState, PortState, ProbeMethod};
use std::time::{Duration, Instant};

/// True where raw packets may be sent; else the test is skipped, or fails where nothing may be skipped.
fn may_send_raw() -> bool {
    let may = Builtin::may_send_raw();
    assert!(may || std::env::var_os("PORTDRIFT_NO_SKIP").is_none(), "raw packets take CAP_NET_RAW");
    if !may {
        println!("skipped: raw packets take CAP_NET_RAW");
    }
    may
}

fn admitted(targets: &str, ports: &str, args: &str, policy: &str) -> crate::policy::AdmittedTask {
    let policy = Policy::parse(&format!("raw_packets = true\n{policy}")).unwrap();
    policy.admit(task(targets, ports, args), &"127.0.0.0/8,::1".parse().unwrap()).unwrap()
}

async fn scanned(targets: &str, ports: &str, args: &str) -> Scanned {
    scan(&Builtin::new(), admitted(targets, ports, args, "")).await
}

#[tokio::test]
async fn raw_ip_reaches_loopback_and_tells_open_closed_and_filtered_apart() {
    if !may_send_raw() {
        return;
    }
    let address = "127.77.2.1";
    let open = serve(address, Manner::Waits).await;
    let (_listener, _filling, silent) = silent_port(address).await;
    let closed = closed_port(address);
    let scanned = scanned(address, &format!("{open},{silent},{closed}"), "-T5").await;
    let mut listed: Vec<_> =
        scanned.host(address).ports.iter().map(|port| (port.port, port.state, port.reason.as_str())).collect();
    listed.sort_unstable_by_key(|(port, ..)| *port != open);
    assert_eq!(listed[0], (open, PortState::Open, "syn-ack"));
    // A full queue takes no SYN; what it says of one depends on the kernel, but open it is not.
    assert!(
        listed.iter().skip(1).all(|(port, state, _)| (*port, *state) == (silent, PortState::Filtered)),
        "{listed:?}"
    );
    assert_eq!(scanned.coverage().probed[0].method, ProbeMethod::Syn);
    assert!(scanned.coverage().options[0].raw);
}

#[tokio::test]
async fn every_port_of_a_host_is_asked_and_only_listeners_are_open() {
    if !may_send_raw() {
        return;
    }
    let address = "127.77.2.2";
    let mut wanted = Vec::new();
    for _ in 0..5 {
        wanted.push(serve(address, Manner::Waits).await);
    }
    let start = Instant::now();
    let scanned = scanned(address, "1-65535", "-T4").await;
    println!("65,535 ports of loopback took {:?}", start.elapsed());
    let open = scanned.open(address);
    assert!(wanted.iter().all(|port| open.contains(port)), "{wanted:?} in {open:?}");
    for port in open.iter().filter(|port| !wanted.contains(port)) {
        std::net::TcpStream::connect((address, *port)).unwrap_or_else(|error| panic!("{port} is not open: {error}"));
    }
    assert_eq!((scanned.progress.cells_done, scanned.progress.cells_total), (65_535, 65_535));
}

#[tokio::test]
async fn ipv6_and_many_hosts_at_once_are_scanned() {
    if !may_send_raw() {
        return;
    }
    let port = serve("::1", Manner::Waits).await;
    let six = scanned("::1", &format!("{port},9"), "-T4").await;
    assert_eq!(six.open("::1"), [port]);
    assert_eq!(six.host("::1").unlisted[0].state, PortState::Closed);
    let open = serve("127.77.2.70", Manner::Waits).await;
    let many = scanned("127.77.2.64/28", &open.to_string(), "-T4").await;
    let up: Vec<_> = many.hosts.iter().filter(|host| host.state == HostState::Up).map(|host| host.address).collect();
    assert_eq!(up, ["127.77.2.70".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(many.coverage().by_port_only.count(), 16);
}

#[tokio::test]
async fn no_more_packets_leave_than_the_author_and_the_owner_allow() {
    if !may_send_raw() {
        return;
    }
    for (args, policy) in [("-T4 --max-rate 1000", ""), ("-T4", "max_rate = 1000\n"), ("-T4", "max_host_rate = 1000\n")]
    {
        let start = Instant::now();
        let scanned = scan(&Builtin::new(), admitted("127.77.2.3", "1-500", args, policy)).await;
        assert_eq!(scanned.coverage().asked.count(), 1);
        assert!(start.elapsed() >= Duration::from_millis(480), "{args} {policy}: {:?}", start.elapsed());
    }
    let start = Instant::now();
    scan(&Builtin::new().with_node_rate(1_000), admitted("127.77.2.3", "1-500", "-T4", "")).await;
    assert!(start.elapsed() >= Duration::from_millis(480), "of the node: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_scan_that_is_stopped_covers_what_it_sent() {
    if !may_send_raw() {
        return;
    }
    let task = admitted("127.77.2.128/25", "1-300", "-T4 --max-rate 20000", "");
    let scanned = scan_until(&Builtin::new(), task, 3).await;
    assert!((3..=128).contains(&scanned.coverage().asked.count()));
}

#[tokio::test]
async fn slow_templates_send_one_probe_at_a_time() {
    if !may_send_raw() {
        return;
    }
    let start = Instant::now();
    let scanned = scanned("127.77.2.4", "1-3", "-T2").await;
    assert_eq!(scanned.coverage().asked.count(), 1);
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
}
