//! `coordinator run`: the hub, the dashboard and the API, until told to stop.

mod local_node;
mod reload;
mod serving;

use super::config::{ConfigSource, NamedFile};
use super::logging::{self, ServiceLogs};
use super::print::{self, Form};
use super::setup::read_http;
use super::{Place, Shared, stop};
use crate::client::SOCKET;
use crate::exit::Exit;
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use coordinator::config::{Config, Flag};
use coordinator::settings::Timing;
use coordinator::{Actor, Coordinator, CoordinatorOptions, SetupError};
use protocol::TargetSet;
use reload::Reload;
use serde::Serialize;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use web::tls::Certificates;

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
  portdrift coordinator run --dir /srv/portdrift --http 0.0.0.0:8443 --web-name watch.example.org
  portdrift coordinator run --config /etc/portdrift/portdrift.toml")]
    Run(RunArgs),
}

#[derive(Args, Default)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    named: NamedFile,
    /// Listen here for nodes this time, whatever setup said
    #[arg(long, value_name = "ADDRESS:PORT")]
    mesh_listen: Option<SocketAddr>,
    /// Serve the dashboard here this time, whatever setup said
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = read_http)]
    http: Option<SocketAddr>,
    /// A name or address, besides the machine's own, under which browsers call the dashboard; its certificate holds it
    #[arg(long, value_name = "NAME")]
    web_name: Vec<String>,
    /// Speak plain HTTP where others on the network can read it
    #[arg(long)]
    insecure_http: bool,
    /// Begin no new work with less than this free on the data folder's disk [default: 512, or 5 % of it if that is more]
    #[arg(long, value_name = "MIB")]
    keep_free: Option<u32>,
    #[command(flatten)]
    surroundings: Surroundings,
    /// Refuse a coordinator that has an administrator.
    #[arg(skip)]
    is_first: bool,
}

/// What a program or a test that starts a coordinator says of what is around it.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// End when standard input does
    #[arg(long, hide = true)]
    stop_with_parent: bool,
    /// Leases and beacons of seconds instead of minutes; for tests
    #[arg(long, hide = true)]
    short_times: bool,
    /// Take this for a network that this machine is in, and no other; for tests
    #[arg(long, hide = true, value_name = "CIDR")]
    own_network: Vec<TargetSet>,
}

/// What is said once everything listens.
#[derive(Serialize)]
struct Ready {
    dashboard: String,
    /// SHA-256 of the certificate, when the dashboard speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// Opens the page on which the first administrator is made, while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_code: Option<String>,
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

impl RunArgs {
    /// Of the first start, as `setup` makes it.
    pub(crate) fn first(named: NamedFile, surroundings: Surroundings) -> Self {
        Self { named, surroundings, is_first: true, ..Self::default() }
    }

    /// What the command line says, by the key that it stands for.
    fn flags(&self) -> Vec<Flag> {
        let flag = |key, name, value: Option<String>| value.map(|value| Flag { key, name, value });
        let text = |address: &SocketAddr| address.to_string();
        let names = (!self.web_name.is_empty()).then(|| self.web_name.join(","));
        let flags = [
            flag("mesh.listen", "--mesh-listen", self.mesh_listen.as_ref().map(text)),
            flag("web.listen", "--http", self.http.as_ref().map(text)),
            flag("web.hosts", "--web-name", names),
            flag("web.insecure_http", "--insecure-http", self.insecure_http.then(|| "true".to_owned())),
            flag("store.keep_free_mib", "--keep-free", self.keep_free.map(|mib| mib.to_string())),
        ];
        flags.into_iter().flatten().collect()
    }
}

pub(crate) async fn run(args: CoordinatorArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let dir = args.place.folder()?;
    let Command::Run(args) = args.command;
    serve(dir, args, shared).await
}

/// Serves the coordinator in `dir` until it is told to stop.
pub(crate) async fn serve(dir: PathBuf, args: RunArgs, shared: &Shared) -> anyhow::Result<Exit> {
    coordinator::check_set_up(&dir)?;
    let source = ConfigSource::new(args.named.clone(), &dir, args.flags());
    let configuration = source.read_or_tell()?;
    let logs = configuration.log_folder(&dir);
    let logs = logging::start_service(shared.log.as_deref(), &configuration.config().logs, &logs)?;
    let around = args.surroundings;
    let stop = stop::on_signal(around.stop_with_parent)?;
    let timing = if around.short_times { short_times() } else { Timing::default() };
    let options = CoordinatorOptions { dir: dir.clone(), configuration, timing };
    let ended = async {
        let coordinator = Coordinator::start(options).await?;
        if args.is_first && coordinator.has_admin().await? {
            coordinator.stop().await;
            return Err(SetupError::Done(dir).into());
        }
        let (local, keeper) = local_node::beside(&dir, around);
        coordinator.bring_local_node(Arc::new(local));
        let keeper = keeper.start();
        let service = Service { source, logs: &logs, dir, stop };
        let served = service.serve(&coordinator, shared.form()).await;
        // Before the coordinator, which takes what the node has still to deliver.
        keeper.stop().await;
        coordinator.stop().await;
        served.map(|()| Exit::Done)
    };
    let ended = ended.await;
    if let Err(error) = &ended {
        tracing::error!(target: logging::ENDED, "the coordinator ended: {error:#}");
    }
    ended
}

/// What stands around a running coordinator.
struct Service<'a> {
    source: ConfigSource,
    logs: &'a ServiceLogs,
    dir: PathBuf,
    stop: CancellationToken,
}

impl Service<'_> {
    /// Opens dashboard and socket, says that it is ready, and serves both until it is stopped.
    async fn serve(self, coordinator: &Coordinator, form: Form) -> anyhow::Result<()> {
        let configuration = coordinator.configuration(&Actor::local(0))?;
        let config = configuration.config();
        let wanted = coordinator.settings().http;
        let certificates = self.certificates(config, wanted)?;
        let listener = TcpListener::bind(wanted)
            .await
            .with_context(|| format!("the dashboard cannot listen at {wanted}; choose another address with --http"))?;
        let listen = listener.local_addr().context("asking for the dashboard's port")?;
        let socket = local_socket(&self.dir)?;
        let app = self.app(coordinator, config, listen, certificates.clone());
        let setup_code = coordinator.draw_setup_code().await?;
        tell(
            &Ready {
                dashboard: serving::url(config, listen, certificates.is_some()),
                certificate: certificates.as_ref().map(Certificates::fingerprint),
                setup_code: setup_code.map(|code| code.to_string()),
                mesh: coordinator.mesh_addresses(),
                join: coordinator.enrolment_addresses(),
                fingerprint: coordinator.mesh_id().to_string(),
            },
            form,
        )?;
        let served = self.until_stopped(coordinator, app, listener, socket, certificates).await;
        let removed = std::fs::remove_file(self.dir.join(SOCKET));
        served?;
        removed.context("removing the local socket")
    }

    fn certificates(&self, config: &Config, listen: SocketAddr) -> anyhow::Result<Option<Certificates>> {
        match config.is_tls(listen)? {
            true => Ok(Some(Certificates::load(serving::certificate_files(config, &self.dir, listen)?)?)),
            false => Ok(None),
        }
    }

    fn app(
        &self,
        coordinator: &Coordinator,
        config: &Config,
        listen: SocketAddr,
        certificates: Option<Certificates>,
    ) -> web::App {
        let settings = web::Settings {
            address: serving::url(config, listen, certificates.is_some()),
            base_path: config.web.base_path.to_string(),
            doors: serving::doors(config, listen),
            is_tls: false,
        };
        let app = web::App::new(coordinator.clone(), settings, self.stop.clone());
        match certificates {
            Some(certificates) => app.with_tls(certificates),
            None => app,
        }
    }

    async fn until_stopped(
        &self,
        coordinator: &Coordinator,
        app: web::App,
        listener: TcpListener,
        socket: UnixListener,
        certificates: Option<Certificates>,
    ) -> anyhow::Result<()> {
        let (app_of_reload, watched) = (app.clone(), certificates.clone());
        let reload = Reload {
            source: &self.source,
            logs: self.logs,
            dir: self.dir.clone(),
            coordinator: coordinator.clone(),
            app: app_of_reload,
            certificates,
        };
        let watch = async {
            if let Some(certificates) = watched {
                certificates.watch(self.stop.clone()).await;
            }
            anyhow::Ok(())
        };
        let tell_drops = async {
            self.logs.tell_drops(&self.stop).await;
            anyhow::Ok(())
        };
        let serving = async {
            tokio::try_join!(
                async { web::serve(app.clone(), listener).await.context("serving the dashboard") },
                async { web::serve_local(app.clone(), socket).await.context("serving the local socket") },
                reload.on_hangup(&self.stop),
                watch,
                tell_drops,
            )
        };
        tokio::select! {
            served = serving => served.map(|_| ()),
            () = coordinator.hub_ended() => Err(anyhow!("the hub ended by a fault of its own; the log says which")),
        }
    }
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
        Form::Json | Form::JsonLines => print::line(&serde_json::to_string(ready)?),
        Form::Text | Form::Ids => {
            let certificate = ready.certificate.as_ref().map(|sum| format!("certificate  {sum}\n")).unwrap_or_default();
            let setup = ready.setup_code.as_ref().map(|code| first_steps(&ready.dashboard, code)).unwrap_or_default();
            print::line(&format!(
                "mesh       {}\nnodes at   {}\njoin at    {}\ndashboard  {}\n{certificate}{setup}ready; Ctrl-C stops it",
                ready.fingerprint,
                list(&ready.mesh),
                list(&ready.join),
                ready.dashboard
            ))
        }
    }
}

/// There is no administrator: how to become one.
fn first_steps(dashboard: &str, code: &str) -> String {
    format!("setup code   {code}\n\nNobody can sign in yet. Open {dashboard}/setup and type the setup code.\n\n")
}
