//! The option table of SECURITY-DESIGN.md section 5: what is taken and how, what is refused and why.

use super::value::Form;

/// An option that a scan author may give. The order is the order of the canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Opt {
    Aggressive,
    Timing,
    Connect,
    Syn,
    Ack,
    Window,
    Fin,
    Null,
    Xmas,
    Maimon,
    Udp,
    SctpInit,
    SctpCookie,
    IpProtocols,
    Services,
    DefaultScripts,
    Os,
    OsLimit,
    OsGuess,
    MaxOsTries,
    Traceroute,
    DiscoveryOnly,
    SkipDiscovery,
    Echo,
    Timestamp,
    Netmask,
    SynProbe,
    AckProbe,
    UdpProbe,
    SctpProbe,
    ProtocolProbe,
    DisableArpPing,
    DiscoveryIgnoreRst,
    NoDns,
    ReverseDns,
    Fast,
    TopPorts,
    ExcludePorts,
    Ordered,
    RandomizeHosts,
    Reason,
    Open,
    AllPorts,
    DefeatRstRatelimit,
    DefeatIcmpRatelimit,
    VersionIntensity,
    VersionLight,
    VersionAll,
    HostTimeout,
    ScriptTimeout,
    MaxRetries,
    MinRttTimeout,
    InitialRttTimeout,
    MaxRttTimeout,
    ScanDelay,
    MaxScanDelay,
    MinRate,
    MaxRate,
    MinParallelism,
    MaxParallelism,
    MinHostgroup,
    MaxHostgroup,
    Script,
    ScriptArgs,
}

/// Who can serve an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// The built-in connect engine honours it, or may ignore it without a change of findings.
    Nothing,
    /// nmap, with or without rights.
    Nmap,
    /// nmap with the right to send raw packets.
    Raw,
}

/// One option that is taken.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) option: Opt,
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) needs: Needs,
    /// A node runs it only when its policy names it.
    pub(super) by_policy: bool,
}

const fn row(option: Opt, name: &'static str, form: Form) -> Row {
    Row { option, name, form, needs: Needs::Nothing, by_policy: false }
}

const fn flag(option: Opt, name: &'static str) -> Row {
    row(option, name, Form::Flag)
}

const fn number(option: Opt, name: &'static str, least: u32, most: u32) -> Row {
    row(option, name, Form::Number { least, most })
}

const fn time(option: Opt, name: &'static str, least_ms: u64, most_ms: u64) -> Row {
    row(option, name, Form::Time { least_ms, most_ms })
}

impl Row {
    const fn nmap(mut self) -> Self {
        self.needs = Needs::Nmap;
        self
    }

    const fn raw(mut self) -> Self {
        self.needs = Needs::Raw;
        self
    }

    const fn by_policy(mut self) -> Self {
        self.by_policy = true;
        self
    }
}

/// The most packets a second that an author may ask for; a node's policy may set less.
pub(super) const MAX_RATE: u32 = 1_000_000;

const MINUTE: u64 = 60_000;

/// Every option that is taken, in the order of [`Opt`].
pub(super) const TAKEN: &[Row] = &[
    flag(Opt::Aggressive, "-A").raw(),
    row(Opt::Timing, "-T", Form::Timing),
    flag(Opt::Connect, "-sT"),
    flag(Opt::Syn, "-sS").raw(),
    flag(Opt::Ack, "-sA").raw().by_policy(),
    flag(Opt::Window, "-sW").raw().by_policy(),
    flag(Opt::Fin, "-sF").raw().by_policy(),
    flag(Opt::Null, "-sN").raw().by_policy(),
    flag(Opt::Xmas, "-sX").raw().by_policy(),
    flag(Opt::Maimon, "-sM").raw().by_policy(),
    flag(Opt::Udp, "-sU").raw(),
    flag(Opt::SctpInit, "-sY").raw().by_policy(),
    flag(Opt::SctpCookie, "-sZ").raw().by_policy(),
    flag(Opt::IpProtocols, "-sO").raw().by_policy(),
    flag(Opt::Services, "-sV"),
    flag(Opt::DefaultScripts, "-sC").nmap(),
    flag(Opt::Os, "-O").raw(),
    flag(Opt::OsLimit, "--osscan-limit").raw(),
    flag(Opt::OsGuess, "--osscan-guess").raw(),
    number(Opt::MaxOsTries, "--max-os-tries", 1, 5).raw(),
    flag(Opt::Traceroute, "--traceroute").raw(),
    flag(Opt::DiscoveryOnly, "-sn"),
    flag(Opt::SkipDiscovery, "-Pn"),
    flag(Opt::Echo, "-PE").raw(),
    flag(Opt::Timestamp, "-PP").raw(),
    flag(Opt::Netmask, "-PM").raw(),
    row(Opt::SynProbe, "-PS", Form::Probes).nmap(),
    row(Opt::AckProbe, "-PA", Form::Probes).raw(),
    row(Opt::UdpProbe, "-PU", Form::Probes).raw(),
    row(Opt::SctpProbe, "-PY", Form::Probes).raw(),
    row(Opt::ProtocolProbe, "-PO", Form::IpProtocols).raw().by_policy(),
    flag(Opt::DisableArpPing, "--disable-arp-ping"),
    flag(Opt::DiscoveryIgnoreRst, "--discovery-ignore-rst").nmap(),
    flag(Opt::NoDns, "-n"),
    flag(Opt::ReverseDns, "-R").nmap().by_policy(),
    flag(Opt::Fast, "-F"),
    number(Opt::TopPorts, "--top-ports", 1, 8_300),
    row(Opt::ExcludePorts, "--exclude-ports", Form::Ports),
    flag(Opt::Ordered, "-r"),
    flag(Opt::RandomizeHosts, "--randomize-hosts"),
    flag(Opt::Reason, "--reason"),
    flag(Opt::Open, "--open"),
    flag(Opt::AllPorts, "--allports"),
    flag(Opt::DefeatRstRatelimit, "--defeat-rst-ratelimit").raw(),
    flag(Opt::DefeatIcmpRatelimit, "--defeat-icmp-ratelimit").raw(),
    number(Opt::VersionIntensity, "--version-intensity", 0, 9),
    flag(Opt::VersionLight, "--version-light"),
    flag(Opt::VersionAll, "--version-all"),
    time(Opt::HostTimeout, "--host-timeout", 5_000, 24 * 60 * MINUTE),
    time(Opt::ScriptTimeout, "--script-timeout", 5_000, 30 * MINUTE),
    number(Opt::MaxRetries, "--max-retries", 0, 10),
    time(Opt::MinRttTimeout, "--min-rtt-timeout", 20, MINUTE),
    time(Opt::InitialRttTimeout, "--initial-rtt-timeout", 20, MINUTE),
    time(Opt::MaxRttTimeout, "--max-rtt-timeout", 20, MINUTE),
    time(Opt::ScanDelay, "--scan-delay", 0, 5 * MINUTE),
    time(Opt::MaxScanDelay, "--max-scan-delay", 0, 5 * MINUTE),
    number(Opt::MinRate, "--min-rate", 1, MAX_RATE),
    number(Opt::MaxRate, "--max-rate", 1, MAX_RATE),
    number(Opt::MinParallelism, "--min-parallelism", 1, 256),
    number(Opt::MaxParallelism, "--max-parallelism", 1, 256),
    number(Opt::MinHostgroup, "--min-hostgroup", 1, 4_096),
    number(Opt::MaxHostgroup, "--max-hostgroup", 1, 4_096),
    row(Opt::Script, "--script", Form::Scripts).nmap(),
    row(Opt::ScriptArgs, "--script-args", Form::ScriptArgs).nmap(),
];

/// Options that the node sets itself.
pub(super) const SET_BY_NODE: &[&str] = &[
    "-6",
    "-4",
    "-oX -",
    "--no-stylesheet",
    "--noninteractive",
    "--stats-every",
    "-v",
    "-d",
    "--privileged",
    "--unprivileged",
    "--exclude",
    "--unique",
    "-e",
];

/// Options that nobody may give, by reason.
pub(super) struct Refusal {
    pub(super) names: &'static [&'static str],
    /// Why, and what to do when there is another way.
    pub(super) reason: &'static str,
}

/// Every option that is refused.
pub(super) const REFUSED: &[Refusal] = &[
    Refusal { names: &["-p"], reason: "ports have their own field; write them there" },
    Refusal {
        names: &["-P", "-P0", "-PN", "-PD", "-PI", "-PT", "-PB", "-PR"],
        reason: "it is an old or unclear spelling; use -Pn, -PE, -PS or -PA",
    },
    Refusal {
        names: &["-oN", "-oG", "-oA", "-oS", "-oH", "-oM", "-oX", "-o", "-m", "--append-output", "--log-errors"],
        reason: "it writes files; use an export of the run",
    },
    Refusal {
        names: &["-iL", "-i", "--excludefile"],
        reason: "it reads a file and shows its lines; use the fields for targets and exclusions",
    },
    Refusal { names: &["-iR"], reason: "it scans random addresses of the internet; use the field for targets" },
    Refusal { names: &["--resume"], reason: "it replays options from a file; use a re-scan of what the run missed" },
    Refusal {
        names: &["--datadir", "--servicedb", "--versiondb"],
        reason: "it loads foreign data and scripts; remove it",
    },
    Refusal { names: &["--stylesheet", "--webxml"], reason: "it puts a chosen address into the document; remove it" },
    Refusal { names: &["--script-args-file", "--script-updatedb"], reason: "it reads or writes files; remove it" },
    Refusal { names: &["--script-help"], reason: "it does not scan; remove it" },
    Refusal { names: &["--script-trace"], reason: "it dumps the payload of every connection; remove it" },
    Refusal {
        names: &[
            "-S",
            "-D",
            "-g",
            "--source-port",
            "--spoof-mac",
            "--ip-options",
            "--ttl",
            "--badsum",
            "--data",
            "--data-string",
            "--data-length",
            "--scanflags",
            "-f",
            "--ff",
            "--mtu",
            "--adler32",
            "--send-eth",
            "--send-ip",
        ],
        reason: "it spoofs or evades, and a monitor must be seen as what it is; remove it",
    },
    Refusal {
        names: &["-sI", "-b", "--proxies", "--proxy", "--route-dst"],
        reason: "it sends the scan through a third party; remove it",
    },
    Refusal {
        names: &["--dns-servers", "--system-dns", "--resolve-all"],
        reason: "it leaks names to other servers or leaves the approved range; remove it",
    },
    Refusal { names: &["--port-ratio"], reason: "it depends on a table of the installed nmap; use --top-ports" },
    Refusal {
        names: &["--nsock-engine", "--nogcc", "--release-memory", "--deprecated-xml-osclass", "--thc"],
        reason: "it is for nmap's developers; remove it",
    },
    Refusal {
        names: &["--packet-trace", "--version-trace"],
        reason: "it is a debugging aid that dumps payload; remove it",
    },
    Refusal {
        names: &["--iflist", "-V", "--version", "-h", "--help", "--interactive"],
        reason: "it does not scan; remove it",
    },
    Refusal {
        names: &["-I", "-M", "--vv", "--rH", "--timing", "--fuzzy", "--exclude-file"],
        reason: "it is an alias or an old option; use the documented spelling of one that is allowed",
    },
];

/// The row of an option that is taken.
pub(super) fn row_of(option: Opt) -> &'static Row {
    TAKEN.iter().find(|row| row.option == option).expect("a test checks that every option has its row")
}

/// One line of the table, for help pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionRule {
    /// The option, without value.
    pub option: &'static str,
    /// `allowed`, `checked value`, `set by the node` or `refused`.
    pub class: &'static str,
    /// What the value must be, what the option needs, or why it is refused. May be empty.
    pub rule: String,
}

/// The whole table: what is taken first, then what the node sets, then what is refused.
pub fn option_table() -> Vec<OptionRule> {
    let taken = TAKEN.iter().map(|row| OptionRule {
        option: row.name,
        class: if row.form == Form::Flag { "allowed" } else { "checked value" },
        rule: row.rule(),
    });
    let node =
        SET_BY_NODE.iter().map(|name| OptionRule { option: name, class: "set by the node", rule: String::new() });
    let refused = REFUSED.iter().flat_map(|refusal| {
        refusal.names.iter().map(|name| OptionRule { option: name, class: "refused", rule: refusal.reason.to_owned() })
    });
    taken.chain(node).chain(refused).collect()
}

impl Row {
    fn rule(&self) -> String {
        let mut parts = Vec::new();
        if self.form != Form::Flag {
            parts.push(self.form.wanted());
        }
        match self.needs {
            Needs::Nothing => {}
            Needs::Nmap => parts.push("needs nmap".to_owned()),
            Needs::Raw => parts.push("needs nmap and raw packets".to_owned()),
        }
        if self.by_policy {
            parts.push("only where the node's policy names it".to_owned());
        }
        parts.join("; ")
    }
}
