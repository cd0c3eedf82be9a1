//! `setup`: the first start of a coordinator. Makes keys, store and the first administrator; starts nothing.

use super::password::PasswordArgs;
use super::print::Form;
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
  portdrift setup --admin ada
  portdrift setup --admin ada --password-file /run/secrets/ada --mesh-listen 192.0.2.10:9430")]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    place: Place,
    /// The first administrator's name
    #[arg(long, value_name = "NAME")]
    admin: String,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    listen: ListenArgs,
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
    let dir = args.place.folder()?;
    let password = args.password.read(&args.admin)?;
    let options =
        SetupOptions { dir: dir.clone(), settings: args.listen.settings(), admin: Some((args.admin, password)) };
    let made = coordinator::setup(options).await?;
    tell(&dir, &made, shared.form())?;
    Ok(Exit::Done)
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
