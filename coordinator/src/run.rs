//! Runs and their tasks: the states they pass through and what is kept of them.

mod tally;
mod task;

pub use tally::Tally;
pub use task::{Look, MAX_ATTEMPTS, TaskRecord, TaskState};

use crate::scan::ScanDefinition;
use protocol::codec::{Decode, Encode};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};
use std::str::FromStr;

/// One execution of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// Its number, which is also its report's.
    pub id: RunId,
    /// Of which scan.
    pub scan: ScanId,
    /// What the scan asked for when the run was started; later edits do not touch it.
    pub definition: ScanDefinition,
    /// Only these of its addresses, for a run that makes up for what another one missed; `None` for all.
    pub part: Option<TargetSet>,
    /// Where it stands.
    pub state: RunState,
    /// Who or what asked for it.
    pub trigger: Trigger,
    /// When it was asked for.
    pub created: Timestamp,
    /// When a node was there for it, and it was begun.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How many tasks were cut so far; their numbers are dense.
    pub tasks: u32,
    /// Addresses that nobody looked at, with the reason; named when nothing is left to wait for.
    pub uncovered: Vec<Uncovered>,
    /// What came of it, once it ended.
    pub outcome: Option<RunOutcome>,
}

/// The numbers of an ended run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RunOutcome {
    /// Hosts found up.
    pub hosts_up: u32,
    /// Open ports found.
    pub open_ports: u32,
    /// Addresses that were asked and settled, in hundredths of a percent of the wanted ones.
    pub coverage_hundredths: u32,
    /// Why it is partial, failed or cancelled; empty when completed.
    pub reason: Text,
}

/// Where a run stands (SPEC D5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum RunState {
    /// Asked for; no node has been found yet.
    Queued,
    /// Tasks are out.
    Running,
    /// All tasks ended; the report is being made.
    Closing,
    /// All wanted addresses were covered.
    Completed,
    /// Some were not.
    Partial,
    /// None was.
    Failed,
    /// Stopped by a person.
    Cancelled,
}

impl RunState {
    /// Every state, in the order in which a run passes through them.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Closing, Self::Completed, Self::Partial, Self::Failed, Self::Cancelled];

    /// True when nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Closing => false,
            Self::Completed | Self::Partial | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Closing => "closing",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The word is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a run; write queued, running, closing, completed, partial, failed or cancelled")]
pub struct UnknownRunState(String);

impl FromStr for RunState {
    type Err = UnknownRunState;

    fn from_str(word: &str) -> Result<Self, UnknownRunState> {
        Self::ALL.into_iter().find(|state| state.name() == word).ok_or_else(|| UnknownRunState(word.to_owned()))
    }
}

/// Who or what asked for a run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Trigger {
    /// A person, by name.
    Person(Text),
    /// Its schedule.
    Schedule,
    /// A person who wants to have looked at what an earlier run missed.
    Missing {
        /// The run that missed it.
        of: RunId,
        /// By name.
        by: Text,
    },
    /// A person who brought a document of another scanner: no node looked.
    Import {
        /// By name.
        by: Text,
        /// Whether its silence is proof: only then does it remove hosts, close ports and resolve alerts.
        authoritative: bool,
    },
}

impl Run {
    /// True while the document of an import is being stored: no node is asked, and there is nothing to close yet.
    pub fn is_being_imported(&self) -> bool {
        self.state == RunState::Queued && matches!(self.trigger, Trigger::Import { .. })
    }

    /// The addresses that it is to look at.
    pub fn wanted(&self) -> TargetSet {
        let all = self.definition.wanted();
        self.part.as_ref().map_or_else(|| all.clone(), |part| part.intersection(&all))
    }

    /// True when it says something of a part of its network only, by design: it makes up for what another run missed,
    /// or it is a document that shows a part.
    pub fn is_of_part(&self) -> bool {
        let is_document = matches!(self.trigger, Trigger::Import { .. });
        self.part.is_some() || is_document && self.state != RunState::Completed
    }

    /// The addresses that it wanted and nobody looked at, once it ended.
    pub fn missing(&self) -> TargetSet {
        let named = self.uncovered.iter().fold(TargetSet::empty(), |all, part| all.union(&part.targets));
        named.intersection(&self.wanted())
    }
}

/// Addresses of a run that nobody looked at.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Uncovered {
    /// Which.
    pub targets: TargetSet,
    /// Why.
    pub reason: UncoveredReason,
}

/// Why addresses were not looked at (SPEC D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum UncoveredReason {
    /// No approved node of the site has them in its ranges.
    NoRange,
    /// Such nodes exist, but none was online.
    NodeOffline,
    /// Every such node refused.
    Refused,
    /// The task failed too often.
    AttemptsUsedUp,
    /// A node looked, but did not finish.
    NotFinished,
    /// The run was cancelled first.
    Cancelled,
    /// It was imported, and its document does not prove anything about them.
    NotInDocument,
}

impl UncoveredReason {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoRange => "no approved node has them in its ranges",
            Self::NodeOffline => "the nodes that have them in their ranges were offline",
            Self::Refused => "every node that could take them refused",
            Self::AttemptsUsedUp => "all attempts were used up",
            Self::NotFinished => "the node could not finish them",
            Self::Cancelled => "the run was cancelled first",
            Self::NotInDocument => "the imported document proves nothing about them",
        }
    }
}
