//! `setup`: the first start of a coordinator. Makes keys, store and the first administrator; starts nothing.

use super::print::Form;
use super::{Place, Shared};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::Args;
use coordinator::settings::{DEFAULT_HTTP, Settings};
use coordinator::{SetupOptions, SetupOutcome};
use serde::Serialize;
use std::io::{IsTerminal, Read};
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
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
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
    let password = password(&args)?;
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

fn password(args: &SetupArgs) -> anyhow::Result<String> {
    if let Some(file) = &args.password_file {
        let text = std::fs::read_to_string(file);
        return Ok(first_line(&text.with_context(|| format!("reading the password from {}", file.display()))?));
    }
    if args.password_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading the password from standard input")?;
        return Ok(first_line(&text));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask for a password; use --password-stdin or --password-file",
        )
        .into());
    }
    let typed = ask(&format!("Password for {}: ", args.admin))?;
    match ask("The same again: ")? {
        again if again == typed => Ok(typed),
        _ => Err(Failure::usage("the two passwords differ; run setup again").into()),
    }
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(prompt).context("asking for a password")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
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

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (text, password) in [("a b\n", "a b"), ("a b\r\nc\n", "a b"), (" a", " a"), ("", "")] {
            assert_eq!(first_line(text), password);
        }
    }
}
