//! Where data lies when nobody says: the system's place for root, the user's own place for a user.

use crate::exit::Failure;
use std::path::PathBuf;

/// The two kinds of data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Coordinator,
    Node,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Node => "node",
        }
    }

    /// The folder that was named, or the usual one.
    pub(crate) fn folder(self, named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
        if let Some(dir) = named {
            return Ok(dir);
        }
        let is_root = rustix::process::geteuid().is_root();
        let base =
            usual_base(is_root, |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute()));
        match base {
            Some(base) => Ok(base.join(self.name())),
            None => Err(Failure::usage("there is no home folder to keep data in; name one with --dir").into()),
        }
    }
}

fn usual_base(is_root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if is_root {
        return Some(PathBuf::from("/var/lib/portdrift"));
    }
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("portdrift"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_users_have_their_usual_places() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        };
        for (is_root, variables, expected) in [
            (true, &[("HOME", "/root")][..], Some("/var/lib/portdrift")),
            (false, &[("HOME", "/home/a")][..], Some("/home/a/.local/share/portdrift")),
            (false, &[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")][..], Some("/data/portdrift")),
            (false, &[][..], None),
        ] {
            assert_eq!(usual_base(is_root, with(variables)), expected.map(PathBuf::from));
        }
    }
}
