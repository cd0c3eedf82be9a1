//! Which services there are, and how each is started.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

const TEXT: &str = include_str!("catalogue.toml");

/// Folders of programs that `PATH` often lacks.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Where PostgreSQL keeps its programs, a folder for each version.
const VERSIONED: &str = "/usr/lib/postgresql";

/// One service of the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// What the table calls it.
    pub(crate) name: String,
    /// The package of Debian.
    pub(crate) package: String,
    program: String,
    /// Where it listens, if not on the bench's own address.
    pub(crate) address: Option<String>,
    /// Who runs it.
    #[serde(rename = "as")]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) prepare: Vec<Vec<String>>,
    pub(crate) start: Vec<String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Catalogue {
    service: Vec<Entry>,
}

/// Every service, in the order of the file.
pub(crate) fn read() -> Result<Vec<Entry>, Box<dyn Error>> {
    Ok(toml::from_str::<Catalogue>(TEXT)?.service)
}

impl Entry {
    pub(crate) fn is_installed(&self) -> bool {
        find(&self.program).is_some()
    }
}

/// The folders that are searched: those of `PATH`, and those that it often lacks.
pub(crate) fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir(VERSIONED).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let own = std::env::split_paths(&path).collect::<Vec<_>>();
    own.into_iter().chain(FOLDERS.map(PathBuf::from)).chain(versions).collect()
}

fn find(program: &str) -> Option<PathBuf> {
    folders().into_iter().map(|folder| Path::new(&folder).join(program)).find(|path| path.is_file())
}
