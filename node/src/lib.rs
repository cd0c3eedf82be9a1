//! The agent: takes tasks, decides for itself what it may do, scans, and keeps results until they are acknowledged.
//!
//! [`run`] starts the parts in order (data folder, policy, engines, spool, membership, mesh) and stops them in reverse.

mod agent;
pub mod config;
mod delivery;
mod durable;
pub mod engine;
mod facts;
mod join;
mod notice;
pub mod policy;
mod rotate;
mod runner;
pub mod spool;
#[cfg(test)]
mod testing;
mod timing;

pub use agent::AgentError;
pub use join::JoinError;
pub use notice::Notice;
pub use rotate::{RotateError, rotate_key};
pub use timing::Timing;

use agent::{Agent, Setup};
use config::{ConfigError, DataFolder, MeshState};
use engine::{Engine, EngineFacts, Engines};
use join::Asker;
use notice::Notices;
use policy::{Policy, PolicyError};
use protocol::envelope::Author;
use protocol::identity::{Keypair, MeshId};
use protocol::invite::Invite;
use protocol::mesh::{Mesh, MeshConfig};
use protocol::message::Succession;
use protocol::roster::{MemberState, Role};
use spool::{Spool, SpoolError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How much the spool may hold, in bytes.
const SPOOL_LIMIT_BYTES: u64 = 1 << 30;

/// How a node is run.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The data folder; made (0700) if missing.
    pub dir: PathBuf,
    /// Needed until the node is a member.
    pub invite: Option<Invite>,
    /// What the node calls itself when it asks; its host name when `None`.
    pub label: Option<String>,
    /// Where it takes connections from neighbours; may be empty.
    pub listen: Vec<SocketAddr>,
    /// The owner's policy; `policy.toml` in the data folder when `None`.
    pub policy_file: Option<PathBuf>,
    /// [`Timing::default`] for all but tests.
    pub timing: Timing,
}

/// Why a node ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policy file cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// This node is no member, and did not become one.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// It is a member and cannot go on.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// It keeps its key.
    #[error(transparent)]
    Rotate(RotateError),
    /// The path of this program, through which nmap is started, is unknown.
    #[error("the path of this program cannot be found: {0}")]
    OwnPath(std::io::Error),
}

/// Joins if needed, then serves until `stop` fires. A node that is told to stop while it still waits for its approval
/// ends well.
pub async fn run(
    options: NodeOptions,
    notices: mpsc::Sender<Notice>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let node = Node::open(options, Notices::new(notices))?;
    let launcher = std::env::current_exe().map_err(NodeError::OwnPath)?;
    let engines = Engines::find(&node.policy, launcher).await;
    if let Some(trouble) = engines.nmap_trouble() {
        tracing::warn!(error = %trouble, "nmap is there but is not used");
    }
    let facts = engines.facts();
    node.run(engines, &facts, stop).await
}

/// Joins the mesh of the invite and ends once approved, or when `stop` fires.
///
/// A member that has an invite asks again and so learns where the coordinator is now.
pub async fn join(
    options: NodeOptions,
    notices: mpsc::Sender<Notice>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let node = Node::open(options, Notices::new(notices))?;
    let launcher = std::env::current_exe().map_err(NodeError::OwnPath)?;
    let facts = Engines::find(&node.policy, launcher).await.facts();
    let kept = node.kept()?;
    let renews = node.options.invite.is_some();
    let joined = if renews || kept.is_none() { node.ask(&facts, kept, &stop).await? } else { kept };
    node.tell_approved(joined.as_ref());
    Ok(())
}

/// An open data folder with its identity and policy.
struct Node {
    options: NodeOptions,
    folder: DataFolder,
    keypair: Arc<Keypair>,
    boot: u64,
    policy: Policy,
    notices: Notices,
    spool_limit_bytes: u64,
}

impl Node {
    fn open(options: NodeOptions, notices: Notices) -> Result<Self, NodeError> {
        let folder = DataFolder::open(&options.dir)?;
        let keypair = Arc::new(folder.keypair()?);
        let boot = folder.next_boot()?;
        let policy = Policy::load(options.policy_file.as_ref().unwrap_or(&folder.policy_path()))?;
        notices.tell(Notice::Identity { fingerprint: keypair.node_id().fingerprint() });
        tracing::info!(node.id = %keypair.node_id(), node.boot = boot, "node opened");
        Ok(Self { options, folder, keypair, boot, policy, notices, spool_limit_bytes: SPOOL_LIMIT_BYTES })
    }

    async fn run<E: Engine>(self, engine: E, facts: &EngineFacts, stop: CancellationToken) -> Result<(), NodeError> {
        let (spool, set_aside) = Spool::open(&self.folder.spool_path(), self.spool_limit_bytes)?;
        let state = match self.kept()? {
            None => self.ask(facts, None, &stop).await?,
            kept => kept,
        };
        let Some(state) = state else { return Ok(()) };
        self.tell_approved(Some(&state));
        let author = Author::new(Arc::clone(&self.keypair), state.mesh(), self.boot);
        let config = MeshConfig {
            author: author.clone(),
            listen: self.options.listen.clone(),
            role: Role::Node,
            tunables: self.options.timing.mesh,
        };
        let mesh = Mesh::new(config, Some(state.signed_roster().clone())).await.map_err(AgentError::from)?;
        if !self.options.listen.is_empty() {
            self.notices.tell(Notice::Listening { addresses: mesh.listen_addresses() });
        }
        let setup = Setup {
            author,
            state,
            state_path: self.folder.state_path(),
            facts: facts::read(facts, &self.policy),
            policy: self.policy.with_engines(facts),
            engine: Arc::new(engine),
            spool,
            set_aside,
            timing: self.options.timing,
            notices: self.notices,
        };
        Ok(Agent::new(setup, mesh).run(stop).await?)
    }

    /// The membership on disk.
    fn kept(&self) -> Result<Option<MeshState>, NodeError> {
        match (self.folder.state()?, &self.options.invite) {
            (Some(state), Some(invite)) if state.mesh() != invite.mesh => Err(JoinError::OtherMesh.into()),
            (kept, _) => Ok(kept),
        }
    }

    /// A membership on the word of an invite, or `kept` renewed by it; `None` when `stop` fires first.
    async fn ask(
        &self,
        facts: &EngineFacts,
        kept: Option<MeshState>,
        stop: &CancellationToken,
    ) -> Result<Option<MeshState>, NodeError> {
        let invite = self.options.invite.as_ref().ok_or(JoinError::NoInvite)?;
        let asker = self.asker(Arc::clone(&self.keypair), invite.mesh, facts, None);
        let Some(joined) = asker.join(invite, stop).await? else { return Ok(None) };
        let state = match kept {
            None => joined,
            Some(kept) => kept.renewed(joined).map_err(ConfigError::from)?,
        };
        state.save(&self.folder.state_path()).map_err(ConfigError::from)?;
        Ok(Some(state))
    }

    /// Asks in the name of `keypair`.
    fn asker(&self, keypair: Arc<Keypair>, mesh: MeshId, facts: &EngineFacts, succeeds: Option<Succession>) -> Asker {
        let facts = facts::read(facts, &self.policy);
        Asker {
            author: Author::new(keypair, mesh, self.boot),
            label: self.options.label.as_deref().unwrap_or(facts.hostname.as_str()).into(),
            facts,
            timing: self.options.timing,
            notices: self.notices.clone(),
            succeeds,
        }
    }

    fn tell_approved(&self, state: Option<&MeshState>) {
        let member = state.and_then(|state| state.roster().member(&self.keypair.node_id()));
        if let Some(member) = member.filter(|member| member.state == MemberState::Approved) {
            self.notices.tell(Notice::Approved { ranges: member.ranges.clone() });
        }
    }
}
