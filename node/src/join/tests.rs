//! Joining, against an enrolment port that answers as the test says.

mod rotation;

use super::*;
use crate::testing::{PATIENCE, card, coordinator, key, member, mesh_key, options, roster};
use crate::{NodeError, NodeOptions};
use protocol::card::{Card, Endorsement};
use protocol::identity::Keypair;
use protocol::mesh::EnrolServer;
use protocol::roster::{MemberState, SignedRoster};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What is answered, request by request; the last one for ever.
struct Answers {
    /// Whose enrolment port it is: the coordinator's or a sponsor's.
    port: Keypair,
    /// What happens to an answer on its way.
    twist: fn(Vec<u8>) -> Vec<u8>,
    signed: fn() -> Timestamp,
    signer: Author,
    endorser: Keypair,
    card: Card,
    node: Option<NodeId>,
    decisions: Vec<fn(NodeId) -> Enrolment>,
    /// Instead of the one in the decision.
    roster: Option<SignedRoster>,
    /// How far the coordinator's clock is behind the node's.
    behind: Duration,
}

impl Answers {
    fn of(decisions: &[fn(NodeId) -> Enrolment]) -> Self {
        let card = card(&["127.0.0.1:9".parse().unwrap()]);
        let decisions = decisions.to_vec();
        let (port, twist, signed) = (key(1), std::convert::identity as _, Timestamp::now as _);
        let (signer, endorser, behind) = (coordinator(), mesh_key(), Duration::ZERO);
        Self { port, twist, signed, signer, endorser, card, node: None, decisions, roster: None, behind }
    }

    /// The same, handed over by a sponsor.
    fn sponsored(decisions: &[fn(NodeId) -> Enrolment]) -> Self {
        Self { port: key(5), ..Self::of(decisions) }
    }
}

fn pending(_: NodeId) -> Enrolment {
    Enrolment::Pending
}

fn approved(node: NodeId) -> Enrolment {
    Enrolment::Approved(roster(1, vec![member(node, Role::Node, "10.0.0.0/24")]))
}

async fn serve(answers: Answers, listen: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let Answers { port, twist, signed, .. } = answers;
    let mut server = EnrolServer::new(&Arc::new(port), mesh_key().mesh_id(), vec![listen]).await.unwrap();
    let address = server.listen_addresses()[0];
    let task = tokio::spawn(async move {
        for turn in 0.. {
            let asked = server.next().await;
            let request = asked.envelope.verify::<EnrolRequest>(mesh_key().mesh_id(), Timestamp::now()).unwrap();
            assert_eq!((request.sender(), request.message().label.as_str()), (asked.from, "rack 3"));
            let decide = answers.decisions.get(turn).or(answers.decisions.last()).unwrap();
            let answer = EnrolAnswer {
                endorsement: Endorsement::sign(answers.card.clone(), &answers.endorser),
                node: answers.node.unwrap_or(asked.from),
                decision: answers.roster.clone().map_or_else(|| decide(asked.from), Enrolment::Approved),
            };
            let answer = answers.signer.sign(&answer, 1, signed().minus(answers.behind));
            let answer = Envelope::from_bytes(twist(answer.as_bytes().to_vec()));
            server.reply(asked.reply, EnrolReply { answer, cards: Vec::new() });
        }
    });
    (address, task)
}

fn invite(address: SocketAddr) -> Invite {
    let expires = Timestamp::now().plus(Duration::from_secs(3_600));
    Invite { mesh: mesh_key().mesh_id(), addresses: vec![address], expires, secret: Some([7; 16]) }
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

struct Joined {
    folder: tempfile::TempDir,
    end: Result<(), NodeError>,
    told: Vec<Notice>,
}

async fn join_with(change: impl FnOnce(&mut NodeOptions)) -> Joined {
    let folder = tempfile::tempdir().unwrap();
    let mut options = NodeOptions { label: Some("rack 3".to_owned()), ..options(folder.path()) };
    change(&mut options);
    let (sender, mut notices) = mpsc::channel(1_024);
    let joining = crate::join(options, sender, CancellationToken::new());
    let end = tokio::time::timeout(PATIENCE, joining).await.expect("joining ends");
    let told = std::iter::from_fn(|| notices.try_recv().ok()).collect();
    Joined { folder, end, told }
}

/// Joins at a coordinator that gives these answers.
async fn join(answers: Answers) -> Joined {
    let (address, task) = serve(answers, loopback()).await;
    let joined = join_with(|options| options.invite = Some(invite(address))).await;
    task.abort();
    joined
}

fn has_state(joined: &Joined) -> bool {
    joined.folder.path().join("mesh.state").exists()
}

#[tokio::test]
async fn a_pending_node_learns_of_its_approval_without_a_restart() {
    let joined = join(Answers::of(&[pending, pending, approved])).await;
    joined.end.unwrap();
    let told: Vec<String> = joined.told.iter().map(ToString::to_string).collect();
    assert_eq!(told.iter().filter(|line| line.starts_with("waiting for approval")).count(), 1);
    assert_eq!(told.last().unwrap(), "approved to scan 10.0.0.0/24");
    let state = MeshState::load(&joined.folder.path().join("mesh.state")).unwrap().unwrap();
    assert_eq!((state.mesh(), state.coordinator().key), (mesh_key().mesh_id(), coordinator().id()));
}

#[tokio::test]
async fn the_clocks_of_node_and_coordinator_may_differ_by_years() {
    let behind = Duration::from_secs(2 * 365 * 86_400);
    join(Answers { behind, ..Answers::of(&[pending, approved]) }).await.end.unwrap();
}

#[tokio::test]
async fn a_member_does_not_ask_again() {
    let joined = join(Answers::of(&[approved])).await;
    let (sender, _notices) = mpsc::channel(8);
    let again = crate::join(options(joined.folder.path()), sender, CancellationToken::new()).await;
    again.unwrap();
}

#[tokio::test]
async fn joining_again_with_an_invite_learns_where_the_coordinator_is_now() {
    let first = join(Answers::of(&[approved])).await;
    let moved = card(&["127.0.0.1:99".parse().unwrap()]);
    let state = MeshState::load(&first.folder.path().join("mesh.state")).unwrap().unwrap();
    let roster = state.signed_roster().clone();
    let answers = Answers { card: moved.clone(), roster: Some(roster), ..Answers::of(&[approved]) };
    let (address, task) = serve(answers, loopback()).await;
    let label = Some("rack 3".to_owned());
    let again = NodeOptions { label, invite: Some(invite(address)), ..options(first.folder.path()) };
    let (sender, _notices) = mpsc::channel(8);
    crate::join(again, sender, CancellationToken::new()).await.unwrap();
    task.abort();
    let state = MeshState::load(&first.folder.path().join("mesh.state")).unwrap().unwrap();
    assert_eq!(state.coordinator(), &moved);
}

#[tokio::test]
async fn an_answer_that_the_mesh_does_not_vouch_for_ends_it() {
    let rival = Author::new(Arc::new(key(3)), mesh_key().mesh_id(), 1);
    let other = Card { key: rival.id(), ..card(&[]) };
    let cases = [
        Answers { endorser: key(201), ..Answers::of(&[approved]) },
        Answers { signer: rival.clone(), ..Answers::of(&[approved]) },
        Answers { signer: rival.clone(), card: other, ..Answers::of(&[approved]) },
        Answers { node: Some(rival.id()), ..Answers::of(&[approved]) },
        Answers { signer: Author::new(Arc::new(key(1)), key(201).mesh_id(), 1), ..Answers::of(&[approved]) },
    ];
    let mut told = Vec::new();
    for answers in cases {
        let joined = join(answers).await;
        assert!(!has_state(&joined));
        told.push(joined.end.unwrap_err().to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    whoever answered does not speak for the mesh of this invite (its card is not signed by the mesh key); do not go on, and tell the mesh's administrator
    whoever answered does not speak for the mesh of this invite (the answer is signed by another key than its card's); do not go on, and tell the mesh's administrator
    whoever answered does not speak for the mesh of this invite (the roster names another coordinator); do not go on, and tell the mesh's administrator
    whoever answered does not speak for the mesh of this invite (the answer is for another node); do not go on, and tell the mesh's administrator
    the coordinator's answer cannot be believed: the message belongs to another mesh
    ");
}

#[tokio::test]
async fn a_sponsor_hands_the_answer_over_and_proves_nothing() {
    let joined = join(Answers::sponsored(&[pending, approved])).await;
    joined.end.unwrap();
    let state = MeshState::load(&joined.folder.path().join("mesh.state")).unwrap().unwrap();
    assert_eq!(state.coordinator().key, coordinator().id());
}

#[tokio::test]
async fn what_a_sponsor_changes_swaps_forges_or_keeps_for_later_is_refused() {
    fn changed(mut answer: Vec<u8>) -> Vec<u8> {
        let middle = answer.len() / 2;
        answer[middle] ^= 1;
        answer
    }
    fn cut(mut answer: Vec<u8>) -> Vec<u8> {
        answer.pop();
        answer
    }
    fn an_hour_ago() -> Timestamp {
        Timestamp::now().minus(Duration::from_secs(3_600))
    }
    let itself = Author::new(Arc::new(key(5)), mesh_key().mesh_id(), 1);
    let own_card = Card { key: itself.id(), ..card(&[]) };
    let own_mesh = Author::new(Arc::new(key(5)), key(5).mesh_id(), 1);
    let cases = [
        Answers { twist: changed, ..Answers::sponsored(&[approved]) },
        Answers { twist: cut, ..Answers::sponsored(&[approved]) },
        Answers { twist: |_| Vec::new(), ..Answers::sponsored(&[approved]) },
        Answers { signed: an_hour_ago, ..Answers::sponsored(&[approved]) },
        Answers { node: Some(key(6).node_id()), ..Answers::sponsored(&[approved]) },
        Answers { signer: itself.clone(), ..Answers::sponsored(&[approved]) },
        Answers { signer: itself, card: own_card, endorser: key(5), ..Answers::sponsored(&[approved]) },
        Answers { signer: own_mesh, ..Answers::sponsored(&[approved]) },
    ];
    for answers in cases {
        let joined = join(answers).await;
        assert!(!has_state(&joined));
        let end = joined.end.unwrap_err();
        let is_refused = matches!(end, NodeError::Join(JoinError::Impostor(_) | JoinError::Unbelievable(_)));
        assert!(is_refused, "{end}");
    }
}

#[tokio::test]
async fn one_liar_among_the_addresses_keeps_no_node_out() {
    let liar = Answers { node: Some(key(6).node_id()), ..Answers::sponsored(&[approved]) };
    let (liar, lying) = serve(liar, loopback()).await;
    let (honest, serving) = serve(Answers::sponsored(&[pending, approved]), loopback()).await;
    let closed = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let both = Invite { addresses: vec![closed, liar, honest], ..invite(honest) };
    let joined = join_with(|options| options.invite = Some(both)).await;
    joined.end.unwrap();
    // With nobody honest at hand it goes on trying: the honest one may be back in a moment.
    let waits = Invite { addresses: vec![liar, closed], ..invite(liar) };
    let folder = tempfile::tempdir().unwrap();
    let label = Some("rack 3".to_owned());
    let options = NodeOptions { label, invite: Some(waits), ..options(folder.path()) };
    let (sender, mut notices) = mpsc::channel(1_024);
    let joining = tokio::spawn(crate::join(options, sender, CancellationToken::new()));
    let reason = crate::testing::wait_for(&mut notices, |notice| {
        let Notice::Unreachable { reason, .. } = notice else { return None };
        Some(reason)
    });
    let reason = reason.await;
    assert!(reason.contains("the answer is for another node") && !joining.is_finished(), "{reason}");
    lying.abort();
    serving.abort();
    joining.abort();
}

#[test]
fn only_cards_of_other_members_that_they_signed_themselves_are_kept() {
    let written = |seed: u8| Card { key: key(seed).node_id(), ..card(&["127.0.0.1:9430".parse().unwrap()]) };
    let signed = |seed: u8| SignedCard::sign(written(seed), &key(seed));
    let members = [4, 5, 6].map(|seed| member(key(seed).node_id(), Role::Node, "10.0.0.0/24"));
    let revoked = protocol::roster::Member { state: MemberState::Revoked, ..member(key(7).node_id(), Role::Node, "") };
    let roster = roster(1, members.into_iter().chain([revoked]).collect()).verify(mesh_key().mesh_id()).unwrap();
    let forged = SignedCard::sign(written(6), &key(5));
    let offered = vec![signed(5), forged, signed(7), signed(8), signed(4), signed(1)];
    let kept = of_members(offered, &roster, key(4).node_id(), Timestamp::now());
    assert_eq!(kept, [signed(5), signed(1)]);
    let flood = vec![signed(5); 100];
    assert_eq!(of_members(flood, &roster, key(4).node_id(), Timestamp::now()).len(), EnrolReply::MAX_CARDS);
}

#[tokio::test]
async fn a_decision_against_the_node_is_told_with_its_reason() {
    fn elsewhere(_: NodeId) -> Enrolment {
        Enrolment::Approved(roster(1, vec![member(key(9).node_id(), Role::Node, "10.0.0.0/24")]))
    }
    fn revoked(node: NodeId) -> Enrolment {
        let state = MemberState::Revoked;
        Enrolment::Approved(roster(1, vec![protocol::roster::Member { state, ..member(node, Role::Node, "") }]))
    }
    let decisions: [fn(NodeId) -> Enrolment; 5] = [
        |_| Enrolment::Denied("wrong rack".into()),
        |_| Enrolment::Denied(Text::default()),
        |_| Enrolment::Refused("the pending list is full; try again tomorrow".into()),
        elsewhere,
        revoked,
    ];
    let mut told = Vec::new();
    for decision in decisions {
        let joined = join(Answers::of(&[pending, decision])).await;
        assert!(!has_state(&joined));
        told.push(joined.end.unwrap_err().to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    this node was not approved: wrong rack
    this node was not approved
    the coordinator does not take the request: the pending list is full; try again tomorrow
    the coordinator says that this node is approved, but the roster does not name it; approve it again
    the coordinator says that this node is approved, but the roster does not name it; approve it again
    ");
}

#[tokio::test]
async fn an_expired_invite_or_none_at_all_is_told_before_anybody_is_asked() {
    let old = Invite { expires: Timestamp::from_millis(1_700_000_000_000), ..invite(loopback()) };
    let expired = join_with(|options| options.invite = Some(old)).await.end.unwrap_err().to_string();
    let none = join_with(|_| ()).await.end.unwrap_err().to_string();
    insta::assert_snapshot!(format!("{expired}\n{none}"), @"
    the invite expired at 2023-11-14T22:13:20.000Z; ask for a new one (`portdrift invites create`)
    this node belongs to no mesh yet; make an invite on the coordinator with `portdrift invites create`, then run `portdrift node join INVITE` here
    ");
}

#[tokio::test]
async fn another_mesh_needs_another_folder() {
    let joined = join(Answers::of(&[approved])).await;
    let elsewhere = Invite { mesh: key(77).mesh_id(), ..invite(loopback()) };
    let again = NodeOptions { invite: Some(elsewhere), ..options(joined.folder.path()) };
    let (sender, _notices) = mpsc::channel(8);
    let end = crate::join(again, sender, CancellationToken::new()).await;
    assert!(matches!(end, Err(NodeError::Join(JoinError::OtherMesh))), "{end:?}");
}

#[tokio::test]
async fn an_unreachable_coordinator_is_named_and_asked_again() {
    // A port that was just free; nothing else of this test takes it before the server does.
    let address = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let invite = Some(invite(address));
    let options = NodeOptions { label: Some("rack 3".to_owned()), invite, ..options(folder.path()) };
    let (sender, mut notices) = mpsc::channel(1_024);
    let joining = tokio::spawn(crate::join(options, sender, CancellationToken::new()));
    let reason = crate::testing::wait_for(&mut notices, |notice| {
        let Notice::Unreachable { reason, .. } = notice else { return None };
        Some(reason)
    });
    let reason = reason.await;
    assert!(reason.contains(&address.to_string()), "{reason}");
    let (_, task) = serve(Answers::of(&[approved]), address).await;
    tokio::time::timeout(PATIENCE, joining).await.expect("it joins").unwrap().unwrap();
    task.abort();
}

#[tokio::test]
async fn stopping_while_pending_ends_well() {
    let (address, task) = serve(Answers::of(&[pending]), loopback()).await;
    let folder = tempfile::tempdir().unwrap();
    let options =
        NodeOptions { label: Some("rack 3".to_owned()), invite: Some(invite(address)), ..options(folder.path()) };
    let (sender, mut notices) = mpsc::channel(1_024);
    let stop = CancellationToken::new();
    let running = tokio::spawn(crate::run(options, sender, stop.clone()));
    crate::testing::wait_for(&mut notices, |notice| matches!(notice, Notice::Pending { .. }).then_some(())).await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it ends").unwrap().unwrap();
    task.abort();
}
