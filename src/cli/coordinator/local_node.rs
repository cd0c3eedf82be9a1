//! The node on the coordinator's own machine: a child of this process with a data folder of its own, started with every
//! start of the coordinator once it has joined, and ended with it.

use super::super::children::own_command;
use super::super::node::INVITE_VARIABLE;
use super::Surroundings;
use anyhow::Context;
use coordinator::{LocalNode, LocalNodeState};
use protocol::TargetSet;
use protocol::invite::Invite;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The node's data folder below the coordinator's.
const FOLDER: &str = "node";
/// How often in a row it is started; each time it ends early, the next start waits twice as long.
const MOST_STARTS: u32 = 5;
/// A node that lived so long did not end early.
const LONG_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long it may take to end before it is made to.
const GRACE: Duration = Duration::from_secs(20);
/// Invites that wait for it: the latest alone matters, and a person makes them.
const INVITES: usize = 4;

type SharedState = Arc<Mutex<LocalNodeState>>;

/// The handle that the coordinator holds.
pub(crate) struct LocalChild {
    networks: Vec<TargetSet>,
    state: SharedState,
    invites: mpsc::Sender<Invite>,
}

/// Keeps the node running.
pub(crate) struct Keeper {
    dir: PathBuf,
    has_short_times: bool,
    state: SharedState,
    invites: mpsc::Receiver<Invite>,
}

/// A keeper at work.
pub(crate) struct Keeping {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The node beside the coordinator in `hub`.
pub(crate) fn beside(hub: &Path, around: Surroundings) -> (LocalChild, Keeper) {
    let Surroundings { stop_with_parent: _, short_times: has_short_times, own_network } = around;
    let networks = if own_network.is_empty() { node::own_networks() } else { own_network };
    let (sender, invites) = mpsc::channel(INVITES);
    let state = SharedState::default();
    let keeper = Keeper { dir: hub.join(FOLDER), has_short_times, state: state.clone(), invites };
    (LocalChild { networks, state, invites: sender }, keeper)
}

impl LocalNode for LocalChild {
    fn networks(&self) -> Vec<TargetSet> {
        self.networks.clone()
    }

    fn state(&self) -> LocalNodeState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start(&self, invite: Invite) {
        set(&self.state, LocalNodeState::Running);
        if self.invites.try_send(invite).is_err() {
            set(&self.state, LocalNodeState::Failed { reason: "it is being started already; try again".to_owned() });
        }
    }
}

fn set(state: &SharedState, to: LocalNodeState) {
    *state.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

impl Keeping {
    /// Ends the node, and waits for that.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the keeper of this machine's node did not end in order");
        }
    }
}

impl Keeper {
    /// Starts a node that has joined before; others wait for their invite.
    pub(crate) fn start(self) -> Keeping {
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.run(stop.clone()));
        Keeping { stop, task }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut next = Ok(None);
        if !self.has_joined() {
            next = self.invited(&stop).await;
        }
        while let Ok(invite) = next {
            next = self.keep(invite, &stop).await;
        }
    }

    fn has_joined(&self) -> bool {
        node::config::has_joined(&self.dir)
    }

    /// The next invite.
    async fn invited(&mut self, stop: &CancellationToken) -> Result<Option<Invite>, Stopped> {
        let invite = stop.run_until_cancelled(self.invites.recv()).await.flatten();
        invite.map(Some).ok_or(Stopped)
    }

    /// Keeps the node running until a new invite comes. One that ends too often, or was not let in, waits for it.
    async fn keep(&mut self, invite: Option<Invite>, stop: &CancellationToken) -> Result<Option<Invite>, Stopped> {
        let mut ended_early = 0;
        loop {
            let begun = Instant::now();
            let reason = match Running::start(&self.dir, invite.as_ref(), self.has_short_times) {
                Err(error) => format!("{error:#}"),
                Ok(mut node) => {
                    set(&self.state, LocalNodeState::Running);
                    let next = tokio::select! {
                        next = self.invited(stop) => Err(next),
                        reason = node.ended() => Ok(reason),
                    };
                    match next {
                        Ok(reason) => reason,
                        Err(next) => {
                            node.stop().await;
                            return next;
                        }
                    }
                }
            };
            tracing::error!(reason, "the node on this machine ended");
            set(&self.state, LocalNodeState::Failed { reason });
            ended_early = if begun.elapsed() < LONG_LIFE { ended_early + 1 } else { 1 };
            if ended_early >= MOST_STARTS || !self.has_joined() {
                return self.invited(stop).await;
            }
            let pause = Duration::from_secs(2u64.saturating_pow(ended_early));
            if let Ok(next) = tokio::time::timeout(pause, self.invited(stop)).await {
                return next;
            }
        }
    }
}

/// The coordinator ends.
struct Stopped;

/// A node that runs.
struct Running {
    process: Child,
    /// Held open while this process lives; its end tells the child to stop.
    input: Option<ChildStdin>,
    last_words: JoinHandle<String>,
}

impl Running {
    fn start(dir: &Path, invite: Option<&Invite>, has_short_times: bool) -> anyhow::Result<Self> {
        let mut command = own_command()?;
        command.args(["node", "run", "--stop-with-parent", "--dir"]).arg(dir);
        command.args(has_short_times.then_some("--short-times"));
        match invite {
            Some(invite) => command.env(INVITE_VARIABLE, invite.to_string()),
            None => command.env_remove(INVITE_VARIABLE),
        };
        // Ctrl-C goes to this process alone; it then ends its children in order.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().context("starting the node on this machine")?;
        let messages = process.stderr.take().context("reading what the node on this machine says")?;
        Ok(Self { input: process.stdin.take(), process, last_words: tokio::spawn(pass_on(messages)) })
    }

    /// Ends when the node does, with the reason.
    async fn ended(&mut self) -> String {
        let ended = self.process.wait().await;
        let said = (&mut self.last_words).await.unwrap_or_default();
        match ended {
            _ if !said.is_empty() => said,
            Ok(status) => format!("it ended without a word ({status})"),
            Err(error) => format!("it cannot be waited for: {error}"),
        }
    }

    /// Asks the node to end, and after a grace period makes it.
    async fn stop(&mut self) {
        drop(self.input.take());
        let ended = match tokio::time::timeout(GRACE, self.process.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => self.process.kill().await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the node on this machine could not be ended");
        }
    }
}

/// Writes what the node says into the coordinator's log; gives its last words at its end.
async fn pass_on(messages: ChildStderr) -> String {
    let mut lines = BufReader::new(messages).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!("this machine's node: {line}");
        last = line;
    }
    last.strip_prefix("error: ").unwrap_or(&last).to_owned()
}
