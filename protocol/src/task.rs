//! What to scan, for which run, under which lease.

use crate::args::ScanArgs;
use crate::codec::{self, Decode, Encode};
use crate::port::PortSet;
use crate::target::TargetSet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}
id!(
    /// A scan definition, which is also one monitored network. Counted from 1, never reused.
    ScanId
);
id!(
    /// One execution of a scan. Counted from 1 over all scans; its report has the same number.
    RunId
);

/// One piece of a run; shown as `run.index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct TaskId {
    /// The run it belongs to.
    pub run: RunId,
    /// Counted from 0 within the run.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.index)
    }
}

/// Which engine a scan asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Built-in, and nmap only for what that cannot do.
    #[default]
    Auto,
    /// nmap alone.
    Nmap,
    /// Built-in alone.
    Builtin,
}

impl EngineChoice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Nmap, Self::Builtin];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Nmap => "nmap",
            Self::Builtin => "builtin",
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine {0:?} is unknown; write auto, nmap or builtin")]
pub struct UnknownEngine(String);

impl FromStr for EngineChoice {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        Self::ALL.into_iter().find(|engine| engine.name() == text).ok_or_else(|| UnknownEngine(text.to_owned()))
    }
}

/// What a task asks for; sealed to its holder on the way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskSpec {
    /// At most 256 addresses.
    pub targets: TargetSet,
    /// `None`: the engine's own default set (empty field, or `-F` and `--top-ports` in the arguments).
    pub ports: Option<PortSet>,
    /// Checked again by the node.
    pub args: ScanArgs,
    /// Which engine.
    pub engine: EngineChoice,
    /// Hard cap on the duration of one attempt.
    pub time_limit: Duration,
}

/// A task with the lease that allows a node to run it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Task {
    /// Which task.
    pub id: TaskId,
    /// Rises with every grant of this task; older ones change nothing.
    pub fence: u64,
    /// How long the lease lasts without renewal.
    pub lease: Duration,
    /// What to do.
    pub spec: TaskSpec,
}

/// What an announced [`TaskSpec`] is bound to when it is sealed: it opens for this task and attempt only.
pub fn seal_context(task: TaskId, fence: u64) -> Vec<u8> {
    codec::encode(&(task, fence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seal_context_of_a_task_never_changes() {
        assert_eq!(seal_context(TaskId { run: RunId(300), index: 2 }, 7), [1, 251, 44, 1, 2, 7]);
    }
}
