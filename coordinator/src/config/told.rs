//! How a person is told where a value came from and what is wrong with one.

use super::{Fault, Origin};
use std::fmt;

impl Origin {
    /// What a person reads from top to bottom comes first, in that order.
    pub(super) fn place(&self) -> (usize, usize) {
        if let Self::File { line, column, .. } = self { (*line, *column) } else { (usize::MAX, 0) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Setup => f.write_str("setup"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, reason } = self;
        let joint = if key.is_empty() { "" } else { ": " };
        write!(f, "{origin}: {key}{joint}{reason}")
    }
}
