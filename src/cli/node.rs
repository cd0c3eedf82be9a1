//! `node`: the agent on a network segment, how it is, and what its owner is told.

mod doctor;
mod status;

use super::folder::Part;
use super::print::{self, Form};
use super::{Shared, stop};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use clap::{Args, Subcommand};
use node::policy::{EXAMPLE, Policy};
use node::{NodeOptions, Notice, Timing};
use protocol::Timestamp;
use protocol::invite::Invite;
use protocol::mesh::Tunables;
use serde::Serialize;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// Notices that wait to be printed; a terminal that is slower misses some.
const NOTICES: usize = 256;

/// Holds the invite of a node that another program starts: other users of the machine can read arguments.
pub(crate) const INVITE_VARIABLE: &str = "PORTDRIFT_NODE_INVITE";

#[derive(Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Scan for a coordinator until Ctrl-C or SIGTERM; asks to join first where that is needed
    #[command(after_help = "\
Examples:
  portdrift node run --join pdrift1…    the first time
  portdrift node run                    from then on")]
    Run(RunArgs),
    /// Give a stopped node a new key; the old one vouches for it and is out from then on
    #[command(after_help = "Example:\n  portdrift node rotate-key --dir /srv/node")]
    RotateKey {
        /// Ask where this invite says, not where the coordinator was last
        #[arg(long, value_name = "INVITE")]
        join: Option<Invite>,
        #[command(flatten)]
        own: OwnArgs,
    },
    /// Ask to join, wait for the approval, and end; `node run` then scans
    #[command(after_help = "Example:\n  portdrift node join pdrift1…")]
    Join {
        /// As `portdrift invites create` printed it
        invite: Invite,
        #[command(flatten)]
        own: OwnArgs,
    },
    /// See how the node of this machine is
    Status(status::StatusArgs),
    /// Find out what is wrong with the node of this machine, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// What the owner of a node lets it do: write an example of the policy file, or check one
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Print a policy file that explains every key
    #[command(after_help = "Example:\n  portdrift node policy example > policy.toml")]
    Example,
    /// Say whether a policy file can be used, and what it allows
    #[command(after_help = "Example:\n  portdrift node policy check policy.toml")]
    Check {
        /// The file [default: policy.toml in the node's data folder]
        file: Option<PathBuf>,
        /// The node's data folder [default: /var/lib/portdrift/node as root, else below $XDG_DATA_HOME]
        #[arg(long, value_name = "DIR", env = "PORTDRIFT_NODE_DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Join with this invite; without effect once the node is a member
    #[arg(long, value_name = "INVITE", env = INVITE_VARIABLE, hide_env_values = true)]
    join: Option<Invite>,
    #[command(flatten)]
    own: OwnArgs,
    /// End when standard input does
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

/// What a node knows of itself.
#[derive(Args)]
struct OwnArgs {
    /// The node's data folder [default: /var/lib/portdrift/node as root, else below $XDG_DATA_HOME]
    #[arg(long, value_name = "DIR", env = "PORTDRIFT_NODE_DIR")]
    dir: Option<PathBuf>,
    /// What it calls itself when it asks [default: its host name]
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Take connections from neighbours here
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Where neighbours reach it, when that is not where it listens, for instance behind a port forwarding
    #[arg(long, value_name = "ADDRESS:PORT")]
    advertise: Vec<SocketAddr>,
    /// What the owner lets it do [default: policy.toml in the data folder, when it is there]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Waits of seconds instead of minutes; for tests
    #[arg(long, hide = true)]
    short_times: bool,
    /// Seconds that the clock of this machine is off; for tests
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 0, allow_hyphen_values = true)]
    clock_off: i64,
}

impl OwnArgs {
    fn options(self, invite: Option<Invite>) -> anyhow::Result<NodeOptions> {
        let Self { dir, label, listen, advertise, policy, short_times, clock_off } = self;
        Timestamp::pretend_off(clock_off.saturating_mul(1_000));
        let timing = if short_times { short() } else { Timing::default() };
        let dir = Part::Node.folder(dir)?;
        Ok(NodeOptions { dir, invite, label, listen, advertise, policy_file: policy, timing })
    }
}

/// Times for tests: everything that takes minutes in a real network takes seconds.
fn short() -> Timing {
    Timing {
        presence_every: Duration::from_millis(500),
        silence: Duration::from_secs(5),
        answer_within: Duration::from_secs(5),
        retry_first: Duration::from_millis(100),
        retry_most: Duration::from_secs(1),
        return_spread: Duration::from_millis(200),
        mesh: Tunables { redial_most: Duration::from_secs(1), ..Tunables::default() },
        ..Timing::default()
    }
}

pub(crate) async fn run(args: NodeArgs, shared: &Shared) -> anyhow::Result<Exit> {
    match args.command {
        Command::Run(RunArgs { join, own, stop_with_parent }) => {
            let stop = stop::on_signal(stop_with_parent)?;
            let options = own.options(join)?;
            telling(shared.form(), |notices| node::run(options, notices, stop)).await?;
        }
        Command::RotateKey { join, own } => {
            let stop = stop::on_signal(false)?;
            let options = own.options(join)?;
            let mut rotated = None;
            telling(shared.form(), async |notices| {
                rotated = node::rotate_key(options, notices, stop).await?;
                Ok::<_, node::NodeError>(())
            })
            .await?;
            let Some(fingerprint) = rotated else {
                let reason = "stopped before the new key was let in; run the same again to go on";
                return Err(Failure::new(Exit::Failed, reason).into());
            };
            tell(shared.form(), &Notice::Rotated { fingerprint })?;
        }
        Command::Join { invite, own } => {
            let stop = stop::on_signal(false)?;
            let options = own.options(Some(invite))?;
            telling(shared.form(), |notices| node::join(options, notices, stop.clone())).await?;
            if stop.is_cancelled() {
                return Err(Failure::new(
                    Exit::Failed,
                    "stopped before the node was approved; run the same again to go on waiting",
                )
                .into());
            }
        }
        Command::Status(args) => return status::run(args, shared),
        Command::Doctor(args) => return doctor::run(args, shared).await,
        Command::Policy { command: PolicyCommand::Example } => print::line(EXAMPLE)?,
        Command::Policy { command: PolicyCommand::Check { file, dir } } => {
            let path = match file {
                Some(file) => file,
                None => Part::Node.folder(dir)?.join("policy.toml"),
            };
            shared.form().show(&Checked::read(&path)?, Checked::words)?;
        }
    }
    Ok(Exit::Done)
}

/// What `node policy check` found in a file that can be used.
#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    allows: Vec<String>,
}

impl Checked {
    fn read(path: &Path) -> anyhow::Result<Self> {
        // The node takes a file that is missing for no limits; who asks for a check means a file.
        std::fs::metadata(path).with_context(|| format!("reading the policy file {}", path.display()))?;
        let policy = Policy::load(path).with_context(|| path.display().to_string())?;
        Ok(Self { file: path.to_owned(), allows: policy.words() })
    }

    fn words(&self) -> String {
        format!("{} can be used; it allows\n  {}", self.file.display(), self.allows.join("\n  "))
    }
}

/// Does `work`, printing what it has to tell as it goes, and the rest at its end.
async fn telling<W, E>(form: Form, work: impl FnOnce(mpsc::Sender<Notice>) -> W) -> anyhow::Result<()>
where
    W: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let (sender, mut notices) = mpsc::channel(NOTICES);
    let mut work = std::pin::pin!(work(sender));
    let ended = loop {
        tokio::select! {
            biased;
            Some(notice) = notices.recv() => tell(form, &notice)?,
            ended = &mut work => break ended,
        }
    };
    while let Ok(notice) = notices.try_recv() {
        tell(form, &notice)?;
    }
    Ok(ended?)
}

/// What `--json` prints, one object a line.
#[derive(Serialize)]
struct Told {
    notice: String,
}

fn tell(form: Form, notice: &Notice) -> anyhow::Result<()> {
    let notice = notice.to_string();
    match form {
        Form::Json | Form::JsonLines => print::line(&serde_json::to_string(&Told { notice })?),
        Form::Text | Form::Ids => print::line(&notice),
    }
}
