//! `coordinator run`: the hub, the dashboard and the API, until told to stop.

use super::print::{self, Form};
use super::setup::read_http;
use super::{Place, Shared, stop};
use crate::client::SOCKET;
use crate::exit::Exit;
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use coordinator::settings::Timing;
use coordinator::{Coordinator, CoordinatorOptions, KeepFree};
use serde::Serialize;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

#[derive(Args)]
pub(crate) struct CoordinatorArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until Ctrl-C or SIGTERM
    #[command(after_help = "\
Examples:
  portdrift coordinator run
  portdrift coordinator run --dir /srv/portdrift --http 127.0.0.1:8443")]
    Run(RunArgs),
}

#[derive(Args)]
struct RunArgs {
    /// Listen here for nodes this time, whatever setup said
    #[arg(long, value_name = "ADDRESS:PORT")]
    mesh_listen: Option<SocketAddr>,
    /// Serve the dashboard here this time, whatever setup said
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = read_http)]
    http: Option<SocketAddr>,
    /// Begin no new work with less than this free on the data folder's disk [default: 512, or 5 % of it if that is more]
    #[arg(long, value_name = "MIB")]
    keep_free: Option<u32>,
    /// End when standard input does
    #[arg(long, hide = true)]
    stop_with_parent: bool,
    /// Leases and beacons of seconds instead of minutes; for tests
    #[arg(long, hide = true)]
    short_times: bool,
}

/// What is said once everything listens.
#[derive(Serialize)]
struct Ready {
    dashboard: String,
    mesh: Vec<SocketAddr>,
    join: Vec<SocketAddr>,
    fingerprint: String,
}

/// Times for tests: everything that takes minutes in a real network takes seconds.
fn short_times() -> Timing {
    Timing {
        beacon: Duration::from_millis(500),
        lease: Duration::from_secs(2),
        grace: Duration::from_secs(8),
        offline_after: Duration::from_secs(3),
        queue_deadline: Duration::from_secs(30),
        tick: Duration::from_millis(200),
        task_limit: Duration::from_secs(15),
    }
}

pub(crate) async fn run(args: CoordinatorArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let dir = args.place.folder()?;
    let Command::Run(RunArgs { mesh_listen, http, keep_free, stop_with_parent, short_times: is_short }) = args.command;
    let stop = stop::on_signal(stop_with_parent)?;
    let timing = if is_short { short_times() } else { Timing::default() };
    let keep_free = keep_free.map_or_else(KeepFree::default, |mib| KeepFree::bytes(u64::from(mib) << 20));
    let options = CoordinatorOptions { dir: dir.clone(), mesh: mesh_listen, http, timing, keep_free, mail: None };
    let coordinator = Coordinator::start(options).await?;
    let served = serve(&coordinator, &dir, stop, shared.form()).await;
    coordinator.stop().await;
    served.map(|()| Exit::Done)
}

/// Opens dashboard and socket, says that it is ready, and serves both until `stop` fires.
async fn serve(coordinator: &Coordinator, dir: &Path, stop: CancellationToken, form: Form) -> anyhow::Result<()> {
    let wanted = coordinator.settings().http;
    let listener = TcpListener::bind(wanted)
        .await
        .with_context(|| format!("the dashboard cannot listen at {wanted}; choose another address with --http"))?;
    let dashboard = listener.local_addr().context("asking for the dashboard's port")?;
    let socket = local_socket(dir)?;
    let app = web::App::new(coordinator.clone(), web::Settings::default(), stop);
    tell(
        &Ready {
            dashboard: format!("http://{dashboard}"),
            mesh: coordinator.mesh_addresses(),
            join: coordinator.enrolment_addresses(),
            fingerprint: coordinator.mesh_id().to_string(),
        },
        form,
    )?;
    let serving = async {
        let both = tokio::try_join!(web::serve(app.clone(), listener), web::serve_local(app, socket));
        both.map(|_| ()).context("serving the dashboard")
    };
    let served = tokio::select! {
        served = serving => served,
        () = coordinator.hub_ended() => Err(anyhow!("the hub ended by a fault of its own; the log says which")),
    };
    let removed = std::fs::remove_file(dir.join(SOCKET));
    served?;
    removed.context("removing the local socket")
}

/// The socket for the command line; only this account and root can reach it. One left by a killed process is replaced:
/// the data folder's lock says that nobody else serves here.
fn local_socket(dir: &Path) -> anyhow::Result<UnixListener> {
    let path = dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("replacing {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path).with_context(|| format!("opening {}", path.display()))?;
    let only_us = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, only_us).with_context(|| format!("closing {} to others", path.display()))?;
    Ok(listener)
}

fn tell(ready: &Ready, form: Form) -> anyhow::Result<()> {
    let list = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match form {
        Form::Json => print::line(&serde_json::to_string(ready)?),
        Form::Text | Form::Ids => print::line(&format!(
            "mesh       {}\nnodes at   {}\njoin at    {}\ndashboard  {}\nready; Ctrl-C stops it",
            ready.fingerprint,
            list(&ready.mesh),
            list(&ready.join),
            ready.dashboard
        )),
    }
}
