//! What accepted arguments mean to engines, policies and pages.

use super::super::{DefaultPorts, ScanArgs};
use super::accepted;
use crate::port::PortSet;
use crate::target::TargetSet;
use std::time::Duration;

/// Canonical text, expanded text, nmap's options, what is beyond the built-in engine, and what a policy must name.
fn described(text: &str) -> String {
    let args = accepted(text);
    let lines = format!(
        "{args}\n  shown   {}\n  nmap    {}\n  beyond  {}\n  policy  {}\n  raw {} ports {:?} {:?}",
        args.expanded(),
        args.nmap_options().join(" | "),
        args.beyond_builtin().join(" "),
        args.policy_gated().join(" "),
        args.needs_raw(),
        args.default_ports(),
        args.protocols(),
    );
    lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_the_guide_work() {
    let examples = [
        "-T4 -sV --host-timeout 30s --max-retries 1",
        "-A -T4 -sV --script=default",
        "-T5 -F --max-retries 1",
        "-sU",
        "-sS",
        "-Pn",
        "-O",
    ];
    for text in examples {
        assert_eq!(accepted(text).to_string(), text, "shown as the guide writes it");
    }
    insta::assert_snapshot!(examples.map(described).join("\n"), @"
    -T4 -sV --host-timeout 30s --max-retries 1
      shown   -T4 -sV --host-timeout 30s --max-retries 1
      nmap    -T4 | -sV | -n | --host-timeout=30s | --max-retries=1
      beyond
      policy
      raw false ports Standard {Tcp}
    -A -T4 -sV --script=default
      shown   -T4 -sV -sC -O --traceroute --script=default
      nmap    -T4 | -sV | -O | --traceroute | -n | --script=default and not (external or http-open-proxy or socks-open-proxy or jdwp-info or ssl-known-key)
      beyond  -sC -O --traceroute --script
      policy
      raw true ports Standard {Tcp}
    -T5 -F --max-retries 1
      shown   -T5 -F --max-retries 1
      nmap    -T5 | -n | -F | --max-retries=1
      beyond
      policy
      raw false ports Fast {Tcp}
    -sU
      shown   -sU
      nmap    -sU | -n
      beyond  -sU
      policy
      raw true ports Standard {Udp}
    -sS
      shown   -sS
      nmap    -sS | -n
      beyond  -sS
      policy
      raw true ports Standard {Tcp}
    -Pn
      shown   -Pn
      nmap    -Pn | -n
      beyond
      policy
      raw false ports Standard {Tcp}
    -O
      shown   -O
      nmap    -O | -n
      beyond  -O
      policy
      raw true ports Standard {Tcp}
    ");
}

#[test]
fn other_arguments_mean_what_nmap_says() {
    let texts = [
        "",
        "-sUV -sT",
        "-sA -R -PO1 -PS22,80 --open --reason",
        "-sn -PE",
        "-sO",
        "-sY --script ssl-cert,banner --script-args tls.servername=a.example,http.max-pipeline=4",
        "--host-timeout 3600s --scan-delay 0s --max-rtt-timeout 1500ms --exclude-ports U:53,22",
    ];
    insta::assert_snapshot!(texts.map(described).join("\n"), @"

      shown
      nmap    -n
      beyond
      policy
      raw false ports Standard {Tcp}
    -sT -sU -sV
      shown   -sT -sU -sV
      nmap    -sT | -sU | -sV | -n
      beyond  -sU
      policy
      raw true ports Standard {Tcp, Udp}
    -sA -PS22,80 -PO1 -R --reason --open
      shown   -sA -PS22,80 -PO1 -R --reason --open
      nmap    -sA | -PS22,80 | -PO1 | -R | --reason
      beyond  -sA -PS -PO -R
      policy  -sA -PO -R
      raw true ports Standard {Tcp}
    -sn -PE
      shown   -sn -PE
      nmap    -sn | -PE | -n
      beyond  -PE
      policy
      raw true ports Standard {}
    -sO
      shown   -sO
      nmap    -sO | -n
      beyond  -sO
      policy  -sO
      raw true ports Standard {}
    -sY --script=banner,ssl-cert --script-args=http.max-pipeline=4,tls.servername=a.example
      shown   -sY --script=banner,ssl-cert --script-args=http.max-pipeline=4,tls.servername=a.example
      nmap    -sY | -n | --script-args=http.max-pipeline=4,tls.servername=a.example | --script=banner,ssl-cert
      beyond  -sY --script --script-args
      policy  -sY --script=banner
      raw true ports Standard {Sctp}
    --exclude-ports U:22,53 --host-timeout 1h --max-rtt-timeout 1500ms --scan-delay 0ms
      shown   --exclude-ports U:22,53 --host-timeout 1h --max-rtt-timeout 1500ms --scan-delay 0ms
      nmap    -n | --exclude-ports=U:22,53 | --host-timeout=1h | --max-rtt-timeout=1500ms | --scan-delay=0ms
      beyond
      policy
      raw false ports Standard {Tcp}
    ");
}

#[test]
fn every_value_can_be_asked_for() {
    let args = accepted(
        "-T2 -sV --version-intensity 4 --host-timeout 30m --script-timeout 9s --max-retries 3 --min-rtt-timeout 30ms \
         --initial-rtt-timeout 40ms --max-rtt-timeout 1s --scan-delay 5ms --max-scan-delay 1m --min-rate 10 --max-rate 20 \
         --min-parallelism 2 --max-parallelism 30 --exclude-ports 25 --top-ports 50 -Pn -r",
    );
    let ms = |ms| Some(Duration::from_millis(ms));
    assert_eq!((args.timing(), args.service_intensity(), args.max_retries()), (2, Some(4), Some(3)));
    assert_eq!((args.host_timeout(), args.script_timeout()), (ms(1_800_000), ms(9_000)));
    assert_eq!(
        (args.min_rtt_timeout(), args.initial_rtt_timeout(), args.max_rtt_timeout()),
        (ms(30), ms(40), ms(1_000))
    );
    assert_eq!((args.scan_delay(), args.max_scan_delay()), (ms(5), ms(60_000)));
    assert_eq!((args.min_rate(), args.max_rate()), (Some(10), Some(20)));
    assert_eq!((args.min_parallelism(), args.max_parallelism()), (Some(2), Some(30)));
    assert_eq!(args.excluded_ports(), Some(&"25".parse().unwrap()));
    assert_eq!(args.default_ports(), DefaultPorts::Top(50));
    assert!(args.skips_discovery() && !args.discovery_only() && args.has("-r") && !args.has("--open"));
    assert!(accepted("-sn").discovery_only());
    assert!(accepted("-A").has("-sC") && !accepted("-A").has("-A"));
}

#[test]
fn nothing_asked_means_nmaps_defaults() {
    let args = ScanArgs::default();
    assert_eq!(accepted(" "), args);
    assert_eq!((args.timing(), args.service_intensity(), args.max_retries()), (3, None, None));
    assert_eq!((args.host_timeout(), args.min_rate(), args.excluded_ports()), (None, None, None));
    assert_eq!((args.default_ports(), args.needs_raw()), (DefaultPorts::Standard, false));
}

#[test]
fn service_intensity_follows_the_options() {
    for (text, intensity) in [
        ("", None),
        ("-O", None),
        ("-sV", Some(7)),
        ("-A", Some(7)),
        ("-sV --version-light", Some(2)),
        ("-A --version-all", Some(9)),
        ("-sV --version-intensity 0", Some(0)),
    ] {
        assert_eq!(accepted(text).service_intensity(), intensity, "{text}");
    }
}

#[test]
fn order_and_spelling_do_not_make_a_difference() {
    for (one, other) in [
        ("-sV -T4", "-T4 -sV"),
        ("-sSV", "-sV -sS"),
        ("--script default,banner", "--script=banner,default"),
        ("--host-timeout 60s", "--host-timeout=1m"),
        ("-PS80,22", "-PS22,80"),
    ] {
        assert_eq!(accepted(one), accepted(other));
    }
    assert_ne!(accepted("-A"), accepted("-sV -sC -O --traceroute"), "as typed, although it means the same");
}

#[test]
fn extra_scripts_are_gated_by_name_and_default_ones_are_not() {
    for (text, gated) in [
        ("-sC", vec![]),
        ("--script default,ssl-cert", vec![]),
        ("-A --script banner,ssl-cert", vec!["--script=banner"]),
        ("--script safe-list", vec!["--script=safe-list"]),
        ("-T5", vec![]),
    ] {
        assert_eq!(accepted(text).policy_gated(), gated, "{text}");
        assert!(accepted(text).policy_gated().iter().all(|name| ScanArgs::is_policy_gated(name)), "{text}");
    }
}

#[test]
fn arguments_are_checked_against_targets_and_ports() {
    let outcome = |(text, targets, ports): &(&str, &str, &str)| {
        let targets: TargetSet = targets.parse().unwrap();
        let ports = (!ports.is_empty()).then(|| ports.parse::<PortSet>().unwrap());
        accepted(text).check_scan(&targets, ports.as_ref()).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    };
    let net = "10.0.0.0/24";
    let lines: Vec<String> = [
        ("", net, ""),
        ("-sV", net, "22,80"),
        ("-F", net, ""),
        ("-F", net, "22"),
        ("--top-ports 10", net, "22"),
        ("--exclude-ports 25", net, "22"),
        ("-sn", net, "22"),
        ("-sO", net, "22"),
        ("-T0", "10.0.0.0/28", ""),
        ("-T1", "10.0.0.0/27", ""),
        ("-T2", net, ""),
        ("-sU", net, "U:53"),
        ("-sU", net, "53"),
        ("-sU", net, "T:22,U:53"),
        ("-sSU", net, "T:22,U:53"),
        ("-sSU", net, "22"),
        ("-sSU", net, "U:53"),
        ("", net, "T:22,U:53"),
        ("", net, "S:3868"),
        ("-sY", net, "S:3868"),
        ("-PP", net, ""),
        ("-PP", "::1", ""),
        ("-PE -PM", "10.0.0.1,::1", ""),
    ]
    .iter()
    .map(|case| format!("{} | {} | {} => {}", case.0, case.1, case.2, outcome(case)))
    .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
     | 10.0.0.0/24 |  => ok
    -sV | 10.0.0.0/24 | 22,80 => ok
    -F | 10.0.0.0/24 |  => ok
    -F | 10.0.0.0/24 | 22 => `-F` does not go with a port field: both choose the ports; remove one
    --top-ports 10 | 10.0.0.0/24 | 22 => `--top-ports` does not go with a port field: both choose the ports; remove one
    --exclude-ports 25 | 10.0.0.0/24 | 22 => `--exclude-ports` does not go with a port field: the field says exactly which ports, leave the others out there; remove one
    -sn | 10.0.0.0/24 | 22 => `-sn` does not go with a port field: -sn looks at no port; remove one
    -sO | 10.0.0.0/24 | 22 => `-sO` does not go with a port field: -sO looks at IP protocols, not at ports; remove one
    -T0 | 10.0.0.0/28 |  => ok
    -T1 | 10.0.0.0/27 |  => `-T1` is so slow that it takes at most 16 addresses, these are 32; use -T2 or fewer addresses
    -T2 | 10.0.0.0/24 |  => ok
    -sU | 10.0.0.0/24 | U:53 => ok
    -sU | 10.0.0.0/24 | 53 => the port field names tcp ports, but the arguments scan none; add -sS or -sT, or write them as U:53 for UDP
    -sU | 10.0.0.0/24 | T:22,U:53 => the port field names tcp ports, but the arguments scan none; add -sS or -sT, or write them as U:53 for UDP
    -sSU | 10.0.0.0/24 | T:22,U:53 => ok
    -sSU | 10.0.0.0/24 | 22 => the arguments scan udp, but the port field names no such port; add one as U:53
    -sSU | 10.0.0.0/24 | U:53 => the arguments scan tcp, but the port field names no such port; add one as T:22
     | 10.0.0.0/24 | T:22,U:53 => the port field names udp ports, but the arguments scan none; add -sU, or write them as T:22 for TCP
     | 10.0.0.0/24 | S:3868 => the port field names sctp ports, but the arguments scan none; add -sY, or write them as T:22 for TCP
    -sY | 10.0.0.0/24 | S:3868 => ok
    -PP | 10.0.0.0/24 |  => ok
    -PP | ::1 |  => `-PP` works with IPv4 only, but the targets hold IPv6 addresses; use -PE or remove them
    -PE -PM | 10.0.0.1,::1 |  => `-PM` works with IPv4 only, but the targets hold IPv6 addresses; use -PE or remove them
    ");
}
