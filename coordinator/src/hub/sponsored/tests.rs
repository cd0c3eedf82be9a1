//! A real coordinator, and a sponsor on its mesh that hands over what strangers signed.

use super::*;
use crate::accounts::{Actor, Role as UserRole};
use crate::settings::{Settings, Timing};
use crate::{
    ApproveRequest, Coordinator, CoordinatorOptions, InviteRequest, NodeDecision, NodeSelection, SetupOptions,
};
use protocol::Keypair;
use protocol::card::Card;
use protocol::envelope::{Author, Envelope};
use protocol::invite::{Invite, SecretProof};
use protocol::letter::{Letter, Opener};
use protocol::mesh::{self, LetterId, Mesh, MeshConfig, MeshEvent, Tunables};
use protocol::message::{NEW_KEYS_A_MINUTE, NodeFacts, SPONSORED_A_MINUTE};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

fn ada() -> Actor {
    Actor::new("ada".into(), UserRole::Approver)
}

async fn coordinator() -> (Coordinator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, any) = (folder.path().join("data"), "127.0.0.1:0".parse().unwrap());
    let settings = Settings { mesh: any, advertised: Vec::new(), http: any };
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    let options = CoordinatorOptions {
        dir,
        mesh: None,
        http: None,
        timing: Timing::default(),
        keep_free: crate::KeepFree::default(),
        mail: None,
    };
    (Coordinator::start(options).await.unwrap(), folder)
}

async fn invite(hub: &Coordinator) -> Invite {
    let request = InviteRequest {
        lifetime: Duration::from_secs(3_600),
        ranges: Some("10.0.0.0/24".into()),
        site: String::new(),
        addresses: Vec::new(),
    };
    hub.create_invite(&ada(), &request).await.unwrap()
}

fn author(seed: u8, hub: &Coordinator) -> Author {
    Author::new(Arc::new(Keypair::from_seed(&[seed; 32])), hub.mesh_id(), 1)
}

/// What the node that grows from this seed signs; `secret` may be proven for another one.
fn request(author: &Author, secret: Option<SecretProof>) -> Envelope {
    let sealing = Opener::new(author.keypair()).key();
    let request = EnrolRequest { sealing, label: "far".into(), facts: NodeFacts::default(), secret, succeeds: None };
    author.sign(&request, 0, Timestamp::now())
}

async fn approve(hub: &Coordinator, node: NodeId) {
    let request = ApproveRequest { ranges: "10.0.0.0/24".into(), ..ApproveRequest::default() };
    hub.decide_node(&ada(), &node.fingerprint(), &NodeDecision::Approve(request)).await.unwrap();
}

/// Issues a roster in which these nodes may sponsor.
async fn let_sponsor(hub: &Coordinator, sponsors: &[NodeId]) {
    let sponsors = NodeSelection::Keys(sponsors.iter().map(NodeId::fingerprint).collect());
    let request = ApproveRequest { may_sponsor: Some(true), ..ApproveRequest::default() };
    hub.decide_nodes(&ada(), &sponsors, &NodeDecision::Approve(request)).await.unwrap();
}

/// A member on the mesh.
struct Sponsor {
    mesh: Mesh,
    author: Author,
    hub: Card,
}

impl Sponsor {
    /// Joins with an invite, and is connected.
    async fn start(seed: u8, hub: &Coordinator) -> Self {
        let (author, invite) = (author(seed, hub), invite(hub).await);
        let secret = invite.secret.map(|secret| SecretProof::new(&secret, invite.mesh, author.id()));
        let believe = |_, reply: EnrolReply| {
            assert!(reply.cards.iter().any(|card| card.verify().unwrap().key == hub.id()), "it is told whom to dial");
            let answer = reply.answer.verify::<EnrolAnswer>(invite.mesh, Timestamp::now()).unwrap();
            Ok(answer.into_message())
        };
        let request = request(&author, secret);
        let asked = mesh::ask(author.keypair(), invite.mesh, &invite.addresses, &request, PATIENCE, believe);
        let (_, answer) = asked.await.unwrap();
        let Decision::Approved(roster) = answer.decision else { panic!("{:?}", answer.decision) };
        let card = answer.endorsement.card;
        let config =
            MeshConfig { author: author.clone(), listen: Vec::new(), role: Role::Node, tunables: Tunables::default() };
        let mut mesh = Mesh::new(config, Some(roster)).await.unwrap();
        mesh.dial(card.key, &card.addresses);
        let mut sponsor = Self { mesh, author, hub: card };
        let hub = sponsor.hub.key;
        sponsor.until(|event| matches!(event, MeshEvent::Connected { node, .. } if *node == hub)).await;
        sponsor
    }

    async fn until(&mut self, is_it: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
        let found = async {
            loop {
                let event = self.mesh.next().await;
                if is_it(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it comes in time")
    }

    fn pass_on(&mut self, request: Envelope) -> LetterId {
        let address = Some("192.0.2.1".parse().unwrap());
        let envelope = self.author.sign(&SponsoredRequest { request, address }, 1, Timestamp::now());
        let letter = Letter::seal(&envelope, self.hub.key, &self.hub.sealing, self.author.mesh()).unwrap();
        self.mesh.send_letter(letter).unwrap()
    }

    async fn delivered(&mut self, wanted: LetterId) {
        self.until(|event| matches!(event, MeshEvent::LetterDelivered { id } if *id == wanted)).await;
    }

    /// The next answer, as the stranger would believe it.
    async fn answer(&mut self) -> (NodeId, Decision) {
        let MeshEvent::Letter { letter, .. } = self.until(|event| matches!(event, MeshEvent::Letter { .. })).await
        else {
            panic!("a letter was waited for")
        };
        let (mesh, now) = (self.author.mesh(), Timestamp::now());
        let envelope = letter.open(&Opener::new(self.author.keypair()), mesh).unwrap();
        let SponsoredAnswer { node, answer } = envelope.verify(mesh, now).unwrap().into_message();
        let answer = answer.verify::<EnrolAnswer>(mesh, now).unwrap();
        assert_eq!((answer.sender(), answer.message().node), (self.hub.key, node));
        (node, answer.into_message().decision)
    }

    async fn asked(&mut self, request: Envelope) -> (NodeId, Decision) {
        self.pass_on(request);
        self.answer().await
    }
}

async fn waiting(hub: &Coordinator) -> usize {
    let nodes = hub.nodes(&ada()).await.unwrap();
    nodes.iter().filter(|view| view.record.is_pending()).count()
}

#[tokio::test]
async fn a_stranger_that_asks_through_a_sponsor_is_held_and_answered_when_it_is_decided_on() {
    let (hub, _folder) = coordinator().await;
    let mut sponsor = Sponsor::start(2, &hub).await;
    let_sponsor(&hub, &[sponsor.author.id()]).await;
    let stranger = author(9, &hub);
    assert_eq!(sponsor.asked(request(&stranger, None)).await, (stranger.id(), Decision::Pending));
    let held = sponsor.pass_on(request(&stranger, None));
    sponsor.delivered(held).await;
    approve(&hub, stranger.id()).await;
    let (node, decision) = sponsor.answer().await;
    let Decision::Approved(roster) = decision else { panic!("{decision:?}") };
    let roster = roster.verify(hub.mesh_id()).unwrap();
    assert!(node == stranger.id() && roster.member(&node).is_some_and(|member| !member.may_sponsor));
    hub.stop().await;
}

#[tokio::test]
async fn a_sponsor_cannot_use_the_secret_that_it_passes_on() {
    let (hub, _folder) = coordinator().await;
    let mut sponsor = Sponsor::start(2, &hub).await;
    let_sponsor(&hub, &[sponsor.author.id()]).await;
    let (stranger, thief, invite) = (author(9, &hub), author(10, &hub), invite(&hub).await);
    let proof = SecretProof::new(&invite.secret.unwrap(), invite.mesh, stranger.id());
    let (_, stolen) = sponsor.asked(request(&thief, Some(proof.clone()))).await;
    assert!(matches!(stolen, Decision::Refused(_)), "{stolen:?}");
    let (node, decision) = sponsor.asked(request(&stranger, Some(proof))).await;
    assert!(node == stranger.id() && matches!(decision, Decision::Approved(_)), "{decision:?}");
    assert_eq!(hub.invites(&ada()).await.unwrap(), [], "used up");
    hub.stop().await;
}

#[tokio::test]
async fn a_node_that_may_not_sponsor_is_not_heard() {
    let (hub, _folder) = coordinator().await;
    let mut sponsor = Sponsor::start(2, &hub).await;
    let unheard = sponsor.pass_on(request(&author(9, &hub), None));
    sponsor.delivered(unheard).await;
    let_sponsor(&hub, &[sponsor.author.id()]).await;
    let (node, decision) = sponsor.asked(request(&author(10, &hub), None)).await;
    assert_eq!((node, decision), (author(10, &hub).id(), Decision::Pending));
    assert_eq!(waiting(&hub).await, 1, "the first one is unknown");
    hub.stop().await;
}

#[tokio::test]
async fn what_one_sponsor_passes_on_is_bounded_and_takes_nothing_from_another() {
    let (hub, _folder) = coordinator().await;
    let (mut flooded, mut other) = (Sponsor::start(2, &hub).await, Sponsor::start(3, &hub).await);
    let_sponsor(&hub, &[flooded.author.id(), other.author.id()]).await;
    let mut told = Vec::new();
    for seed in 100..100 + 2 * u8::try_from(NEW_KEYS_A_MINUTE).unwrap() {
        told.push(flooded.asked(request(&author(seed, &hub), None)).await.1);
    }
    let (pending, refused) = told.split_at(usize::try_from(NEW_KEYS_A_MINUTE).unwrap());
    assert!(pending.iter().all(|decision| *decision == Decision::Pending), "{pending:?}");
    assert!(refused.iter().all(|decision| matches!(decision, Decision::Refused(_))), "{refused:?}");
    assert_eq!(waiting(&hub).await, pending.len());
    let refused = author(119, &hub);
    for _ in told.len()..usize::try_from(SPONSORED_A_MINUTE).unwrap() {
        let (_, decision) = flooded.asked(request(&refused, None)).await;
        assert!(matches!(decision, Decision::Refused(_)), "{decision:?}");
    }
    let beyond = flooded.pass_on(request(&refused, None));
    flooded.delivered(beyond).await;
    let (_, decision) = other.asked(request(&author(201, &hub), None)).await;
    assert_eq!(decision, Decision::Pending, "seen by another sponsor");
    hub.stop().await;
    let is_letter = |event: &MeshEvent| matches!(event, MeshEvent::Letter { .. } | MeshEvent::Disconnected { .. });
    assert!(matches!(flooded.until(is_letter).await, MeshEvent::Disconnected { .. }), "no answer to what is too much");
}
