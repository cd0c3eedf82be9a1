//! The agent: takes tasks, decides for itself what it may do, scans, and keeps results until they are acknowledged.
//!
//! [`run`] starts the parts in order (data folder, policy, engines, spool, membership, mesh) and stops them in reverse.

mod agent;
pub mod config;
mod delivery;
mod durable;
pub mod engine;
mod facts;
mod inspect;
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
pub use facts::{own_addresses, own_networks};
pub use inspect::{Inspection, Membership, inspect};
pub use join::JoinError;
pub use notice::Notice;
pub use rotate::{RotateError, rotate_key};
pub use timing::Timing;

use agent::{Agent, CardCase, Setup};
use config::{ConfigError, DataFolder, MeshState, cards};
use engine::{Engine, EngineFacts, Engines};
use join::{Asker, Joined};
use notice::Notices;
use policy::{Policy, PolicyError};
use protocol::card::SignedCard;
use protocol::envelope::Author;
use protocol::identity::{Keypair, MeshId};
use protocol::invite::Invite;
use protocol::mesh::{Mesh, MeshConfig};
use protocol::message::{NodeFacts, Succession};
use protocol::roster::{MemberState, Role};
use protocol::text::Text;
use spool::{Spool, SpoolError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

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
    /// Where others reach it, in place of where it listens.
    pub advertise: Vec<SocketAddr>,
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
}

impl Node {
    fn open(options: NodeOptions, notices: Notices) -> Result<Self, NodeError> {
        let folder = DataFolder::open(&options.dir)?;
        let keypair = Arc::new(folder.keypair()?);
        let boot = folder.next_boot()?;
        let policy = Policy::load(options.policy_file.as_ref().unwrap_or(&folder.policy_path()))?;
        notices.tell(Notice::Identity { fingerprint: keypair.node_id().fingerprint() });
        tracing::info!(node.id = %keypair.node_id(), node.boot = boot, "node opened");
        Ok(Self { options, folder, keypair, boot, policy, notices })
    }

    async fn run<E: Engine>(self, engine: E, facts: &EngineFacts, stop: CancellationToken) -> Result<(), NodeError> {
        let (spool, set_aside) = Spool::open(&self.folder.spool_path(), self.policy.spool_limits())?;
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
        let own = facts::read(facts, &self.policy);
        let label = self.label(&own);
        let setup = Setup {
            author,
            state,
            state_path: self.folder.state_path(),
            listen: self.options.listen.clone(),
            cards: CardCase::new(self.folder.cards_path(), label, self.options.advertise.clone()),
            beacon_path: self.folder.beacon_path(),
            facts: own,
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
        let Some(Joined { state, cards }) = asker.join(invite, stop).await? else { return Ok(None) };
        let state = match kept {
            None => state,
            Some(kept) => kept.renewed(state).map_err(ConfigError::from)?,
        };
        // The cards first: where the coordinator is out of reach, nothing else tells a member whom to dial.
        self.keep_cards(cards)?;
        state.save(&self.folder.state_path()).map_err(ConfigError::from)?;
        Ok(Some(state))
    }

    /// Asks in the name of `keypair`.
    fn asker(&self, keypair: Arc<Keypair>, mesh: MeshId, facts: &EngineFacts, succeeds: Option<Succession>) -> Asker {
        let facts = facts::read(facts, &self.policy);
        Asker {
            author: Author::new(keypair, mesh, self.boot),
            label: self.label(&facts),
            facts,
            timing: self.options.timing,
            notices: self.notices.clone(),
            succeeds,
        }
    }

    fn keep_cards(&self, news: Vec<SignedCard>) -> Result<(), ConfigError> {
        let path = self.folder.cards_path();
        let mut held = cards::load(&path);
        held.extend(news);
        Ok(cards::save(&path, &held)?)
    }

    /// What it calls itself: as its owner says, else its host name.
    fn label(&self, facts: &NodeFacts) -> Text {
        self.options.label.as_deref().unwrap_or(facts.hostname.as_str()).into()
    }

    fn tell_approved(&self, state: Option<&MeshState>) {
        let member = state.and_then(|state| state.roster().member(&self.keypair.node_id()));
        if let Some(member) = member.filter(|member| member.state == MemberState::Approved) {
            self.notices.tell(Notice::Approved { ranges: member.ranges.clone() });
        }
    }
}
