//! Half-open scans of a network segment of its own, see [`super::super::segment`].

use crate::engine::builtin::Builtin;
use crate::engine::builtin::segment::on_a_segment;
use crate::engine::trial::{Scanned, scan, task};
use crate::policy::Policy;
use protocol::observation::{HostState, PortState, ProbeMethod};
use std::time::Instant;

const WALLS: &str = "engine::builtin::raw::segment::hosts_and_walls_on_a_segment_are_told_apart";
const LOSS: &str = "engine::builtin::raw::segment::a_lossy_link_costs_no_port_and_makes_none_up";

/// The ports that the neighbour listens on.
fn listening() -> Vec<u16> {
    (700..=1_000).filter(|port| port % 3 == 1).collect()
}

async fn scanned(targets: &str, ports: &str, args: &str) -> Scanned {
    let policy = Policy::parse("raw_packets = true\n").unwrap();
    let task = policy.admit(task(targets, ports, args), &"198.18.0.0/15".parse().unwrap()).unwrap();
    scan(&Builtin::new(), task).await
}

fn told(scanned: &Scanned) -> Vec<(HostState, &str)> {
    scanned.hosts.iter().map(|host| (host.state, host.reason.as_str())).collect()
}

#[test]
fn hosts_and_walls_on_a_segment_are_told_apart() {
    on_a_segment(WALLS, "walls", look_at_walls());
}

#[test]
fn a_lossy_link_costs_no_port_and_makes_none_up() {
    on_a_segment(LOSS, "lossy", look_through_losses());
}

async fn look_at_walls() {
    // 703 answers only the third question, and only since each comes from a port of its own.
    let both = scanned("198.18.7.2-3", "590-1000", "-T4").await;
    assert_eq!(told(&both), [(HostState::Up, "arp-response"), (HostState::Down, "no-response")]);
    assert_eq!(both.open("198.18.7.2"), listening());
    let host = both.host("198.18.7.2");
    assert_eq!(host.mac.as_ref().map(|mac| mac.address.as_str().len()), Some(17));
    let walls: Vec<_> = host.ports.iter().filter(|port| port.state == PortState::Filtered).collect();
    let walls: Vec<_> = walls.iter().map(|port| (port.port, port.reason.as_str())).collect();
    let silent = (600..610).map(|port| (port, "no-response"));
    assert_eq!(walls, silent.chain([(610, "admin-prohibited"), (611, "host-prohibited")]).collect::<Vec<_>>());
    assert_eq!(
        host.unlisted.iter().map(|rest| (rest.state, rest.count)).collect::<Vec<_>>(),
        [(PortState::Closed, 298)]
    );
    assert_eq!(both.coverage().probed[0].method, ProbeMethod::Syn);
    assert!(both.coverage().options[0].raw);
    assert_eq!(both.progress.cells_done, both.progress.cells_total);

    let start = Instant::now();
    let silent = scanned("198.18.7.4", "1-1000", "-T4").await;
    println!("1,000 silent ports took {:?}", start.elapsed());
    assert_eq!(told(&silent), [(HostState::Up, "arp-response")]);
    assert_eq!(silent.host("198.18.7.4").unlisted[0].count, 1_000);

    // Without discovery ARP asks all the same; where it may not, the number of silent ports is all there is to tell.
    let unasked = scanned("198.18.7.4", "1-40", "-Pn -T5").await;
    assert_eq!(told(&unasked), [(HostState::Up, "arp-response")]);
    assert!(unasked.coverage().by_port_only.is_empty());
    let unproven = scanned("198.18.7.4", "1-40", "-Pn -T5 --disable-arp-ping").await;
    assert_eq!(told(&unproven), [(HostState::Down, "no-response")]);
    assert_eq!(unproven.coverage().by_port_only, unproven.coverage().asked);
    for host in [unasked.host("198.18.7.4"), unproven.host("198.18.7.4")] {
        assert_eq!((host.unlisted[0].state, host.unlisted[0].count), (PortState::Filtered, 40));
    }

    // Beyond the segment there is no ARP.
    let behind = scanned("198.18.10.1-2", "700-702", "-T4").await;
    assert_eq!(told(&behind), [(HostState::Up, "echo-reply"), (HostState::Down, "net-unreach")]);
    assert_eq!(scanned("198.18.10.1", "", "-sn").await.host("198.18.10.1").state, HostState::Up);
    let refused = scanned("198.18.9.1", "80", "-T4").await;
    assert_eq!(told(&refused), [(HostState::Down, "host-unreach")]);

    // Without ARP the wall hides the host from echo, but not from the ports that are asked anyway.
    let by_port = scanned("198.18.7.2", "700", "-T4 --disable-arp-ping").await;
    assert_eq!(told(&by_port), [(HostState::Up, "reset")]);

    // No route at all: this machine's trouble, never the host's.
    assert!(scanned("198.19.0.1", "80", "-Pn -T4").await.coverage().asked.is_empty());
    let connect = scanned("198.18.7.2", "700-702", "-T4 -sT").await;
    assert_eq!(connect.coverage().probed[0].method, ProbeMethod::Connect);
    println!("looked around");
}

/// One packet in twenty is lost each way.
async fn look_through_losses() {
    let start = Instant::now();
    let scanned = scanned("198.18.7.2", "1-65535", "-T4").await;
    println!("65,535 ports with loss took {:?}", start.elapsed());
    assert_eq!(scanned.open("198.18.7.2"), listening());
    let unlisted: Vec<_> = scanned.host("198.18.7.2").unlisted.iter().map(|rest| (rest.state, rest.count)).collect();
    assert_eq!(unlisted, [(PortState::Closed, 65_535 - 101)]);
    println!("looked around");
}
