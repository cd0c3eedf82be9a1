//! Deciding about keys on a real coordinator, with members and strangers at its ports.

use super::*;
use crate::accounts::Role;
use crate::fixture::cases;
use crate::registry::tests::{approval, record};
use crate::settings::{Settings, Timing};
use crate::store::tables::AUDIT;
use crate::{ApproveRequest, CoordinatorOptions, KeepFree, NodeDecision, NodeSelection, SetupOptions, export_mesh_key};
use decide::Lifetime;
use protocol::Keypair;
use protocol::envelope::Author;
use protocol::letter::Opener;
use protocol::mesh::{self, EnrolReply, Mesh, MeshConfig, Tunables};
use protocol::message::{EnrolAnswer, EnrolRequest, Enrolment, NodeFacts, Succession};
use protocol::roster::{Change, SignedRoster};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

fn ada() -> Actor {
    Actor::new("ada".into(), Role::Approver)
}

fn keypair(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

fn print_of(seed: u8) -> Fingerprint {
    keypair(seed).node_id().fingerprint()
}

fn these(seeds: &[u8]) -> NodeSelection {
    NodeSelection::Keys(seeds.iter().map(|seed| print_of(*seed)).collect())
}

fn approve() -> NodeDecision {
    NodeDecision::Approve(ApproveRequest { ranges: "10.0.0.0/24".into(), ..ApproveRequest::default() })
}

fn revoke() -> NodeDecision {
    NodeDecision::Revoke { reason: "stolen".into() }
}

async fn start(dir: &Path) -> Coordinator {
    let options = CoordinatorOptions {
        dir: dir.join("hub"),
        mesh: None,
        http: None,
        timing: Timing::default(),
        keep_free: KeepFree::default(),
        mail: None,
    };
    Coordinator::start(options).await.unwrap()
}

/// A coordinator on which the nodes that grow from these seeds have asked to join.
async fn asked_by(seeds: &'static [u8]) -> (TempDir, Coordinator) {
    let dir = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let settings = Settings { mesh: any, advertised: Vec::new(), http: any };
    crate::setup(SetupOptions { dir: dir.path().join("hub"), settings, admin: None }).await.unwrap();
    let hub = start(dir.path()).await;
    let now = Timestamp::now();
    let asked = hub.store().update(move |draft| {
        seeds.iter().try_for_each(|seed| {
            let node = NodeRecord { last_asked: now, ..record(*seed, Admission::Pending) };
            draft.put(&NODES, &node.key, &node)
        })
    });
    asked.await.map_err(|error: StoreError| error).unwrap();
    (dir, hub)
}

async fn statuses(hub: &Coordinator, seeds: &[u8]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for seed in seeds {
        found.push(hub.node(&ada(), &print_of(*seed)).await.map_or("unknown", |view| view.status.name()));
    }
    found
}

async fn audited(hub: &Coordinator) -> Vec<String> {
    let read = hub.store().read(|view| view.iter(&AUDIT).collect::<Result<Vec<_>, _>>()).await.unwrap();
    read.into_iter().map(|(_, entry)| entry.action.to_string()).collect()
}

#[tokio::test]
async fn several_keys_are_decided_in_one_roster_or_not_at_all() {
    let (_dir, hub) = asked_by(&[3, 4, 5]).await;
    let epoch = async || hub.roster(&ada()).await.unwrap().roster.epoch;
    hub.decide_nodes(&ada(), &NodeSelection::Pending, &approve()).await.unwrap();
    assert_eq!((epoch().await, statuses(&hub, &[3, 4, 5]).await), (2, vec!["offline"; 3]));

    hub.decide_nodes(&ada(), &these(&[3]), &revoke()).await.unwrap();
    let both = hub.decide_nodes(&ada(), &these(&[3, 4]), &revoke()).await.unwrap_err();
    assert!(both.to_string().contains("it was revoked (stolen) and stays out for good"), "{both}");
    assert_eq!((epoch().await, statuses(&hub, &[3, 4, 5]).await), (3, vec!["revoked", "offline", "offline"]));

    for (seeds, decision) in
        [(&[3][..], approve()), (&[3], NodeDecision::Remove), (&[4], NodeDecision::Remove), (&[9], revoke())]
    {
        assert!(hub.decide_nodes(&ada(), &these(seeds), &decision).await.is_err(), "{decision:?}");
    }
    let viewer = Actor { role: Role::Operator, ..ada() };
    assert!(matches!(hub.decide_nodes(&viewer, &these(&[4]), &revoke()).await, Err(UseCaseError::Forbidden(_))));
    assert_eq!(audited(&hub).await, ["node approve", "node approve", "node approve", "node revoke"]);
    hub.stop().await;
}

#[tokio::test]
async fn a_roster_that_nobody_could_hand_on_is_not_made() {
    let (_dir, hub) = asked_by(&[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]).await;
    let ranges = (0..1_000).map(|host| format!("2001:db8::{host:x}:0")).collect::<Vec<_>>().join(",");
    let many = NodeDecision::Approve(ApproveRequest { ranges, ..ApproveRequest::default() });
    let refused = hub.decide_nodes(&ada(), &NodeSelection::Pending, &many).await.unwrap_err();
    assert!(matches!(&refused, UseCaseError::Conflict(why) if why.contains("fewer and larger ranges")), "{refused:?}");
    assert_eq!(statuses(&hub, &[3, 14]).await, ["pending", "pending"]);
    assert_eq!(hub.roster(&ada()).await.unwrap().roster.epoch, 1);
    hub.stop().await;
}

#[tokio::test]
async fn hiding_and_unchanged_terms_issue_no_roster_and_new_terms_do() {
    let (_dir, hub) = asked_by(&[3]).await;
    hub.decide_node(&ada(), &print_of(3), &approve()).await.unwrap();
    let hidden = hub.decide_node(&ada(), &print_of(3), &NodeDecision::Hide).await.unwrap();
    assert!(hidden.record.hidden);
    hub.decide_node(&ada(), &print_of(3), &approve()).await.unwrap();
    assert_eq!(hub.roster(&ada()).await.unwrap().roster.epoch, 2);
    let request = ApproveRequest {
        lifetime: Lifetime::From(Duration::from_secs(6 * 24 * 3600)),
        may_sponsor: Some(true),
        ..ApproveRequest::default()
    };
    let view = hub.decide_node(&ada(), &print_of(3), &NodeDecision::Approve(request)).await.unwrap();
    assert_eq!((view.ending, view.record.hidden), (Some(Ending::Week), true));
    let roster = hub.roster(&ada()).await.unwrap().roster;
    let member = roster.member(&keypair(3).node_id()).unwrap();
    assert_eq!((roster.epoch, member.may_sponsor, member.ranges.to_string()), (3, true, "10.0.0.0/24".to_owned()));
    hub.stop().await;
}

#[tokio::test]
async fn without_the_mesh_key_decisions_wait_and_only_the_very_roster_that_waits_is_taken() {
    let (dir, hub) = asked_by(&[3, 4, 5]).await;
    hub.decide_node(&ada(), &print_of(4), &approve()).await.unwrap();
    hub.stop().await;
    drop(hub);
    let file = dir.path().join("mesh.key");
    export_mesh_key(&dir.path().join("hub"), &file).unwrap();
    let key = Keypair::load(&file).unwrap();
    let hub = start(dir.path()).await;

    hub.decide_node(&ada(), &print_of(3), &approve()).await.unwrap();
    let first = hub.roster(&ada()).await.unwrap().awaited.unwrap();
    hub.decide_node(&ada(), &print_of(4), &revoke()).await.unwrap();
    let view = hub.roster(&ada()).await.unwrap();
    let second = view.awaited.unwrap();
    assert_eq!((view.roster.epoch, view.signs_here, second.roster.epoch), (2, false, 3));
    assert!(matches!(
        second.changes.as_slice(),
        [Change::LetIn(_), Change::Revoked(_)] | [Change::Revoked(_), Change::LetIn(_)]
    ));
    assert_eq!(statuses(&hub, &[3, 4, 5]).await, ["awaiting signature", "revoked", "pending"]);
    assert!(hub.node(&ada(), &print_of(4)).await.unwrap().is_awaited);

    let stale = hub.take_signed_roster(&ada(), SignedRoster::sign(&first.roster, &key)).await.unwrap_err();
    assert!(stale.to_string().contains("something else was decided meanwhile"), "{stale}");
    let forged = hub.take_signed_roster(&ada(), SignedRoster::sign(&second.roster, &keypair(9))).await.unwrap_err();
    assert!(forged.to_string().contains("not signed by this mesh's key"), "{forged}");
    let signed = SignedRoster::sign(&second.roster, &key);
    let view = hub.take_signed_roster(&ada(), signed.clone()).await.unwrap();
    assert!(view.awaited.is_none() && view.roster == second.roster);
    assert_eq!(statuses(&hub, &[3, 4, 5]).await, ["offline", "revoked", "pending"]);
    assert!(hub.take_signed_roster(&ada(), signed).await.is_err(), "once is enough");
    hub.stop().await;
}

/// What the coordinator answers this key when it asks to join.
async fn asks(hub: &Coordinator, seed: u8) -> Enrolment {
    asks_with(hub, seed, None).await
}

async fn asks_with(hub: &Coordinator, seed: u8, succeeds: Option<Succession>) -> Enrolment {
    let keys = Arc::new(keypair(seed));
    let author = Author::new(keys.clone(), hub.mesh_id(), 1);
    let request = EnrolRequest {
        sealing: Opener::new(&keys).key(),
        label: "lab".into(),
        facts: NodeFacts::default(),
        secret: None,
        succeeds,
    };
    let envelope = author.sign(&request, 0, Timestamp::now());
    let addresses = hub.enrolment_addresses();
    let believe = |_, reply: EnrolReply| {
        let answer = reply.answer.verify::<EnrolAnswer>(hub.mesh_id(), Timestamp::now()).unwrap();
        Ok(answer.into_message().decision)
    };
    let asked = mesh::ask(&keys, hub.mesh_id(), &addresses, &envelope, PATIENCE, believe);
    asked.await.unwrap().1
}

#[tokio::test]
async fn a_revoked_key_is_told_why_however_often_it_asks_and_a_removed_one_may_ask_again() {
    let (_dir, hub) = asked_by(&[3, 4]).await;
    hub.decide_nodes(&ada(), &NodeSelection::Pending, &approve()).await.unwrap();
    assert!(matches!(asks(&hub, 3).await, Enrolment::Approved(_)));
    hub.decide_node(&ada(), &print_of(3), &revoke()).await.unwrap();
    for _ in 0..cases(5, 1_000).cases {
        let Enrolment::Denied(reason) = asks(&hub, 3).await else { panic!("it was not turned away") };
        assert!(reason.as_str().contains("revoked (stolen)"), "{reason}");
    }
    let ended = ApproveRequest { lifetime: Lifetime::From(Duration::from_millis(1)), ..ApproveRequest::default() };
    hub.decide_node(&ada(), &print_of(4), &NodeDecision::Approve(ended)).await.unwrap();
    assert!(matches!(asks(&hub, 4).await, Enrolment::Refused(_)));
    hub.decide_node(&ada(), &print_of(4), &NodeDecision::Remove).await.unwrap();
    assert!(matches!(asks(&hub, 4).await, Enrolment::Pending));
    hub.stop().await;
}

#[tokio::test]
async fn a_member_goes_on_under_the_key_that_it_named_and_the_old_one_is_out() {
    let (_dir, hub) = asked_by(&[3]).await;
    hub.decide_node(&ada(), &print_of(3), &approve()).await.unwrap();
    let word = |old: u8, new: u8| Some(Succession::sign(&keypair(old), hub.mesh_id(), keypair(new).node_id()));
    for bad in [word(3, 9), word(8, 4)] {
        assert!(matches!(asks_with(&hub, 4, bad).await, Enrolment::Refused(_)));
    }
    for again in 0..2 {
        assert!(matches!(asks_with(&hub, 4, word(3, 4)).await, Enrolment::Approved(_)), "{again}");
    }
    assert!(matches!(asks_with(&hub, 5, word(3, 5)).await, Enrolment::Refused(_)), "a key is handed on once");
    assert!(matches!(asks(&hub, 3).await, Enrolment::Denied(_)));
    assert_eq!(statuses(&hub, &[3, 4, 5]).await, ["revoked", "offline", "unknown"]);
    let (old, new) = (hub.node(&ada(), &print_of(3)).await.unwrap(), hub.node(&ada(), &print_of(4)).await.unwrap());
    let terms = |view: &NodeView| view.record.approval().map(|held| held.ranges.to_string());
    assert_eq!((terms(&new), new.record.label.clone()), (Some("10.0.0.0/24".to_owned()), old.record.label.clone()));
    assert_eq!(hub.roster(&ada()).await.unwrap().roster.epoch, 3);
    assert_eq!(audited(&hub).await, ["node approve", "node rotate"]);
    hub.stop().await;
}

/// A member of the mesh that grew from seed 3, holding `roster`, as it dials the coordinator.
async fn member(hub: &Coordinator, roster: SignedRoster) -> Mesh {
    let author = Author::new(Arc::new(keypair(3)), hub.mesh_id(), 1);
    let role = protocol::roster::Role::Node;
    let config = MeshConfig { author, listen: Vec::new(), role, tunables: Tunables::default() };
    let mut mesh = Mesh::new(config, Some(roster)).await.unwrap();
    mesh.dial(hub.id(), &hub.mesh_addresses());
    mesh
}

/// Drives a member until the coordinator shows what is looked for.
async fn until<F: Future<Output = bool>>(mut mesh: Mesh, mut is_so: impl FnMut() -> F) {
    let looks = async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = mesh.next() => {}
                _ = look.tick() => if is_so().await { break },
            }
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("not in time");
}

#[tokio::test]
async fn a_coordinator_with_an_older_store_takes_over_the_roster_of_a_member_and_goes_on_from_it() {
    let (dir, hub) = asked_by(&[3, 4, 5]).await;
    hub.decide_nodes(&ada(), &these(&[3, 4]), &approve()).await.unwrap();
    let key = Keypair::load(&dir.path().join("hub/mesh.key")).unwrap();
    // What was decided after the backup: 4 was revoked, and 6, whom the store never saw, was let in.
    let mut later = hub.roster(&ada()).await.unwrap().roster;
    (later.epoch, later.issued) = (9, Timestamp::now());
    later.members.iter_mut().filter(|m| m.key == keypair(4).node_id()).for_each(|m| m.state = MemberState::Revoked);
    later.members.extend(record(6, Admission::Approved(approval(later.issued))).member());
    later.members.sort_by_key(|member| member.key);
    let mesh = member(&hub, SignedRoster::sign(&later, &key)).await;
    until(mesh, async || hub.roster(&ada()).await.unwrap().roster.epoch >= 9).await;
    assert_eq!(statuses(&hub, &[3, 4, 5, 6]).await, ["offline", "revoked", "pending", "offline"]);
    hub.decide_node(&ada(), &print_of(5), &approve()).await.unwrap();
    let roster = hub.roster(&ada()).await.unwrap().roster;
    let states: Vec<_> = [3, 4, 5, 6].map(|seed| roster.member(&keypair(seed).node_id()).map(|m| m.state)).to_vec();
    let (is_in, out) = (Some(MemberState::Approved), Some(MemberState::Revoked));
    assert!(roster.epoch > 9);
    assert_eq!(states, [is_in, out, is_in, is_in]);
    assert!(audited(&hub).await.contains(&"roster adopt".to_owned()));
    hub.stop().await;
}

#[tokio::test]
async fn two_rosters_of_one_epoch_raise_an_alarm_that_stays_until_it_is_acknowledged() {
    let (dir, hub) = asked_by(&[3]).await;
    hub.decide_node(&ada(), &print_of(3), &approve()).await.unwrap();
    let key = Keypair::load(&dir.path().join("hub/mesh.key")).unwrap();
    let mut other = hub.roster(&ada()).await.unwrap().roster;
    other.previous = [9; 32];
    let mesh = member(&hub, SignedRoster::sign(&other, &key)).await;
    until(mesh, async || hub.roster(&ada()).await.unwrap().alarm.is_some()).await;
    let alarm = hub.roster(&ada()).await.unwrap().alarm.unwrap();
    assert_eq!((alarm.epoch, alarm.from, alarm.offered), (2, keypair(3).node_id(), other.hash()));
    hub.acknowledge_alarm(&ada()).await.unwrap();
    assert!(hub.roster(&ada()).await.unwrap().alarm.is_none());
    assert_eq!(audited(&hub).await, ["node approve", "roster conflict", "roster acknowledge"]);
    hub.stop().await;
}
