//! A new identity for a member: made here, vouched for by the old one, and let in on its terms.

use crate::agent::enrolment_ports;
use crate::config::ConfigError;
use crate::engine::Engines;
use crate::notice::Notices;
use crate::spool::Spool;
use crate::{Node, NodeError, NodeOptions, Notice};
use protocol::Timestamp;
use protocol::identity::Fingerprint;
use protocol::invite::Invite;
use protocol::message::Succession;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// For so long one attempt asks; it can be made again.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Why a node keeps its key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Only a member has a place to hand on.
    #[error("this node belongs to no mesh yet; `portdrift node join INVITE` comes first")]
    NoMember,
    /// What the old key scanned is to be delivered under it.
    #[error("{0} results of the present key wait for delivery; let `portdrift node run` deliver them first")]
    Spooled(usize),
}

/// Gives a stopped node a new key. What is cut short goes on where it stopped when it is asked for again; `None` when
/// `stop` fires first.
///
/// The coordinator is asked where it was last, or where the invite says.
pub async fn rotate_key(
    options: NodeOptions,
    notices: mpsc::Sender<Notice>,
    stop: CancellationToken,
) -> Result<Option<Fingerprint>, NodeError> {
    let node = Node::open(options, Notices::new(notices))?;
    let kept = node.kept()?.ok_or(RotateError::NoMember)?;
    let waiting = Spool::open(&node.folder.spool_path(), node.policy.spool_limits())?.0.keys().len();
    if waiting > 0 {
        return Err(RotateError::Spooled(waiting).into());
    }
    let launcher = std::env::current_exe().map_err(NodeError::OwnPath)?;
    let facts = Engines::find(&node.policy, launcher).await.facts();
    let next = Arc::new(node.folder.next_keypair()?);
    let (mesh, successor) = (kept.mesh(), next.node_id());
    let addresses = match &node.options.invite {
        Some(invite) => invite.addresses.clone(),
        None => enrolment_ports(&kept.coordinator().addresses),
    };
    let word = Succession::sign(&node.keypair, mesh, successor);
    let way = Invite { mesh, addresses, expires: Timestamp::now().plus(PATIENCE), secret: None };
    let asker = node.asker(next, mesh, &facts, Some(word));
    let Some(joined) = asker.join(&way, &stop).await? else { return Ok(None) };
    node.keep_cards(joined.cards)?;
    let state = kept.renewed(joined.state).map_err(ConfigError::from)?;
    // The state first: whatever is cut short after it, the old key asks again and hands over to the same successor.
    state.save(&node.folder.state_path()).map_err(ConfigError::from)?;
    node.folder.take_next_key()?;
    Ok(Some(successor.fingerprint()))
}

impl From<RotateError> for NodeError {
    fn from(error: RotateError) -> Self {
        Self::Rotate(error)
    }
}
