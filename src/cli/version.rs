//! `version`: which program this is.

use super::{Shared, print};
use crate::exit::Exit;
use serde::Serialize;

/// What `--help` says below the options.
pub(crate) const HELP: &str = "Examples:\n  portdrift version\n  portdrift version --json";

/// What `--json` prints.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    build: &'static str,
    system: &'static str,
    machine: &'static str,
    licence: &'static str,
}

pub(crate) fn run(shared: &Shared) -> anyhow::Result<Exit> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "development" } else { "release" },
        system: std::env::consts::OS,
        machine: std::env::consts::ARCH,
        licence: env!("CARGO_PKG_LICENSE"),
    };
    shared.form().show(&version, words)?;
    Ok(Exit::Done)
}

fn words(version: &Version) -> String {
    let Version { version, build, system, machine, licence } = version;
    print::facts(&[
        ("portdrift", (*version).to_owned()),
        ("built", format!("for {build}, {system} on {machine}")),
        ("licence", (*licence).to_owned()),
    ])
}
