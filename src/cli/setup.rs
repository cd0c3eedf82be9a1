//! `setup`: the first start of a coordinator. Makes keys and store; then the first administrator, or serves until a
//! person has made one in the browser.

use super::config::NamedFile;
use super::coordinator::{RunArgs, Surroundings, serve};
use super::password::PasswordArgs;
use super::print::{self, Form};
use super::{Place, Shared};
use crate::exit::{Exit, Failure};
use clap::Args;
use coordinator::settings::{DEFAULT_HTTP, Settings};
use coordinator::{SetupOptions, SetupOutcome};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift setup                     then open the address that it prints
  portdrift setup --admin ada         without a browser; `portdrift coordinator run` then serves
  portdrift setup --admin ada --password-file /run/secrets/ada --mesh-listen 192.0.2.10:9430")]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    place: Place,
    /// Make this administrator and end, instead of serving until one is made in the browser
    #[arg(long, value_name = "NAME")]
    admin: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    named: NamedFile,
    #[command(flatten)]
    surroundings: Surroundings,
}

impl SetupArgs {
    /// Whether it goes on as a coordinator.
    pub(crate) fn serves(&self) -> bool {
        self.admin.is_none()
    }
}

/// Where a coordinator listens from its setup on.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListenArgs {
    /// Where nodes connect; those that ask to join use the port after it [default: 0.0.0.0:9430]
    #[arg(long, value_name = "ADDRESS:PORT")]
    mesh_listen: Option<SocketAddr>,
    /// Where nodes reach it, when that is another address than it listens on
    #[arg(long, value_name = "ADDRESS:PORT")]
    advertise: Vec<SocketAddr>,
    /// Where the dashboard answers: in plain HTTP on loopback, in HTTPS elsewhere
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_HTTP, value_parser = read_http)]
    http: SocketAddr,
}

/// An address and port, with a message that shows how one looks.
pub(crate) fn read_http(text: &str) -> Result<SocketAddr, Failure> {
    text.parse()
        .map_err(|_| Failure::usage(format!("{text:?} is no address with a port; write for instance 127.0.0.1:5000")))
}

impl ListenArgs {
    /// As they are kept in the store.
    pub(crate) fn settings(&self) -> Settings {
        let Self { mesh_listen, advertise, http } = self.clone();
        let usual = Settings::default();
        Settings { mesh: mesh_listen.unwrap_or(usual.mesh), advertised: advertise, http }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome {
    dir: PathBuf,
    mesh: String,
    coordinator: String,
}

pub(crate) async fn run(args: SetupArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let SetupArgs { place, admin, password, listen, named, surroundings } = args;
    let (dir, settings) = (place.folder()?, listen.settings());
    let Some(admin) = admin else {
        if password.is_given() {
            return Err(Failure::usage("a password belongs to an administrator; name one with --admin").into());
        }
        begin(&dir, settings).await?;
        return serve(dir, RunArgs::first(named, surroundings), shared).await;
    };
    let password = password.read(&admin)?;
    let made = coordinator::setup(SetupOptions { dir: dir.clone(), settings, admin: Some((admin, password)) }).await?;
    tell(&dir, &made, shared.form())?;
    Ok(Exit::Done)
}

/// Makes a coordinator without an administrator; one that was made before and still has none is gone on with.
async fn begin(dir: &Path, settings: Settings) -> anyhow::Result<()> {
    if coordinator::check_set_up(dir).is_ok() {
        if settings != Settings::default() {
            let reason = "where it listens was chosen before; leave --mesh-listen, --advertise and --http out, or give them to `portdrift coordinator run`";
            return Err(Failure::new(Exit::Failed, format!("{} is set up already: {reason}", dir.display())).into());
        }
        return Ok(());
    }
    coordinator::setup(SetupOptions { dir: dir.to_owned(), settings, admin: None }).await?;
    print::note(&format!(
        "A new coordinator is in {0}. From the next time on, start it with: portdrift coordinator run --dir {0}",
        dir.display()
    ));
    Ok(())
}

/// Says what a first start made, and what comes next.
pub(crate) fn tell(dir: &Path, made: &SetupOutcome, form: Form) -> anyhow::Result<()> {
    let outcome =
        Outcome { dir: dir.to_owned(), mesh: made.mesh.to_string(), coordinator: made.coordinator.to_string() };
    form.show(&outcome, |outcome| {
        let Outcome { dir, mesh, coordinator } = outcome;
        let dir = dir.display();
        format!(
            "mesh         {mesh}\ncoordinator  {coordinator}\ndata         {dir}\n\nNext: portdrift coordinator run --dir {dir}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboards_address_has_a_port_and_no_name() {
        assert_eq!(read_http("127.0.0.1:0").unwrap(), SocketAddr::from(([127, 0, 0, 1], 0)));
        assert!(read_http("[::1]:5000").is_ok() && read_http("0.0.0.0:5000").is_ok());
        for wrong in ["localhost:80", "127.0.0.1", ""] {
            assert!(read_http(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
