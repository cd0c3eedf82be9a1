//! Which nmap: from the policy file or from the system's own folders, never from `PATH`, and only one that nobody else
//! could have replaced.

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities, capability_is_in_ambient_set};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Where distributions and administrators put it.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin"];

/// The oldest version whose options and document are known to us.
const OLDEST: (u32, u32) = (7, 80);

/// Time for `nmap --version`.
const PATIENCE: Duration = Duration::from_secs(10);

/// The nmap of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NmapFacts {
    /// Absolute path.
    pub path: PathBuf,
    /// `7.93`.
    pub version: String,
    /// Whether it can send raw packets here.
    pub raw: bool,
}

/// Why an nmap is there and not used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The path is not absolute.
    #[error("nmap path {} is not absolute; write the whole path into the policy file", .0.display())]
    Relative(PathBuf),
    /// No such file, or it cannot be looked at.
    #[error("nmap at {} cannot be used: {source}; correct `nmap` in the policy file", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others could have replaced it.
    #[error("{} could be replaced by others; it must belong to root or to this user and be writable to no one else", .0.display())]
    Replaceable(PathBuf),
    /// It does not say which version it is.
    #[error("{} did not say its version; is it nmap?", .0.display())]
    NoVersion(PathBuf),
    /// Older than 7.80.
    #[error("{} has version {version}; install nmap 7.80 or later", path.display())]
    TooOld {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
}

/// Looks at `configured`, or else in the system's folders. `Ok(None)`: none is installed.
pub(super) async fn find(configured: Option<&Path>) -> Result<Option<NmapFacts>, ProgramError> {
    let path = match configured {
        Some(path) => path.to_owned(),
        None => match FOLDERS.iter().map(|folder| Path::new(folder).join("nmap")).find(|path| path.exists()) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    let path = check_owner(&path)?;
    let version = ask_version(&path).await?;
    if parse_version(&version).is_none_or(|version| version < OLDEST) {
        return Err(ProgramError::TooOld { path, version });
    }
    Ok(Some(NmapFacts { path, version, raw: can_send_raw() }))
}

/// The file and each folder above it: owned by root or by this user, and not writable to others
/// (a sticky folder such as /tmp lets no one replace what is not theirs). Gives the path without links.
fn check_owner(path: &Path) -> Result<PathBuf, ProgramError> {
    if !path.is_absolute() {
        return Err(ProgramError::Relative(path.to_owned()));
    }
    let unreadable = |source| ProgramError::Unreadable { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(unreadable)?;
    let me = geteuid().as_raw();
    for part in real.ancestors() {
        let about = part.metadata().map_err(unreadable)?;
        let sticky = about.is_dir() && about.mode() & 0o1000 != 0;
        if ![0, me].contains(&about.uid()) || about.mode() & 0o002 != 0 && !sticky {
            return Err(ProgramError::Replaceable(part.to_owned()));
        }
    }
    Ok(real)
}

async fn ask_version(path: &Path) -> Result<String, ProgramError> {
    let unreadable = |source| ProgramError::Unreadable { path: path.to_owned(), source };
    let mut command = Command::new(path);
    command.arg("--version").env_clear().env("LC_ALL", "C").current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let no_version = || ProgramError::NoVersion(path.to_owned());
    let output =
        tokio::time::timeout(PATIENCE, command.output()).await.map_err(|_| no_version())?.map_err(unreadable)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("Nmap version ")).ok_or_else(no_version)?;
    Ok(version.split_whitespace().next().ok_or_else(no_version)?.chars().take(20).collect())
}

/// `7.93`, `7.94SVN`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, digits.parse().ok()?))
}

/// Raw packets need the right in a form that a started program keeps: root has it, others need it as ambient.
fn can_send_raw() -> bool {
    let effective = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_RAW));
    let kept = geteuid().is_root() || capability_is_in_ambient_set(CapabilitySet::NET_RAW).unwrap_or(false);
    effective && kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(folder: &Path, mode: u32, text: &str) -> PathBuf {
        let path = folder.join("nmap");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[tokio::test]
    async fn only_a_known_version_that_nobody_could_replace_is_used() {
        for (mode, text, wanted) in [
            (0o755, "#!/bin/sh\necho 'Nmap version 7.94SVN ( https://nmap.org )'\n", "7.94SVN"),
            (0o755, "#!/bin/sh\necho 'Nmap version 8.1 ( https://nmap.org )'\n", "8.1"),
            (0o755, "#!/bin/sh\necho 'Nmap version 7.70 ( https://nmap.org )'\n", "install nmap 7.80 or later"),
            (0o755, "#!/bin/sh\necho hello\n", "did not say its version"),
            (0o757, "#!/bin/sh\necho 'Nmap version 7.94'\n", "could be replaced by others"),
            (0o644, "", "Permission denied"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = program(folder.path(), mode, text);
            let said = match find(Some(&path)).await {
                Ok(found) => found.unwrap().version,
                Err(error) => error.to_string(),
            };
            assert!(said.contains(wanted), "{mode:o} {text:?}: {said}");
        }
        assert!(matches!(find(Some(Path::new("nmap"))).await, Err(ProgramError::Relative(_))));
        assert!(matches!(find(Some(Path::new("/nowhere/nmap"))).await, Err(ProgramError::Unreadable { .. })));
    }
}
