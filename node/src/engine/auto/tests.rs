//! The choice of engines, what is left for nmap, and tasks done by both: with the real nmap, and with false ones.

mod both;

use super::*;
use crate::engine::nmap::{FollowUp, Kind};
use crate::engine::trial::admitted;
use plan::Left;
use protocol::observation::{
    HostObservation, HostState, PortObservation, PortState, Service, ServiceMethod, UnlistedPorts,
};
use protocol::target::TargetSet;
use protocol::time::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// Which engine is chosen without nmap and with it, where raw packets may be sent and where not; or what is said instead.
fn told(engine: EngineChoice, args: &str) -> String {
    let nmap = |raw| Some(NmapFacts { path: PathBuf::from("/usr/bin/nmap"), version: "7.93".to_owned(), raw });
    let spec = TaskSpec {
        targets: TargetSet::empty(),
        ports: None,
        args: args.parse().unwrap(),
        engine,
        time_limit: Duration::ZERO,
    };
    let means = [("none", None, false), ("raw", None, true), ("nmap", nmap(false), false), ("both", nmap(true), true)];
    let said = means.iter().map(|(name, nmap, builtin_raw)| match choose(&spec, nmap.as_ref(), *builtin_raw) {
        Ok(chosen) => format!("\n  {name}: {chosen:?}"),
        Err(error) => format!("\n  {name}: {error}"),
    });
    format!("{engine} {args}{}", said.collect::<String>())
}

#[test]
fn the_builtin_engine_serves_what_it_can_and_the_rest_is_named() {
    let lines = [
        (EngineChoice::Auto, "-T4 -sV --host-timeout 30s --max-retries 1"),
        (EngineChoice::Auto, "-T5 -F -Pn"),
        (EngineChoice::Auto, "-sU"),
        (EngineChoice::Auto, "-sC"),
        (EngineChoice::Auto, "-A -T4"),
        (EngineChoice::Auto, "-sT -sU"),
        (EngineChoice::Auto, "-sV -PS80"),
        (EngineChoice::Builtin, "-sC"),
        (EngineChoice::Nmap, "-sV"),
    ]
    .map(|(engine, args)| told(engine, args));
    insta::assert_snapshot!(lines.join("\n"), @"
    auto -T4 -sV --host-timeout 30s --max-retries 1
      none: Builtin
      raw: Builtin
      nmap: Both
      both: Both
    auto -T5 -F -Pn
      none: Builtin
      raw: Builtin
      nmap: Builtin
      both: Builtin
    auto -sU
      none: nmap is needed for -sU; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for -sU; install nmap 7.80 or later on this node, or leave that out
      nmap: -sU needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Nmap
    auto -sC
      none: nmap is needed for -sC; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for -sC; install nmap 7.80 or later on this node, or leave that out
      nmap: Both
      both: Both
    auto -A -T4
      none: nmap is needed for -sC, -O, --traceroute; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for -sC, -O, --traceroute; install nmap 7.80 or later on this node, or leave that out
      nmap: -sC, -O, --traceroute needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Both
    auto -sT -sU
      none: nmap is needed for -sU; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for -sU; install nmap 7.80 or later on this node, or leave that out
      nmap: -sU needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Both
    auto -sV -PS80
      none: nmap is needed for -PS; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for -PS; install nmap 7.80 or later on this node, or leave that out
      nmap: Nmap
      both: Nmap
    builtin -sC
      none: the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
      raw: the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
      nmap: the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
      both: the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
    nmap -sV
      none: nmap is needed for engine nmap; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for engine nmap; install nmap 7.80 or later on this node, or leave that out
      nmap: Nmap
      both: Nmap
    ");
}

#[test]
fn half_open_scans_need_raw_packets_of_whoever_makes_them() {
    let lines = [
        (EngineChoice::Auto, "-sS"),
        (EngineChoice::Auto, "-sS -sV"),
        (EngineChoice::Auto, "-sS -O"),
        (EngineChoice::Builtin, "-sS"),
    ]
    .map(|(engine, args)| told(engine, args));
    insta::assert_snapshot!(lines.join("\n"), @"
    auto -sS
      none: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      raw: Builtin
      nmap: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Builtin
    auto -sS -sV
      none: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      raw: Builtin
      nmap: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Both
    auto -sS -O
      none: nmap is needed for -sS, -O; install nmap 7.80 or later on this node, or leave that out
      raw: nmap is needed for -O; install nmap 7.80 or later on this node, or leave that out
      nmap: -sS, -O needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Both
    builtin -sS
      none: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      raw: Builtin
      nmap: -sS needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW
      both: Builtin
    ");
}

/// A host with these open ports; those that are named end in `+`.
fn host(address: &str, ports: &[&str]) -> HostObservation {
    let port = |text: &&str| {
        let method = if text.ends_with('+') { ServiceMethod::Probed } else { ServiceMethod::Table };
        PortObservation {
            protocol: Protocol::Tcp,
            port: text.trim_end_matches('+').parse().unwrap(),
            state: PortState::Open,
            reason: "syn-ack".into(),
            service: Some(Service { name: "http".into(), method, ..Service::default() }),
        }
    };
    HostObservation {
        address: address.parse().unwrap(),
        state: if ports.is_empty() { HostState::Down } else { HostState::Up },
        reason: "syn-ack".into(),
        seen: Timestamp::default(),
        names: Vec::new(),
        mac: None,
        os: None,
        ports: ports.iter().map(port).collect(),
        unlisted: vec![UnlistedPorts { protocol: Protocol::Tcp, state: PortState::Closed, count: 9 }],
    }
}

#[test]
fn nmap_is_asked_only_for_what_is_left_and_hosts_with_equal_lists_share_a_process() {
    let hosts = [
        host("10.0.0.1", &["22+", "80", "443"]),
        host("10.0.0.2", &["80", "443"]),
        host("10.0.0.3", &["22+"]),
        host("10.0.0.4", &["80", "9100"]),
        host("10.0.0.5", &[]),
        host("2001:db8::1", &["80", "443"]),
    ];
    let mut lines = Vec::new();
    for args in ["-sV", "-sV --allports", "-T4", "-sC", "-sC -sV", "-sT -sU"] {
        let policy = crate::policy::Policy::parse("raw_packets = true\n").unwrap();
        let facts = NmapFacts { path: "/usr/bin/nmap".into(), version: "7.93".into(), raw: true };
        let facts = crate::engine::EngineFacts { builtin: String::new(), raw: true, nmap: Some(facts) };
        let ports = if args.contains("-sU") { "T:1-9999,U:53" } else { "1-9999" };
        let task = crate::engine::trial::task("10.0.0.0/28,2001:db8::1", ports, args);
        let task = policy.with_engines(&facts).admit(task, &"0.0.0.0/0,::/0".parse().unwrap()).unwrap();
        let by_port_only = "10.0.0.5".parse().unwrap();
        let wanted = Left::of(&task).follow_ups(hosts.iter(), &"1-9999".parse().unwrap(), &by_port_only);
        let told = wanted.iter().map(|FollowUp { kind, targets, ports }| {
            let ports = ports.as_ref().map_or("nmap's".to_owned(), ToString::to_string);
            format!("\n  {kind:?} {ports} on {targets}")
        });
        lines.push(format!("{args}{}", told.collect::<String>()));
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    -sV
      Names 80 on 10.0.0.4
      Names 80,443 on 10.0.0.1-10.0.0.2
      Names 80,443 on 2001:db8::1
    -sV --allports
      Names 80,443 on 10.0.0.1-10.0.0.2
      Names 80,443 on 2001:db8::1
      Names 80,9100 on 10.0.0.4
    -T4
    -sC
      Depth 22 on 10.0.0.3
      Depth 22,80,443 on 10.0.0.1
      Depth 80,443 on 10.0.0.2
      Depth 80,443 on 2001:db8::1
      Depth 80,9100 on 10.0.0.4
    -sC -sV
      Depth 22 on 10.0.0.3
      Depth 22,80,443 on 10.0.0.1
      Depth 80,443 on 10.0.0.2
      Depth 80,443 on 2001:db8::1
      Depth 80,9100 on 10.0.0.4
    -sT -sU
      Udp U:53 on 10.0.0.1-10.0.0.5
      Udp U:53 on 2001:db8::1
    ");
}

#[test]
fn a_large_group_is_cut_so_that_processes_run_side_by_side() {
    let hosts: Vec<_> = (1..=100).map(|last| host(&format!("10.0.0.{last}"), &["80"])).collect();
    let left = Left::of(&admitted("10.0.0.0/24", "80", "-sV"));
    let wanted = left.follow_ups(hosts.iter(), &"80".parse().unwrap(), &TargetSet::empty());
    assert_eq!(wanted.iter().map(|one| one.targets.count()).collect::<Vec<_>>(), [32, 32, 32, 4]);
    assert!(wanted.iter().all(|one| one.kind == Kind::Names));
}
