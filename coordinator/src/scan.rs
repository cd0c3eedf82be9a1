//! Scans: the saved definitions, each one monitored network. `draft` checks what was typed, `cadence` and `cron` say how
//! often a scan runs, `special` which ranges nobody scans by accident.

pub mod cadence;
pub mod cron;
mod draft;
mod due;
pub mod special;
#[cfg(test)]
mod tests;

pub use cadence::{Cadence, Interval};
pub use cron::Cron;
pub(crate) use draft::MAX_NAME_CHARS;
pub use draft::{DraftError, FieldError, ScanDraft, ScanField};

use protocol::args::ScanArgs;
use protocol::codec::{Decode, Encode};
use protocol::task::{EngineChoice, ScanId};
use protocol::text::Text;
use protocol::{PortSet, TargetSet, Timestamp};

/// The most addresses that a scan may ask for when it does not say otherwise.
pub const ADDRESS_BUDGET: u64 = 65_536;

/// The most addresses that any scan may ask for: 33,554,432, two networks of /8.
///
/// All private and shared IPv4 space together (RFC 1918, RFC 6598) has 22,085,632. Above that stands what nobody finishes.
pub const MAX_ADDRESS_BUDGET: u64 = 1 << 25;

/// The site of scans and nodes that name none.
pub const DEFAULT_SITE: &str = "main";

/// A scan, which is also one monitored network.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Scan {
    /// Its number, which is also the network's.
    pub id: ScanId,
    /// What it asks for.
    pub definition: ScanDefinition,
    /// False once it was deactivated; its history stays.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub created_by: Text,
    /// When it will run next by itself.
    pub next_due: Option<Timestamp>,
    /// The time for which it ran by itself last, or would have if no run of it had been open.
    pub last_due: Option<Timestamp>,
}

/// What a scan asks for, checked. Only [`ScanDraft::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ScanDefinition {
    name: Text,
    description: Text,
    targets: TargetSet,
    exclusions: TargetSet,
    budget: u64,
    special: bool,
    ports: Option<PortSet>,
    args: ScanArgs,
    engine: EngineChoice,
    site: Text,
    cadence: Option<Cadence>,
    scheduled: bool,
}

impl ScanDefinition {
    /// Its name.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// What it is for, in its author's words.
    pub fn description(&self) -> &Text {
        &self.description
    }

    /// As typed, merged.
    pub fn targets(&self) -> &TargetSet {
        &self.targets
    }

    /// Left out.
    pub fn exclusions(&self) -> &TargetSet {
        &self.exclusions
    }

    /// Targets without exclusions: what a run scans.
    pub fn wanted(&self) -> TargetSet {
        self.targets.minus(&self.exclusions)
    }

    /// The most addresses that are meant.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Whether ranges of [`special`] are meant.
    pub fn special(&self) -> bool {
        self.special
    }

    /// `None`: the engine's own set.
    pub fn ports(&self) -> Option<&PortSet> {
        self.ports.as_ref()
    }

    /// Scan arguments.
    pub fn args(&self) -> &ScanArgs {
        &self.args
    }

    /// Which engine.
    pub fn engine(&self) -> EngineChoice {
        self.engine
    }

    /// Where its nodes are.
    pub fn site(&self) -> &Text {
        &self.site
    }

    /// When it runs by itself, kept while scheduling is off.
    pub fn cadence(&self) -> Option<&Cadence> {
        self.cadence.as_ref()
    }

    /// Whether the cadence counts.
    pub fn scheduled(&self) -> bool {
        self.scheduled
    }
}
