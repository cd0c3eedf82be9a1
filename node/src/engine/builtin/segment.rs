//! Tests of the built-in engine on a network segment of its own: two namespaces, a cable between them, no way out.
//!
//! This test binary starts itself in both: as the neighbour that listens, and as the node that scans.

use super::*;
use crate::engine::trial::{Scanned, admitted, scan};
use protocol::observation::PortState;
use std::future::Future;
use std::process::Command;

/// Set in the processes that these tests start of themselves inside the namespaces.
const ROLE: &str = "PORTDRIFT_TEST_SEGMENT";
const REACH: &str = "engine::builtin::segment::hosts_on_a_segment_are_up_down_or_out_of_reach";
const LOSS: &str = "engine::builtin::segment::a_lossy_link_costs_no_port";

/// Makes a neighbour at 198.18.7.2, which knows 198.18.9.0/24 to be unreachable, and runs `$2` there and here.
const SETUP: &str = r#"
set -e
unshare -n sleep 60 & other=$!
trap 'kill $other' EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
inside() { nsenter -t $other -n "$@"; }
ip link set lo up
ip link add va type veth peer name vb netns $other
ip addr add 198.18.7.1/24 dev va
ip link set va up
inside ip addr add 198.18.7.2/24 dev vb
inside ip link set vb up
inside ip link set lo up
inside sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
inside sh -c 'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'
inside ip route add unreachable 198.18.9.0/24
ip route add 198.18.9.0/24 via 198.18.7.2
if [ "$2" = lossy ]; then
    for side in inside env; do
        $side nft add table ip lossy
        $side nft add chain ip lossy in '{ type filter hook input priority 0; }'
        $side nft add rule ip lossy in iifname 'v*' tcp dport 1-65535 numgen random mod 100 '<' 5 drop
    done
fi
if [ "$2" = walls ]; then
    inside ip addr add 198.18.7.4/24 dev vb
    inside ip addr add 198.18.10.1/32 dev lo
    ip route add 198.18.10.0/24 via 198.18.7.2
    inside nft -f - << 'WALLS'
table ip walls {
    chain in {
        type filter hook input priority 0;
        ip daddr 198.18.7.4 ip protocol { tcp, icmp } drop
        ip daddr 198.18.7.2 icmp type echo-request drop
        tcp dport 600-609 drop
        tcp dport 610 reject with icmp type admin-prohibited
        tcp dport 611 reject with icmp type host-prohibited
        tcp dport 612 reject with tcp reset
    }
    chain out {
        type filter hook output priority 0;
        tcp sport 703 tcp flags & (syn | ack) == (syn | ack) quota until 100 bytes drop
    }
}
WALLS
fi
export PORTDRIFT_TEST_SEGMENT=neighbour
nsenter -t $other -n "$0" --exact "$1" --nocapture > /dev/null 2>&1 & listening=$!
trap 'kill $other $listening' EXIT
for try in $(seq 100); do inside grep -q :03E8 /proc/net/tcp && break; sleep 0.1; done
echo ready
export PORTDRIFT_TEST_SEGMENT=node
"$0" --exact "$1" --nocapture
"#;

/// Plays the role that this process was given, or sets the scene and gives the roles.
pub(super) fn on_a_segment(test: &str, link: &str, node: impl Future<Output = ()>) {
    match std::env::var(ROLE).as_deref() {
        Ok("neighbour") => listen(),
        Ok(_) => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(node),
        Err(_) => set_the_scene(test, link),
    }
}

/// Every third port from 700 to 1000 accepts.
fn listen() {
    let open = (700..=1_000).filter(|port| port % 3 == 1);
    let listeners: Vec<_> = open.map(|port| std::net::TcpListener::bind(("198.18.7.2", port)).unwrap()).collect();
    while listeners.first().is_some_and(|listener| listener.accept().is_ok()) {}
}

fn set_the_scene(test: &str, link: &str) {
    let own = std::env::current_exe().unwrap();
    let output = Command::new("unshare").args(["-n", "sh", "-c", SETUP]).arg(own).args([test, link]).output();
    let text = output.as_ref().map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !text.starts_with("ready") {
        assert!(std::env::var_os("PORTDRIFT_NO_SKIP").is_none(), "no namespaces here: {output:?}");
        println!("skipped: this machine lets the test make no network namespaces");
        return;
    }
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("looked around"), "{text}{errors}");
}

#[test]
fn hosts_on_a_segment_are_up_down_or_out_of_reach() {
    on_a_segment(REACH, "clean", look_around());
}

#[test]
fn a_lossy_link_costs_no_port() {
    on_a_segment(LOSS, "lossy", look_through_losses());
}

/// One packet in twenty is lost each way.
async fn look_through_losses() {
    let scanned = scan(&Builtin::new(), admitted("198.18.7.2", "700-1000", "")).await;
    assert_eq!(scanned.open("198.18.7.2"), (700..=1_000).filter(|port| port % 3 == 1).collect::<Vec<u16>>());
    let unlisted = &scanned.host("198.18.7.2").unlisted;
    assert_eq!((unlisted.len(), unlisted[0].state, unlisted[0].count), (1, PortState::Closed, 200));
    println!("looked around");
}

async fn scanned(targets: &str, args: &str) -> Scanned {
    scan(&Builtin::new(), admitted(targets, if args == "-sn" { "" } else { "22,80" }, args)).await
}

async fn look_around() {
    let both = scanned("198.18.7.2-3", "-T4").await;
    let states: Vec<_> = both.hosts.iter().map(|host| (host.state, host.reason.as_str())).collect();
    assert_eq!(states, [(HostState::Up, "conn-refused"), (HostState::Down, "no-response")]);
    assert!(both.coverage().by_port_only.is_empty());
    assert_eq!(both.coverage().probed[0].targets.to_string(), "198.18.7.2/31");
    assert_eq!(both.host("198.18.7.2").unlisted[0].state, PortState::Closed);

    assert_eq!(scanned("198.18.7.2", "-sn").await.host("198.18.7.2").state, HostState::Up);

    let refused = scanned("198.18.9.1", "-T4").await;
    assert_eq!(refused.host("198.18.9.1").reason.as_str(), "host-unreach");
    let silent = scanned("198.18.7.2,198.18.9.1", "-Pn -T4").await;
    let states: Vec<_> = silent.hosts.iter().map(|host| host.state).collect();
    assert_eq!(states, [HostState::Up, HostState::Down]);
    assert_eq!(silent.coverage().by_port_only, silent.coverage().asked);

    // No route at all: this machine's trouble, never the host's.
    assert!(scanned("198.19.0.1", "-T4").await.coverage().asked.is_empty());
    assert!(scanned("198.19.0.1", "-Pn -T4").await.coverage().asked.is_empty());

    // The node's own address on the segment counts like loopback.
    let own = scanned("198.18.7.1", "-T4").await;
    assert_eq!(own.host("198.18.7.1").reason.as_str(), "no-open-port");
    assert_eq!(own.coverage().by_port_only.to_string(), "198.18.7.1");
    println!("looked around");
}
