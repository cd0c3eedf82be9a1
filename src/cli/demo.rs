//! `demo`: a mesh of three processes that scans small services of its own twice and says what changed in between.
//!
//! Everything stays on loopback, and nothing else needs to be installed. What the report says is compared, line by line,
//! with what was really changed.

mod catalogue;
mod found;
mod line;
mod mesh;
mod plan;
mod random;
mod services;

use super::print::{self, Form};
use super::reports;
use super::{Shared, stop};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::Args;
use line::{Line, mismatch};
use mesh::Mesh;
use plan::{Plan, Subnet};
use serde::Serialize;
use services::Services;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use web::api::reports::Report;

#[derive(Args)]
#[command(after_help = "\
Examples:
  portdrift demo                 then look around at http://127.0.0.1:5000
  portdrift demo --once          end after the delta; exit 0 only if it is exactly what was changed
  portdrift demo --once --seed 7 with services and changes that follow from 7")]
pub(crate) struct DemoArgs {
    /// Draw services and changes from this number [default: a random one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// End after printing the delta, without leaving the dashboard up
    #[arg(long)]
    once: bool,
    /// Keep the data in this folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The dashboard's port on 127.0.0.1 [default: 5000; with --once any free one]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The loopback /24 in which the demo's hosts live, by any of its addresses
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.10.0", value_parser = read_net)]
    net: Subnet,
}

const DASHBOARD_PORT: u16 = 5000;

fn read_net(text: &str) -> Result<Subnet, Failure> {
    let address: Ipv4Addr = text
        .parse()
        .map_err(|_| Failure::usage(format!("{text:?} is no IPv4 address; write for instance 127.0.10.0")))?;
    match address.is_loopback() {
        true => Ok(Subnet::of(address)),
        false => Err(Failure::usage(format!("{address} is not loopback; the demo stays within 127.0.0.0/8"))),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Outcome<'a> {
    seed: u64,
    report: &'a Report,
    missing: Vec<String>,
    unexpected: Vec<String>,
}

/// Where the demo's data lies, and whether it stays.
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn open(keep: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(dir) = keep else {
            return Ok(Self::Temporary(
                tempfile::Builder::new().prefix("portdrift-demo-").tempdir().context("making a temporary folder")?,
            ));
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Self::Kept(std::path::absolute(dir)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Temporary(dir) => dir.close().context("removing the temporary folder"),
            Self::Kept(dir) => {
                print::note(&format!("data kept in {}", dir.display()));
                Ok(())
            }
        }
    }
}

pub(crate) async fn run(args: DemoArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let stop = stop::on_signal(false)?;
    let folder = Folder::open(args.keep.clone())?;
    let mut mesh = Mesh::new(folder.path(), args.net);
    let ended = tokio::select! {
        biased; // A signal after the delta is the usual end, which the story knows.
        ended = story(&args, &mut mesh, shared.form(), &stop) => ended,
        () = stop.cancelled() => Err(Failure::new(Exit::Failed, "stopped before the demo was over").into()),
    };
    let stopped = mesh.stop().await;
    let closed = folder.close();
    let exit = ended?;
    stopped.and(closed).map(|()| exit)
}

/// The whole demo, from an empty folder to a delta.
async fn story(args: &DemoArgs, mesh: &mut Mesh, form: Form, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let seed = args.seed.map_or_else(random_seed, Ok)?;
    let plan = Plan::draw(seed, args.net);
    let port = args.port.unwrap_or(if args.once { 0 } else { DASHBOARD_PORT });
    print::note(&format!(
        "demo with seed {seed}: {} hosts in {}, on loopback only",
        plan.before.len(),
        args.net.cidr()
    ));
    let mut services = Services::default();
    services.become_network(&plan.before).await?;
    mesh.start(port).await?;
    print::note("first run, the baseline");
    mesh.scan().await?;
    print::note("changing one thing of each kind");
    services.become_network(&plan.after).await?;
    print::note("second run");
    let report = mesh.scan().await?;
    let exit = judge(seed, &plan, &report, mesh, form).await?;
    if !args.once {
        print::note(&mesh.sign_in_words());
        tokio::select! {
            () = stop.cancelled() => {}
            error = mesh.failed() => return Err(error),
        }
    }
    Ok(exit)
}

fn random_seed() -> anyhow::Result<u64> {
    // Short enough to be typed again.
    Ok(u64::from(getrandom::u32().context("drawing a seed")?))
}

/// Prints the delta, and what of it was not expected.
async fn judge(seed: u64, plan: &Plan, report: &Report, mesh: &Mesh, form: Form) -> anyhow::Result<Exit> {
    let severities = reports::severities(mesh.client()?, report.summary.scan).await?;
    let found = found::lines(report);
    let (missing, unexpected) = mismatch(&plan.expected(), &found);
    let is_true = missing.is_empty() && unexpected.is_empty() && report.notes.is_empty();
    let texts = |lines: &[Line]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let outcome = Outcome { seed, report, missing: texts(&missing), unexpected: texts(&unexpected) };
    form.show(&outcome, |_| reports::words(report, &severities))?;
    if is_true {
        print::note(&format!("the report says exactly what was changed: {} lines", found.len()));
        return Ok(Exit::Done);
    }
    for line in &outcome.missing {
        print::note(&format!("changed, but not reported: {line}"));
    }
    for line in &outcome.unexpected {
        print::note(&format!("reported, but not changed: {line}"));
    }
    Ok(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_never_leaves_loopback() {
        assert_eq!(read_net("127.0.10.77").unwrap(), Subnet::of(Ipv4Addr::new(127, 0, 10, 0)));
        for wrong in ["192.168.1.0", "127.0.10.0/24", "", "::1"] {
            assert!(read_net(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
