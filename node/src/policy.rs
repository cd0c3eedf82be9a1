//! What the owner of this node lets it do, whatever the coordinator asks: a [`Task`] becomes an [`AdmittedTask`] or is
//! refused. How it is then scanned is the engine's.

use crate::engine::EngineFacts;
use crate::engine::auto::{self, Unserved};
use crate::engine::nmap::NmapFacts;
use crate::spool::SpoolLimits;
use protocol::args::{ArgsError, ScanArgs};
use protocol::port::Protocol;
use protocol::target::TargetSet;
use protocol::task::{Task, TaskId, TaskSpec};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};

/// The most addresses of one task.
pub const MAX_ADDRESSES: u128 = 256;

/// Packets a second when the file does not say: what a host on a fast network stands, and what a machine can send.
const DEFAULT_MAX_HOST_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(249_999);
const DEFAULT_MAX_NODE_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(499_999);

/// Tasks at once when the file does not say.
const DEFAULT_MAX_TASKS: NonZeroU16 = NonZeroU16::MIN.saturating_add(3);

/// Unless the owner says otherwise: of ten looks at a service that answers as before, one identifies it fully.
pub(crate) const DEFAULT_FULL_EVERY: NonZeroU16 = NonZeroU16::new(10).expect("it is not zero");

/// What undelivered results may fill when the file does not say.
const DEFAULT_SPOOL_LIMIT_MIB: NonZeroU32 = NonZeroU32::MIN.saturating_add(1_023);

/// A policy file that names every key with the value that holds without it.
pub const EXAMPLE: &str = include_str!("policy/example.toml");

/// The owner's rules, from the node's policy file. Without a file: every range that the roster allows, `-T5`, four tasks
/// at once and any rate; no raw packets and none of the options that need a policy's word.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Ranges beyond which nothing is scanned; none: as the roster says.
    ranges: Option<TargetSet>,
    options: BTreeSet<GatedOption>,
    raw_packets: bool,
    /// Packets a second, for each task.
    max_rate: Option<NonZeroU32>,
    /// The same to each host, and of all tasks together.
    max_host_rate: NonZeroU32,
    max_node_rate: NonZeroU32,
    max_tasks: NonZeroU16,
    /// Of the looks at an unchanged service every so many identify it fully.
    identify_fully_every: NonZeroU16,
    allow_t5: bool,
    nmap: Option<PathBuf>,
    spool_limit_mib: NonZeroU32,
    spool_keep_free_mib: Option<u32>,
    #[serde(skip)]
    found: Option<NmapFacts>,
    /// Whether the built-in engine can send raw packets.
    #[serde(skip)]
    builtin_raw: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ranges: None,
            options: BTreeSet::new(),
            raw_packets: false,
            max_rate: None,
            max_host_rate: DEFAULT_MAX_HOST_RATE,
            max_node_rate: DEFAULT_MAX_NODE_RATE,
            max_tasks: DEFAULT_MAX_TASKS,
            identify_fully_every: DEFAULT_FULL_EVERY,
            allow_t5: true,
            nmap: None,
            spool_limit_mib: DEFAULT_SPOOL_LIMIT_MIB,
            spool_keep_free_mib: None,
            found: None,
            builtin_raw: false,
        }
    }
}

/// An option that is refused unless the owner names it, such as `-R` or `--script=NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct GatedOption(String);

/// A policy names what it need not, or what is never let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no option that a policy lets in; write for instance \"-R\" or \"--script=banner\"")]
struct NotGated(String);

impl TryFrom<String> for GatedOption {
    type Error = NotGated;

    fn try_from(text: String) -> Result<Self, NotGated> {
        if ScanArgs::is_policy_gated(&text) { Ok(Self(text)) } else { Err(NotGated(text)) }
    }
}

/// Why a policy file was not taken. A node with a broken policy must not start.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is there and cannot be read.
    #[error("reading the policy file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no policy.
    #[error("line {line}, column {column} of the policy file: {message}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

/// A task that this node's [`Policy`] allows in full. Only [`Policy::admit`] makes one.
#[derive(Clone, Debug)]
pub struct AdmittedTask {
    task: Task,
    max_rate: Option<u32>,
    max_host_rate: u32,
    raw: bool,
    may_send_raw: bool,
}

/// Why a task is not run here; the text goes back to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The task names no address.
    #[error("the task has no addresses")]
    NoAddresses,
    /// More than [`MAX_ADDRESSES`].
    #[error("the task has {0} addresses, more than the {MAX_ADDRESSES} of one task")]
    TooManyAddresses(u128),
    /// The roster does not give this node the address.
    #[error(
        "address {0} is outside the ranges this node is approved for; approve the range, or scan it from another node"
    )]
    OutsideRoster(IpAddr),
    /// The owner does not let this node scan the address.
    #[error("address {0} is outside `ranges` of this node's policy file")]
    OutsidePolicy(IpAddr),
    /// The options contradict the table, themselves, or the other fields.
    #[error("the scan arguments are not valid here: {0}")]
    Arguments(ArgsError),
    /// An option needs the owner's word.
    #[error("option {0} is not allowed by this node's policy; its owner can add it to `options` in the policy file")]
    Option(String),
    /// The owner forbids the fastest template.
    #[error("option -T5 is not allowed by this node's policy; choose -T4 or slower")]
    FastestTiming,
    /// Faster than the owner allows.
    #[error("a rate of {asked} packets a second is over the {allowed} that this node's policy allows")]
    Rate {
        /// As the arguments say.
        asked: u32,
        /// As the policy says.
        allowed: u32,
    },
    /// The owner forbids raw packets.
    #[error("{0} needs raw packets, which this node's policy does not allow; its owner can set `raw_packets = true`")]
    RawPackets(String),
    /// No engine here can do it.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

impl Policy {
    /// Reads the file at `path`; when there is none, the default holds.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(PolicyError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// Reads the text of a policy file.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let (line, beside) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default());
            PolicyError::Malformed { line, column: beside.chars().count() + 1, message: error.message().to_owned() }
        })
    }

    /// The same policy, knowing what this node can scan with. Until it is told, it takes nmap for missing.
    pub fn with_engines(mut self, facts: &EngineFacts) -> Self {
        self.found = facts.nmap.clone();
        self.builtin_raw = facts.raw;
        self
    }

    /// Where the owner says nmap is.
    pub fn nmap(&self) -> Option<&Path> {
        self.nmap.as_deref()
    }

    /// Whether raw packets may be sent.
    pub fn raw_packets(&self) -> bool {
        self.raw_packets
    }

    /// Packets a second of all tasks together.
    pub fn max_node_rate(&self) -> u32 {
        self.max_node_rate.get()
    }

    /// How many tasks may run at the same time.
    pub fn max_tasks(&self) -> u16 {
        self.max_tasks.get()
    }

    /// Of the looks at a service that answers as before, every so many identify it fully; the others only confirm it.
    pub fn identify_fully_every(&self) -> NonZeroU16 {
        self.identify_fully_every
    }

    /// How much undelivered results may fill.
    pub fn spool_limits(&self) -> SpoolLimits {
        let bytes = |mib: u32| u64::from(mib) << 20;
        let keep_free_bytes = self.spool_keep_free_mib.map(bytes);
        SpoolLimits { bytes: bytes(self.spool_limit_mib.get()), keep_free_bytes }
    }

    /// What it allows, a line each, for the owner who checks a file.
    pub fn words(&self) -> Vec<String> {
        let ranges =
            self.ranges.as_ref().map_or_else(|| "every range of its approval".to_owned(), TargetSet::to_string);
        let options: Vec<&str> = self.options.iter().map(|option| option.0.as_str()).collect();
        let options = if options.is_empty() { "none".to_owned() } else { options.join(" ") };
        let rate =
            self.max_rate.map_or_else(|| "as the scan says".to_owned(), |rate| format!("{rate} packets a second"));
        let free =
            self.spool_keep_free_mib.map_or_else(|| "5 %, at least 512 MiB".to_owned(), |mib| format!("{mib} MiB"));
        vec![
            format!("ranges: {ranges}"),
            format!("options that need its word: {options}"),
            format!("raw packets: {}", if self.raw_packets { "yes" } else { "no" }),
            format!("rate of each task: {rate}"),
            format!("rate to each host: {} packets a second", self.max_host_rate),
            format!("rate of the node: {} packets a second", self.max_node_rate),
            format!("tasks at a time: {}", self.max_tasks),
            format!("services identified fully: every {} looks", self.identify_fully_every),
            format!("-T5: {}", if self.allow_t5 { "yes" } else { "no" }),
            format!("nmap: {}", self.nmap.as_ref().map_or_else(|| "on the PATH".into(), |path| path.to_string_lossy())),
            format!("undelivered results: {} MiB", self.spool_limit_mib),
            format!("kept free on their disk: {free}"),
        ]
    }

    /// The ranges this node scans: those of the roster that the owner allows too.
    pub fn ranges(&self, roster: &TargetSet) -> TargetSet {
        self.ranges.as_ref().map_or_else(|| roster.clone(), |own| own.intersection(roster))
    }

    /// Takes `task` when every address, every option and the engine it needs are allowed; `roster_ranges` is what the
    /// roster gives this node.
    pub fn admit(&self, task: Task, roster_ranges: &TargetSet) -> Result<AdmittedTask, Refused> {
        self.check_targets(&task.spec.targets, roster_ranges)?;
        check_arguments(&task.spec)?;
        self.check_options(&task.spec.args)?;
        let max_rate = self.check_rate(&task.spec.args)?;
        if auto::needs_raw(&task.spec) && !self.raw_packets {
            return Err(Refused::RawPackets(auto::raw_wishes(&task.spec)));
        }
        auto::choose(&task.spec, self.found.as_ref(), self.builtin_raw)?;
        let raw = self.raw_packets && self.found.as_ref().is_some_and(|nmap| nmap.raw);
        let (max_host_rate, may_send_raw) = (self.max_host_rate.get(), self.raw_packets);
        Ok(AdmittedTask { task, max_rate, max_host_rate, raw, may_send_raw })
    }

    fn check_targets(&self, targets: &TargetSet, roster: &TargetSet) -> Result<(), Refused> {
        match targets.count() {
            0 => return Err(Refused::NoAddresses),
            count if count > MAX_ADDRESSES => return Err(Refused::TooManyAddresses(count)),
            _ => {}
        }
        if let Some(address) = targets.minus(roster).first() {
            return Err(Refused::OutsideRoster(address));
        }
        match self.ranges.as_ref().and_then(|own| targets.minus(own).first()) {
            Some(address) => Err(Refused::OutsidePolicy(address)),
            None => Ok(()),
        }
    }

    fn check_options(&self, args: &ScanArgs) -> Result<(), Refused> {
        if args.timing() == 5 && !self.allow_t5 {
            return Err(Refused::FastestTiming);
        }
        match args.policy_gated().into_iter().find(|name| !self.options.iter().any(|allowed| allowed.0 == **name)) {
            Some(name) => Err(Refused::Option(name)),
            None => Ok(()),
        }
    }

    /// The rate that holds: the author's, within the owner's.
    fn check_rate(&self, args: &ScanArgs) -> Result<Option<u32>, Refused> {
        let allowed = self.max_rate.map(NonZeroU32::get);
        let asked = args.min_rate().max(args.max_rate());
        match (asked, allowed) {
            (Some(asked), Some(allowed)) if asked > allowed => Err(Refused::Rate { asked, allowed }),
            _ => Ok(args.max_rate().or(allowed)),
        }
    }
}

/// Reads the arguments again: what the coordinator's version took may be refused by ours.
fn check_arguments(spec: &TaskSpec) -> Result<(), Refused> {
    let args: ScanArgs = spec.args.to_string().parse().map_err(Refused::Arguments)?;
    args.check_scan(&spec.targets, spec.ports.as_ref()).map_err(Refused::Arguments)
}

impl AdmittedTask {
    /// Which task.
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// The task with its lease.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// What to do.
    pub fn spec(&self) -> &TaskSpec {
        &self.task.spec
    }

    /// The same task for its ports of one protocol; where its port field is empty, for those that its engine chooses.
    pub(crate) fn only(&self, protocol: Protocol) -> Self {
        let mut task = self.clone();
        task.task.spec.ports = self.spec().ports.as_ref().map(|ports| ports.only(protocol));
        task
    }

    /// Packets a second at most.
    pub fn max_rate(&self) -> Option<u32> {
        self.max_rate
    }

    /// Packets a second to one host at most.
    pub fn max_host_rate(&self) -> u32 {
        self.max_host_rate
    }

    /// Whether the owner lets raw packets be sent; whether this process can is another matter.
    pub fn may_send_raw(&self) -> bool {
        self.may_send_raw
    }

    /// Whether nmap may send raw packets, by the owner's word and by this process's rights.
    pub fn raw(&self) -> bool {
        self.raw
    }
}

#[cfg(test)]
mod tests;
