//! `doctor`: what is wrong on the coordinator's machine and in its mesh, each with what to do about it.

mod data;
mod finding;
mod machine;
mod mesh;
mod service;

pub(super) use data::{keys, owner};
pub(super) use finding::{Finding, tell};
pub(super) use machine::{clock, disk, scanners};

use super::config::{ConfigSource, NamedFile};
use super::{Place, Shared};
use crate::client::Client;
use crate::exit::Exit;
use clap::Args;
use coordinator::config::Configuration;
use coordinator::settings::Timing;
use coordinator::{CoordinatorOptions, KeepFree, StartError};
use mesh::Answers;
use node::policy::Policy;
use protocol::Timestamp;
use protocol::identity::KeyFileError;
use std::path::{Path, PathBuf};

/// What may be missing: a mesh key is kept elsewhere where approvals are signed elsewhere.
const KEYS: [(&str, bool); 2] = [("coordinator.key", true), ("mesh.key", false)];

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift doctor
  portdrift doctor --dir /srv/portdrift --json
  portdrift node doctor                           the same for a node

Exit code 1 when there is a fault; warnings are none.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    named: NamedFile,
}

pub(crate) async fn run(args: DoctorArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let dir = args.place.folder()?;
    let (mut found, now) = (vec![owner(&dir, "portdrift setup")], Timestamp::now());
    let set_up = coordinator::check_set_up(&dir);
    if let Err(missing) = &set_up
        && dir.is_dir()
    {
        found.push(Finding::fault("setup", missing));
    }
    if set_up.is_ok() {
        found.extend(keys(&dir, &KEYS));
        found.push(clock(&dir, now));
        let (told, configuration) = service::configuration(&ConfigSource::new(args.named, &dir, Vec::new()));
        found.extend(told);
        let keep = configuration.as_ref().map_or_else(KeepFree::default, |read| read.config().store.keep_free());
        found.push(disk(&dir, |total| keep.mark(total)));
        found.extend(coordinator(&dir, &args.place.client()?, configuration, now).await);
    }
    found.extend(scanners(&Policy::default()).await);
    tell(&found, shared)
}

/// What the coordinator says, or why there is none that says anything.
async fn coordinator(
    dir: &Path,
    client: &Client,
    configuration: Option<Configuration>,
    now: Timestamp,
) -> Vec<Finding> {
    match Answers::ask(client).await {
        Ok(answers) => {
            let mut found = answers.findings(now);
            let is_tls = answers.is_tls();
            found.extend(configuration.and_then(|read| service::certificate(read.config(), dir, is_tls, now)));
            found
        }
        Err(silence) => {
            let silent = Finding::fault("coordinator", format!("{silence:#}"));
            let would_start = match configuration {
                Some(configuration) => stopped(dir.to_owned(), configuration, now).await,
                None => Vec::new(),
            };
            [silent].into_iter().chain(would_start).collect()
        }
    }
}

/// Whether a coordinator that is not there would start.
async fn stopped(dir: PathBuf, configuration: Configuration, now: Timestamp) -> Vec<Finding> {
    let (config, folder) = (configuration.config().clone(), dir.clone());
    match coordinator::rehearse(CoordinatorOptions { dir, configuration, timing: Timing::default() }).await {
        Ok(settings) => {
            let store = "its keys fit and it opens; `portdrift db check` reads every record";
            let mut found = vec![Finding::ok("store", store)];
            found.extend(service::ports(&settings));
            match config.is_tls(settings.http) {
                Ok(is_tls) => found.extend(service::certificate(&config, &folder, is_tls, now)),
                Err(refused) => found.push(Finding::fault("certificate", refused)),
            }
            found
        }
        Err(StartError::Key(KeyFileError::InUse(_))) => {
            let hangs = Finding::fault("store", "a process holds it and does not answer");
            vec![hangs.remedy("see its log; end it if it hangs, and start it again")]
        }
        Err(error) => vec![Finding::fault("store", format!("no coordinator can start on it: {error}"))],
    }
}
