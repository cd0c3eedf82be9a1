//! A new key for a member, asked for at an enrolment port that answers as the test says.

use super::{Answers, approved, invite, join, loopback, serve};
use crate::config::MeshState;
use crate::join::JoinError;
use crate::spool::{Spool, SpoolLimits};
use crate::testing::{PATIENCE, member, options, roster};
use crate::{NodeError, NodeOptions, RotateError};
use protocol::identity::{Fingerprint, Keypair};
use protocol::message::{Enrolment, TaskResult};
use protocol::roster::Role;
use protocol::task::{RunId, TaskId};
use protocol::time::Timestamp;
use std::path::Path;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Rotates the key of a member, at a coordinator that gives these answers.
async fn rotate(folder: &Path, answers: Answers) -> Result<Option<Fingerprint>, NodeError> {
    let (address, task) = serve(answers, loopback()).await;
    let label = Some("rack 3".to_owned());
    let options = NodeOptions { label, invite: Some(invite(address)), ..options(folder) };
    let (sender, _notices) = mpsc::channel(1_024);
    let rotated = tokio::time::timeout(PATIENCE, crate::rotate_key(options, sender, CancellationToken::new()));
    let rotated = rotated.await.expect("rotating ends");
    task.abort();
    rotated
}

#[tokio::test]
async fn a_member_takes_a_new_key_that_is_kept_until_it_is_let_in() {
    let joined = join(Answers::of(&[approved])).await;
    let folder = joined.folder.path();
    let key = |name: &str| Keypair::load(&folder.join(name)).map(|key| key.node_id());
    let old = key("node.key").unwrap();
    let denied = rotate(folder, Answers::of(&[|_| Enrolment::Refused("not now".into())])).await;
    assert!(matches!(denied, Err(NodeError::Join(JoinError::Refused(_)))), "{denied:?}");
    let next = key("next.key").unwrap();
    assert_eq!(key("node.key").unwrap(), old);

    let newer = |node| Enrolment::Approved(roster(2, vec![member(node, Role::Node, "10.0.0.0/24")]));
    let rotated = rotate(folder, Answers::of(&[newer])).await.unwrap();
    assert_eq!(rotated, Some(next.fingerprint()));
    assert_eq!(key("node.key").unwrap(), next);
    assert!(!folder.join("next.key").exists());
    let state = MeshState::load(&folder.join("mesh.state")).unwrap().unwrap();
    assert!(state.roster().member(&next).is_some());
}

#[tokio::test]
async fn only_a_member_that_has_delivered_everything_takes_a_new_key() {
    let stranger = tempfile::tempdir().unwrap();
    let refused = rotate(stranger.path(), Answers::of(&[approved])).await;
    assert!(matches!(refused, Err(NodeError::Rotate(RotateError::NoMember))), "{refused:?}");
    let joined = join(Answers::of(&[approved])).await;
    let (spool, _) = Spool::open(&joined.folder.path().join("spool"), SpoolLimits::default()).unwrap();
    let task = TaskId { run: RunId(1), index: 0 };
    let now = Timestamp::now();
    let result = TaskResult {
        task,
        fence: 1,
        started: now,
        ended: now,
        coverage: Default::default(),
        hosts: Vec::new(),
        shortfall: None,
        default_ports: None,
    };
    spool.store(result).await.unwrap();
    drop(spool);
    let refused = rotate(joined.folder.path(), Answers::of(&[approved])).await;
    assert!(matches!(refused, Err(NodeError::Rotate(RotateError::Spooled(1)))), "{refused:?}");
}
