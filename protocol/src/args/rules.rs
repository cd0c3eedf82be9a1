//! Which options go together, and which scans they fit.

use super::ScanArgs;
use super::error::ArgsError;
use super::table::{Opt, row_of};
use crate::port::{PortSet, Protocol};
use crate::target::TargetSet;

/// The most addresses of a scan with `-T0` or `-T1`.
const MAX_SLOW_ADDRESSES: u128 = 16;

/// The TCP scan types.
pub(super) const TCP_TYPES: [Opt; 8] =
    [Opt::Connect, Opt::Syn, Opt::Ack, Opt::Window, Opt::Fin, Opt::Null, Opt::Xmas, Opt::Maimon];

/// The SCTP scan types.
pub(super) const SCTP_TYPES: [Opt; 2] = [Opt::SctpInit, Opt::SctpCookie];

/// Groups of which one member may be given.
const ONE_OF: [(&[Opt], &str); 5] = [
    (&TCP_TYPES, "a run has one TCP scan type"),
    (&SCTP_TYPES, "a run has one SCTP scan type"),
    (&[Opt::Fast, Opt::TopPorts], "both choose the ports"),
    (&[Opt::VersionIntensity, Opt::VersionLight, Opt::VersionAll], "both choose the intensity"),
    (&[Opt::NoDns, Opt::ReverseDns], "they say the opposite"),
];

/// What only a scan of ports can do.
const PORT_SCAN: [Opt; 31] = [
    Opt::Aggressive,
    Opt::Connect,
    Opt::Syn,
    Opt::Ack,
    Opt::Window,
    Opt::Fin,
    Opt::Null,
    Opt::Xmas,
    Opt::Maimon,
    Opt::Udp,
    Opt::SctpInit,
    Opt::SctpCookie,
    Opt::IpProtocols,
    Opt::Services,
    Opt::DefaultScripts,
    Opt::Os,
    Opt::OsLimit,
    Opt::OsGuess,
    Opt::MaxOsTries,
    Opt::Fast,
    Opt::TopPorts,
    Opt::ExcludePorts,
    Opt::AllPorts,
    Opt::DefeatRstRatelimit,
    Opt::DefeatIcmpRatelimit,
    Opt::VersionIntensity,
    Opt::VersionLight,
    Opt::VersionAll,
    Opt::ScriptTimeout,
    Opt::Script,
    Opt::ScriptArgs,
];

/// How hosts are looked for.
const DISCOVERY: [Opt; 8] = [
    Opt::Echo,
    Opt::Timestamp,
    Opt::Netmask,
    Opt::SynProbe,
    Opt::AckProbe,
    Opt::UdpProbe,
    Opt::SctpProbe,
    Opt::ProtocolProbe,
];

/// Pairs of which the first must not be greater.
const ORDERED: [(Opt, Opt); 7] = [
    (Opt::MinRttTimeout, Opt::InitialRttTimeout),
    (Opt::InitialRttTimeout, Opt::MaxRttTimeout),
    (Opt::MinRttTimeout, Opt::MaxRttTimeout),
    (Opt::ScanDelay, Opt::MaxScanDelay),
    (Opt::MinRate, Opt::MaxRate),
    (Opt::MinParallelism, Opt::MaxParallelism),
    (Opt::MinHostgroup, Opt::MaxHostgroup),
];

/// The rules that hold whatever the scan is.
pub(super) fn check(args: &ScanArgs) -> Result<(), ArgsError> {
    for (group, reason) in ONE_OF {
        at_most_one(args, group, reason)?;
    }
    apart(args, Opt::DiscoveryOnly, &PORT_SCAN, "-sn looks at no port")?;
    apart(args, Opt::DiscoveryOnly, &[Opt::SkipDiscovery], "nothing would be looked at")?;
    apart(args, Opt::IpProtocols, &PORT_SCAN, "-sO looks at IP protocols, not at ports")?;
    apart(args, Opt::SkipDiscovery, &DISCOVERY, "-Pn skips what the other asks")?;
    check_order(args)?;
    check_versions(args)?;
    check_rate_limits(args)
}

fn at_most_one(args: &ScanArgs, group: &[Opt], reason: &'static str) -> Result<(), ArgsError> {
    let mut given = group.iter().filter(|option| args.typed(**option));
    match (given.next(), given.next()) {
        (Some(first), Some(second)) => together(*first, *second, reason),
        _ => Ok(()),
    }
}

fn apart(args: &ScanArgs, option: Opt, others: &[Opt], reason: &'static str) -> Result<(), ArgsError> {
    let other = others.iter().find(|other| **other != option && args.typed(**other));
    match other {
        Some(other) if args.typed(option) => together(option, *other, reason),
        _ => Ok(()),
    }
}

fn together(first: Opt, second: Opt, reason: &'static str) -> Result<(), ArgsError> {
    Err(ArgsError::Together { first: row_of(first).name, second: row_of(second).name, reason })
}

fn check_order(args: &ScanArgs) -> Result<(), ArgsError> {
    let backwards = ORDERED.into_iter().find(|(low, high)| match (args.given.get(low), args.given.get(high)) {
        (Some(low), Some(high)) => low > high,
        _ => false,
    });
    match backwards {
        Some((low, high)) => Err(ArgsError::Backwards { low: row_of(low).name, high: row_of(high).name }),
        None => Ok(()),
    }
}

fn check_versions(args: &ScanArgs) -> Result<(), ArgsError> {
    let depth = [Opt::VersionIntensity, Opt::VersionLight, Opt::VersionAll];
    match depth.into_iter().find(|option| args.typed(*option)) {
        Some(option) if !args.wants(Opt::Services) => needs(option, "-sV or -A"),
        _ => Ok(()),
    }
}

/// nmap refuses these two without the scan type they belong to; as root its own TCP scan type is SYN.
fn check_rate_limits(args: &ScanArgs) -> Result<(), ArgsError> {
    let syn = args.protocols().contains(&Protocol::Tcp)
        && !TCP_TYPES.into_iter().any(|option| option != Opt::Syn && args.typed(option));
    if args.typed(Opt::DefeatRstRatelimit) && !syn {
        return needs(Opt::DefeatRstRatelimit, "-sS");
    }
    if args.typed(Opt::DefeatIcmpRatelimit) && !args.typed(Opt::Udp) {
        return needs(Opt::DefeatIcmpRatelimit, "-sU");
    }
    Ok(())
}

fn needs(option: Opt, other: &'static str) -> Result<(), ArgsError> {
    Err(ArgsError::Needs { option: row_of(option).name, other })
}

/// The rules between the arguments and the other fields of a scan.
pub(super) fn check_scan(args: &ScanArgs, targets: &TargetSet, ports: Option<&PortSet>) -> Result<(), ArgsError> {
    let count = targets.count();
    if args.timing() < 2 && count > MAX_SLOW_ADDRESSES {
        return Err(ArgsError::TooManyForTiming { level: args.timing(), limit: MAX_SLOW_ADDRESSES, count });
    }
    check_family(args, targets)?;
    ports.map_or(Ok(()), |ports| check_ports(args, ports))
}

fn check_family(args: &ScanArgs, targets: &TargetSet) -> Result<(), ArgsError> {
    let v6 = targets.ranges().any(|range| range.first().is_ipv6());
    match [Opt::Timestamp, Opt::Netmask].into_iter().find(|option| v6 && args.typed(*option)) {
        Some(option) => Err(ArgsError::OnlyIpv4(row_of(option).name)),
        None => Ok(()),
    }
}

fn check_ports(args: &ScanArgs, ports: &PortSet) -> Result<(), ArgsError> {
    let choosers = [
        (Opt::Fast, "both choose the ports"),
        (Opt::TopPorts, "both choose the ports"),
        (Opt::ExcludePorts, "the field says exactly which ports, leave the others out there"),
        (Opt::DiscoveryOnly, "-sn looks at no port"),
        (Opt::IpProtocols, "-sO looks at IP protocols, not at ports"),
    ];
    if let Some((option, reason)) = choosers.into_iter().find(|(option, _)| args.typed(*option)) {
        return Err(ArgsError::WithPorts { option: row_of(option).name, reason });
    }
    Protocol::ALL.into_iter().try_for_each(|protocol| no_stray_ports(args, ports, protocol))?;
    Protocol::ALL.into_iter().try_for_each(|protocol| some_ports(args, ports, protocol))
}

fn no_stray_ports(args: &ScanArgs, ports: &PortSet, protocol: Protocol) -> Result<(), ArgsError> {
    if args.protocols().contains(&protocol) || ports.only(protocol).is_empty() {
        return Ok(());
    }
    let (option, prefix) = match protocol {
        Protocol::Tcp => ("-sS or -sT", "U:53 for UDP"),
        Protocol::Udp => ("-sU", "T:22 for TCP"),
        Protocol::Sctp => ("-sY", "T:22 for TCP"),
    };
    Err(ArgsError::PortsNotScanned { protocol, option, prefix })
}

fn some_ports(args: &ScanArgs, ports: &PortSet, protocol: Protocol) -> Result<(), ArgsError> {
    if !args.protocols().contains(&protocol) || !ports.only(protocol).is_empty() {
        return Ok(());
    }
    let prefix = match protocol {
        Protocol::Tcp => "T:22",
        Protocol::Udp => "U:53",
        Protocol::Sctp => "S:3868",
    };
    Err(ArgsError::NoPortsOf { protocol, prefix })
}
