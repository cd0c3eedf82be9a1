//! nmap's scan arguments, by exact match against the table of SECURITY-DESIGN.md section 5.
//!
//! A scan's author writes one text. It becomes [`ScanArgs`] or an error; nothing of the text itself reaches nmap, whose
//! options are rebuilt from what was understood. What a node allows beyond this is its policy's, and the ports, targets
//! and options that the node sets are the engine's.

mod error;
mod parse;
mod rules;
mod script;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use error::ArgsError;
pub use table::{OptionRule, option_table};

use crate::codec::{self, Decode, DecodeError, Decoder, Encode, EncodeError, Encoder};
use crate::port::{PortSet, Protocol};
use crate::target::TargetSet;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use table::{Needs, Opt, row_of};
use value::{Form, Value};

/// What `-A` stands for.
const AGGRESSIVE: [Opt; 4] = [Opt::Services, Opt::DefaultScripts, Opt::Os, Opt::Traceroute];

/// nmap's timing template when none is given.
const DEFAULT_TIMING: u8 = 3;

/// Checked scan arguments. Equal when they hold the same options with the same values, in whatever order and spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScanArgs {
    given: BTreeMap<Opt, Value>,
}

/// Which ports are scanned when the port field is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefaultPorts {
    /// The engine's usual set.
    Standard,
    /// The engine's short set (`-F`).
    Fast,
    /// So many of the most common ports, 1 to 8300 (`--top-ports`).
    Top(u16),
}

impl FromStr for ScanArgs {
    type Err = ArgsError;

    /// Words parted by white space; the empty text is no arguments.
    fn from_str(text: &str) -> Result<Self, ArgsError> {
        let args = Self { given: parse::parse(text)? };
        rules::check(&args)?;
        parse::check_length(&args.to_string())?;
        Ok(args)
    }
}

impl fmt::Display for ScanArgs {
    /// The canonical text: options in a fixed order, `-A` as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(&self.given))
    }
}

fn written(given: &BTreeMap<Opt, Value>) -> String {
    given.iter().map(|(option, value)| word(*option, value)).collect::<Vec<_>>().join(" ")
}

/// One option as nmap's manual writes it: `-T4`, `--script=default`, `--host-timeout 30s`.
fn word(option: Opt, value: &Value) -> String {
    let row = row_of(option);
    let link = match row.form {
        Form::Scripts | Form::ScriptArgs => "=",
        Form::Number { .. } | Form::Time { .. } | Form::Ports => " ",
        Form::Flag | Form::Timing | Form::Probes | Form::IpProtocols => "",
    };
    format!("{}{link}{}", row.name, value.text())
}

impl ScanArgs {
    /// The canonical text with `-A` as what it stands for: `-sV -sC -O --traceroute`.
    pub fn expanded(&self) -> String {
        written(&self.meant())
    }

    /// Checks the arguments against the other fields of a scan. `ports` is `None` when the port field is empty.
    ///
    /// Fails when both choose the ports, when the field's protocols are not those that are scanned, and when the timing
    /// is too slow for so many addresses.
    pub fn check_scan(&self, targets: &TargetSet, ports: Option<&PortSet>) -> Result<(), ArgsError> {
        rules::check_scan(self, targets, ports)
    }

    /// True when the option called `name`, such as `-r` or `--allports`, was given or comes with `-A`.
    pub fn has(&self, name: &str) -> bool {
        self.meant().keys().any(|option| row_of(*option).name == name)
    }

    /// nmap's timing template, 0 to 5; 3 when none was given.
    pub fn timing(&self) -> u8 {
        self.number(Opt::Timing).unwrap_or(DEFAULT_TIMING)
    }

    /// How hard to try to name services, 0 to 9; `None` when that was not asked.
    pub fn service_intensity(&self) -> Option<u8> {
        if !self.wants(Opt::Services) {
            return None;
        }
        let intensity = match (self.typed(Opt::VersionLight), self.typed(Opt::VersionAll)) {
            (true, _) => 2,
            (_, true) => 9,
            _ => self.number(Opt::VersionIntensity).unwrap_or(7),
        };
        Some(intensity)
    }

    /// After this long a host is given up, 5 s to 24 h.
    pub fn host_timeout(&self) -> Option<Duration> {
        self.time(Opt::HostTimeout)
    }

    /// After this long a script is given up, 5 s to 30 min.
    pub fn script_timeout(&self) -> Option<Duration> {
        self.time(Opt::ScriptTimeout)
    }

    /// How often a silent port is asked again, 0 to 10.
    pub fn max_retries(&self) -> Option<u8> {
        self.number(Opt::MaxRetries)
    }

    /// The first wait for an answer, 20 ms to 1 min.
    pub fn initial_rtt_timeout(&self) -> Option<Duration> {
        self.time(Opt::InitialRttTimeout)
    }

    /// The shortest wait for an answer, 20 ms to 1 min.
    pub fn min_rtt_timeout(&self) -> Option<Duration> {
        self.time(Opt::MinRttTimeout)
    }

    /// The longest wait for an answer, 20 ms to 1 min.
    pub fn max_rtt_timeout(&self) -> Option<Duration> {
        self.time(Opt::MaxRttTimeout)
    }

    /// The least time between two probes of a host, up to 5 min.
    pub fn scan_delay(&self) -> Option<Duration> {
        self.time(Opt::ScanDelay)
    }

    /// The most that the time between two probes may grow to, up to 5 min.
    pub fn max_scan_delay(&self) -> Option<Duration> {
        self.time(Opt::MaxScanDelay)
    }

    /// Send at least so many packets a second.
    pub fn min_rate(&self) -> Option<u32> {
        self.number(Opt::MinRate)
    }

    /// Send at most so many packets a second.
    pub fn max_rate(&self) -> Option<u32> {
        self.number(Opt::MaxRate)
    }

    /// At least so many probes at once, 1 to 256.
    pub fn min_parallelism(&self) -> Option<u16> {
        self.number(Opt::MinParallelism)
    }

    /// At most so many probes at once, 1 to 256.
    pub fn max_parallelism(&self) -> Option<u16> {
        self.number(Opt::MaxParallelism)
    }

    /// True when every address counts as up (`-Pn`).
    pub fn skips_discovery(&self) -> bool {
        self.typed(Opt::SkipDiscovery)
    }

    /// True when hosts are looked for and ports are not (`-sn`).
    pub fn discovery_only(&self) -> bool {
        self.typed(Opt::DiscoveryOnly)
    }

    /// Which ports an empty port field means.
    pub fn default_ports(&self) -> DefaultPorts {
        match self.number(Opt::TopPorts) {
            Some(count) => DefaultPorts::Top(count),
            None if self.typed(Opt::Fast) => DefaultPorts::Fast,
            None => DefaultPorts::Standard,
        }
    }

    /// Ports that are left out of the default set.
    pub fn excluded_ports(&self) -> Option<&PortSet> {
        match self.given.get(&Opt::ExcludePorts) {
            Some(Value::Ports(ports)) => Some(ports),
            _ => None,
        }
    }

    /// Whose ports are scanned: TCP unless only others are named; none with `-sn` and `-sO`.
    pub fn protocols(&self) -> BTreeSet<Protocol> {
        let named = |options: &[Opt]| options.iter().any(|option| self.typed(*option));
        let mut protocols = BTreeSet::new();
        if named(&[Opt::Udp]) {
            protocols.insert(Protocol::Udp);
        }
        if named(&rules::SCTP_TYPES) {
            protocols.insert(Protocol::Sctp);
        }
        let nothing_else = protocols.is_empty() && !named(&[Opt::DiscoveryOnly, Opt::IpProtocols]);
        if nothing_else || named(&rules::TCP_TYPES) {
            protocols.insert(Protocol::Tcp);
        }
        protocols
    }

    /// True when a node without the right to send raw packets cannot do all of it.
    ///
    /// That includes the discovery probes which nmap would silently leave out or replace (SECURITY-DESIGN.md 4, rule 9).
    pub fn needs_raw(&self) -> bool {
        self.given.keys().any(|option| row_of(*option).needs == Needs::Raw)
    }

    /// The options that the built-in connect engine cannot serve, without their values, `-A` as what it stands for.
    pub fn beyond_builtin(&self) -> Vec<String> {
        let names = self.meant().into_keys().map(row_of).filter(|row| row.needs != Needs::Nothing);
        names.map(|row| row.name.to_owned()).collect()
    }

    /// What a node runs only when its policy names it: options such as `-R`, and scripts that nmap does not run by
    /// default, each as `--script=NAME`. `-T5` is not among them: a policy forbids it by [`Self::timing`].
    pub fn policy_gated(&self) -> Vec<String> {
        let options = self.given.keys().map(|option| row_of(*option)).filter(|row| row.by_policy);
        let scripts = self.scripts().filter(|name| script::is_extra(name)).map(|name| format!("--script={name}"));
        options.map(|row| row.name.to_owned()).chain(scripts).collect()
    }

    /// True for what [`Self::policy_gated`] may name.
    pub fn is_policy_gated(name: &str) -> bool {
        match name.strip_prefix("--script=") {
            Some(script) => !script.contains(',') && script::parse_names(script).is_ok() && script::is_extra(script),
            None => table::TAKEN.iter().any(|row| row.by_policy && row.name == name),
        }
    }

    /// nmap's options, rebuilt: without ports, targets, and what the node sets.
    ///
    /// `-A` is expanded. Default scripts are an expression that leaves out those which ask third parties or touch files.
    /// `-n` is there unless `-R` was given. `--open` is not: it would leave hosts that are up out of nmap's document.
    pub fn nmap_options(&self) -> Vec<String> {
        let mut meant = self.meant();
        let names = self.scripts().collect::<BTreeSet<_>>();
        for option in [Opt::Open, Opt::DefaultScripts, Opt::Script] {
            meant.remove(&option);
        }
        if !self.typed(Opt::ReverseDns) {
            meant.insert(Opt::NoDns, Value::None);
        }
        let mut options: Vec<String> =
            meant.iter().map(|(option, value)| word(*option, value).replace(' ', "=")).collect();
        if !names.is_empty() {
            options.push(format!("--script={}", script::expression(&names)));
        }
        options
    }

    /// Every script that was asked for by name, by word, by `-sC` or by `-A`.
    fn scripts(&self) -> impl Iterator<Item = &'static str> {
        let mut names = match self.given.get(&Opt::Script) {
            Some(Value::Scripts(names)) => names.clone(),
            _ => BTreeSet::new(),
        };
        if self.wants(Opt::DefaultScripts) {
            names.insert(script::DEFAULT_WORD);
        }
        names.into_iter()
    }

    /// True when the option itself was given.
    fn typed(&self, option: Opt) -> bool {
        self.given.contains_key(&option)
    }

    /// True when the option was given or comes with `-A`.
    fn wants(&self, option: Opt) -> bool {
        self.typed(option) || self.typed(Opt::Aggressive) && AGGRESSIVE.contains(&option)
    }

    /// The options with `-A` as what it stands for.
    fn meant(&self) -> BTreeMap<Opt, Value> {
        let mut meant = self.given.clone();
        if meant.remove(&Opt::Aggressive).is_some() {
            meant.extend(AGGRESSIVE.map(|option| (option, Value::None)));
        }
        meant
    }

    fn number<T: TryFrom<u32>>(&self, option: Opt) -> Option<T> {
        match self.given.get(&option) {
            Some(Value::Number(number)) => T::try_from(*number).ok(),
            _ => None,
        }
    }

    fn time(&self, option: Opt) -> Option<Duration> {
        match self.given.get(&option) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }
}

impl Encode for ScanArgs {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.to_string().encode(encoder)
    }
}

impl<C> Decode<C> for ScanArgs {
    /// Refuses what [`FromStr`] refuses, whoever wrote the bytes.
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let text = String::decode(decoder)?;
        text.parse().map_err(|error: ArgsError| DecodeError::OtherString(error.to_string()))
    }
}

codec::impl_borrow_decode!(ScanArgs);

impl TryFrom<String> for ScanArgs {
    type Error = ArgsError;

    fn try_from(text: String) -> Result<Self, ArgsError> {
        text.parse()
    }
}

impl From<ScanArgs> for String {
    fn from(args: ScanArgs) -> Self {
        args.to_string()
    }
}
