//! Letters by hops: members that know only their neighbours, and some that misbehave.

use super::intruder::{AnythingEvent, Intruder};
use super::kit::{self, PATIENCE, Running, id, start, start_at, start_with};
use crate::codec;
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::letter::{CannotOpen, Letter, Opener, Sealed};
use crate::mesh::letters::Claims;
use crate::mesh::sync::words::{NewsAnswer, SyncAnswer};
use crate::mesh::ways::BeaconId;
use crate::mesh::wire::{Carried, LetterAnswer, Way};
use crate::mesh::{Counters, Mesh, MeshEvent, Tunables, peer};
use crate::message::{Beacon, LeaseLost};
use crate::roster::{Role, SignedRoster};
use crate::time::Timestamp;
use futures::StreamExt;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::SwarmEvent;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::mpsc;

/// One roster for all: two that are signed at different times are two truths.
static ROSTER: LazyLock<SignedRoster> = LazyLock::new(|| {
    let nodes = (2..=6).map(|seed| (seed, Role::Node));
    kit::roster(1, &std::iter::once((1, Role::Coordinator)).chain(nodes).collect::<Vec<_>>())
});

async fn member(seed: u8) -> Running {
    start(seed, Some(&ROSTER)).await
}

fn beacon(counter: u64) -> Envelope {
    let message = Beacon { counter, roster_epoch: 1, roster_hash: [0; 32], announced: 0, digest: 0 };
    kit::author(1).sign(&message, 1, Timestamp::now())
}

fn envelope(from: u8) -> Envelope {
    kit::author(from).sign(&LeaseLost { task: kit::task(0), fence: 7 }, 1, Timestamp::now())
}

fn letter(from: u8, to: u8) -> Letter {
    Letter::seal(&envelope(from), id(to), &Opener::new(&kit::keys(to)).key(), kit::mesh_id()).unwrap()
}

/// The way up by this beacon, in the name of `from` and by the word of `signer`.
fn up_by(signer: u8, from: u8, beacon: BeaconId) -> Way {
    Way::Up { from: id(from), beacon, claim: Claims::default().make(&kit::author(signer), beacon) }
}

async fn link(from: &mut Running, to: &mut Running) {
    from.dial(to).await;
    from.connected_to(to.id).await;
    to.connected_to(from.id).await;
}

/// The coordinator sends a beacon; the others have it when this is through, each from one that had it before.
async fn beat(members: &mut [Running], counter: u64) {
    members[0].publish(beacon(counter)).await;
    for member in &members[1..] {
        member
            .until(move |mesh| {
                mesh.pull();
                mesh.ways.newest().is_some_and(|(newest, _)| newest.counter == counter)
            })
            .await;
    }
}

/// The coordinator and so many nodes, each linked to the one before it; the first beacon has reached all.
async fn chain(length: u8) -> Vec<Running> {
    let mut members = Vec::new();
    for seed in 1..=length {
        let mut member = member(seed).await;
        if let Some(before) = members.last_mut() {
            link(&mut member, before).await;
        }
        members.push(member);
    }
    beat(&mut members, 1).await;
    members
}

async fn arrived(member: &mut Running) -> (NodeId, Option<NodeId>, Letter) {
    member
        .wait(|event| match event {
            MeshEvent::Letter { from, writer, letter } => Some((from, writer, letter)),
            _ => None,
        })
        .await
}

/// Sends a letter; `None` when it was delivered, else why it failed.
async fn outcome(member: &mut Running, letter: Letter) -> Option<String> {
    let sent = member.with(|mesh| mesh.send_letter(letter)).await.expect("a way is open");
    member
        .wait(|event| match event {
            MeshEvent::LetterDelivered { id } if id == sent => Some(None),
            MeshEvent::LetterFailed { id, reason } if id == sent => Some(Some(reason)),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_letter_goes_up_a_chain_and_its_answer_down_and_nobody_between_can_read_them() {
    let mut members = chain(4).await;
    let (up, down) = (letter(4, 1), letter(1, 4));
    assert_eq!(outcome(&mut members[3], up.clone()).await, None);
    assert_eq!(arrived(&mut members[0]).await, (id(2), Some(id(4)), up.clone()));
    let early = down.clone();
    assert!(members[0].with(|mesh| mesh.send_letter(early)).await.is_err(), "the letter is not proven yet");
    members[0].with(|mesh| mesh.learn_way(id(4), id(2))).await;
    assert_eq!(outcome(&mut members[0], down.clone()).await, None);
    assert_eq!(arrived(&mut members[3]).await, (id(3), None, down.clone()));
    for between in [2, 3] {
        let opener = Opener::new(&kit::keys(between));
        assert_eq!([&up, &down].map(|letter| letter.open(&opener, kit::mesh_id())), [Err(CannotOpen), Err(CannotOpen)]);
        let counters = members[usize::from(between) - 1].with(|mesh| mesh.counters()).await;
        assert_eq!(counters, Counters { forwarded: 2, ..Default::default() });
    }
    assert!(up.open(&Opener::new(&kit::keys(1)), kit::mesh_id()).is_ok());
    let way = up_by(4, 4, BeaconId { boot: 1, counter: 1 });
    let seen = codec::encode(&Carried { letter: up, way, hops: 1 });
    let body = codec::encode(&LeaseLost { task: kit::task(0), fence: 7 });
    let holds = |all: &[u8], part: &[u8]| all.windows(part.len()).any(|window| window == part);
    assert!(holds(envelope(4).as_bytes(), &body) && !holds(&seen, &body));
}

#[tokio::test]
async fn through_whom_the_coordinator_is_reached_is_known_when_it_is_not_connected() {
    let members = chain(3).await;
    let mut through = Vec::new();
    for member in &members {
        through.push(member.with(|mesh| mesh.through()).await);
    }
    assert_eq!(through, [None, None, Some(id(2))]);
}

#[tokio::test]
async fn a_dead_hop_is_told_at_once_and_after_its_return_the_letter_arrives_once() {
    let mut members = chain(4).await;
    let hop = members.remove(1);
    let address = hop.address.to_string();
    hop.stop().await;
    members[1].disconnected_from(id(2)).await;
    assert_eq!(outcome(&mut members[2], letter(4, 1)).await.as_deref(), Some("no way leads to its reader"));
    let hop = start_at(2, Some(&ROSTER), &address).await;
    members.insert(1, hop);
    let (hub, others) = members.split_at_mut(1);
    link(&mut others[0], &mut hub[0]).await;
    others[1].connected_to(id(2)).await;
    beat(&mut members, 2).await;
    let again = letter(4, 1);
    assert_eq!(outcome(&mut members[3], again.clone()).await, None);
    assert_eq!(arrived(&mut members[0]).await, (id(2), Some(id(4)), again));
    assert!(!members[0].drain().iter().any(|event| matches!(event, MeshEvent::Letter { .. })));
}

#[tokio::test]
async fn in_a_ring_each_letter_goes_straight_up() {
    let mut members = chain(5).await;
    let (first, rest) = members.split_at_mut(1);
    link(&mut rest[3], &mut first[0]).await;
    beat(&mut members, 2).await;
    let mut forwarded = 0;
    for seed in 2..=5 {
        assert_eq!(outcome(&mut members[usize::from(seed) - 1], letter(seed, 1)).await, None);
    }
    for member in &members {
        forwarded += member.with(|mesh| mesh.counters()).await.forwarded;
    }
    assert!((2..=3).contains(&forwarded), "two are connected to the coordinator; the others need one hop, or two");
}

/// Members that restarted at a bad time may each take another for the parent.
#[tokio::test]
async fn a_letter_does_not_go_round_even_where_parents_do() {
    let mut ring = Vec::new();
    for seed in 2..=5 {
        ring.push(member(seed).await);
    }
    for (member, next) in [(0, 1), (1, 2), (2, 3), (3, 1)] {
        let [member, next] = ring.get_disjoint_mut([member, next]).unwrap();
        link(member, next).await;
        let parent = next.id;
        member.with(move |mesh| mesh.ways.heard(BeaconId { boot: 1, counter: 9 }, parent)).await;
    }
    for (writer, forwarded) in [(2, 3), (3, 2)] {
        let before = counted(&ring).await;
        let failed = outcome(&mut ring[usize::from(writer) - 2], letter(writer, 1)).await;
        assert_eq!(failed.as_deref(), Some("no way leads to its reader"));
        let after = counted(&ring).await;
        assert_eq!((after.0 - before.0, after.1 - before.1), (forwarded, 1), "a letter of {writer}");
    }
}

/// Letters passed on, and letters that had gone round.
async fn counted(members: &[Running]) -> (u64, u64) {
    let mut sum = (0, 0);
    for member in members {
        let counters = member.with(|mesh| mesh.counters()).await;
        sum = (sum.0 + counters.forwarded, sum.1 + counters.circled);
    }
    sum
}

/// What a misbehaving member does with letters.
#[derive(Clone, Copy)]
enum Manner {
    /// It never answers.
    Holds,
    /// It says that the reader has it.
    Lies,
}

/// Connects a misbehaving member, which hands its beacon to whoever asks, and tells of the letters that it got.
fn misbehave(seed: u8, towards: &Running, counter: u64, manner: Manner) -> mpsc::Receiver<Carried> {
    let (sender, letters) = mpsc::channel(1_024);
    let mut member = Intruder::new(seed, kit::mesh_id());
    member.dial(towards.address);
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            match member.swarm.select_next_some().await {
                SwarmEvent::Behaviour(AnythingEvent::Sync(Event::Message {
                    message: Message::Request { channel, .. },
                    ..
                })) => {
                    let (beacon, announcements, cancels, cards) = (Some(beacon(counter)), vec![], vec![], vec![]);
                    let (epoch, roster, more) = (1, None, false);
                    let head = None;
                    let news = NewsAnswer { epoch, roster, head, beacon, announcements, cancels, more, cards };
                    let answer = SyncAnswer::News(news);
                    member.swarm.behaviour_mut().sync.send_response(channel, answer).unwrap();
                }
                SwarmEvent::Behaviour(AnythingEvent::Letters(Event::Message {
                    message: Message::Request { request, channel, .. },
                    ..
                })) => {
                    sender.send(request).await.unwrap();
                    match manner {
                        Manner::Holds => held.push(channel),
                        Manner::Lies => {
                            member.swarm.behaviour_mut().letters.send_response(channel, LetterAnswer::Taken).unwrap();
                        }
                    }
                }
                _ => {}
            }
        }
    });
    letters
}

#[tokio::test]
async fn a_hop_that_never_answers_is_given_up_by_the_one_before_it() {
    let hasty = |tunables: &mut Tunables| tunables.letter_patience = Duration::from_secs(2);
    let mut near = start_with(3, Some(&ROSTER), "127.0.0.1:0", hasty).await;
    let mut far = start_with(4, Some(&ROSTER), "127.0.0.1:0", hasty).await;
    let mut held = misbehave(2, &near, 1, Manner::Holds);
    near.connected_to(id(2)).await;
    near.until(|mesh| mesh.ways.newest().is_some()).await;
    link(&mut far, &mut near).await;
    far.until(|mesh| mesh.ways.newest().is_some()).await;
    let sent = letter(4, 1);
    assert_eq!(outcome(&mut far, sent.clone()).await.as_deref(), Some("no answer in time"));
    assert_eq!(held.recv().await.unwrap().letter, sent);
    near.until(|mesh| mesh.counters().late == 1).await;
    assert_eq!(near.with(|mesh| mesh.outbox.passing().0).await, 1, "it takes up room until the connection settles it");
}

#[tokio::test]
async fn a_resend_avoids_the_hop_that_only_says_it_delivered() {
    let (mut hub, mut honest, mut node) = (member(1).await, member(2).await, member(4).await);
    hub.publish(beacon(1)).await;
    link(&mut honest, &mut hub).await;
    link(&mut node, &mut honest).await;
    node.until(|mesh| mesh.ways.newest().is_some()).await;
    // It has a newer beacon than the honest one, so it is the parent.
    let mut swallowed = misbehave(3, &node, 5, Manner::Lies);
    node.until(|mesh| mesh.through() == Some(id(3))).await;
    assert_eq!(outcome(&mut node, letter(4, 1)).await, None, "a lie");
    swallowed.recv().await.unwrap();
    node.with(Mesh::seek_other_way).await;
    let again = letter(4, 1);
    assert_eq!(outcome(&mut node, again.clone()).await, None);
    assert_eq!(arrived(&mut hub).await, (id(2), Some(id(4)), again));
    assert!(swallowed.try_recv().is_err());
}

/// A member that hands over whatever it likes.
struct Sender {
    member: Intruder,
    to: libp2p::PeerId,
}

impl Sender {
    async fn new(seed: u8, hop: &Running) -> Self {
        let mut member = Intruder::new(seed, kit::mesh_id());
        let to = member.join(hop.address).await;
        assert_eq!(peer::peer_id(&hop.id), Some(to));
        Self { member, to }
    }

    fn send(&mut self, carried: Carried) {
        self.member.swarm.behaviour_mut().letters.send_request(&self.to, carried);
    }

    async fn answer(&mut self) -> LetterAnswer {
        let came = async {
            loop {
                let event = self.member.swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(AnythingEvent::Letters(Event::Message {
                    message: Message::Response { response, .. },
                    ..
                })) = event
                {
                    return response;
                }
            }
        };
        tokio::time::timeout(PATIENCE, came).await.unwrap()
    }
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_answered_with_the_reason_and_counted() {
    let members = chain(2).await;
    let hop = &members[1];
    let mut sender = Sender::new(3, hop).await;
    let up_by = |signer, from, counter| up_by(signer, from, BeaconId { boot: 1, counter });
    let up = |from: u8, counter: u64| up_by(from, from, counter);
    let stub = Letter { to: id(1), sealed: Sealed::from_bytes(vec![1; 31]) };
    let table = [
        (Carried { letter: letter(3, 1), way: up(3, 1), hops: 15 }, LetterAnswer::Taken),
        (Carried { letter: letter(3, 1), way: up(3, 1), hops: 16 }, LetterAnswer::TooFar),
        (Carried { letter: letter(3, 1), way: up(3, 99), hops: 0 }, LetterAnswer::Taken),
        (Carried { letter: letter(3, 4), way: up(3, 99), hops: 0 }, LetterAnswer::NoWay),
        (Carried { letter: letter(3, 4), way: Way::Down, hops: 0 }, LetterAnswer::NoWay),
        (Carried { letter: letter(3, 3), way: Way::Down, hops: 0 }, LetterAnswer::NoWay),
        (Carried { letter: letter(3, 1), way: up(2, 1), hops: 0 }, LetterAnswer::NoWay),
        (Carried { letter: stub, way: up(3, 1), hops: 0 }, LetterAnswer::NoWay),
        (Carried { letter: letter(3, 1), way: up_by(3, 4, 1), hops: 0 }, LetterAnswer::NoWay),
    ];
    for (row, (carried, expected)) in table.into_iter().enumerate() {
        sender.send(carried);
        assert_eq!(sender.answer().await, expected, "row {row}");
    }
    let expected = Counters { forwarded: 2, no_way: 4, circled: 1, too_many_hops: 1, forged: 1, ..Default::default() };
    // What was being read when a connection ended may count as unreadable.
    let counted = Counters { unreadable: 0, ..hop.with(|mesh| mesh.counters()).await };
    assert_eq!(counted, expected);
}

#[tokio::test]
async fn a_flood_through_one_hop_is_bounded_and_others_still_get_through() {
    let mut hop = member(2).await;
    // A coordinator that answers nothing, so that all that is passed on stays on its way.
    let mut held = misbehave(1, &hop, 1, Manner::Holds);
    hop.connected_to(id(1)).await;
    let mut flooder = Sender::new(3, &hop).await;
    let large = |number: u8| Letter { to: id(1), sealed: Sealed::from_bytes(vec![number; 250 << 10]) };
    let way = up_by(3, 3, BeaconId::default());
    for number in 0..100 {
        flooder.send(Carried { letter: large(number), way, hops: 0 });
    }
    for _ in 0..100 - 64 {
        assert_eq!(flooder.answer().await, LetterAnswer::Busy);
    }
    let (waiting, bytes) = hop.with(|mesh| mesh.outbox.passing()).await;
    assert_eq!((waiting, bytes), (64, 64 * ((250 << 10) + 32)));
    assert_eq!(hop.with(|mesh| mesh.counters()).await.busy, 36);
    let own = letter(2, 1);
    let copy = own.clone();
    hop.with(|mesh| mesh.send_letter(copy)).await.unwrap();
    let through = async { while held.recv().await.unwrap().letter != own {} };
    tokio::time::timeout(PATIENCE, through).await.expect("the hop's own letters have room of their own");
}

#[tokio::test]
async fn nobody_draws_the_answers_of_another_to_itself() {
    let mut members = chain(3).await;
    assert_eq!(outcome(&mut members[2], letter(3, 1)).await, None);
    members[0].with(|mesh| mesh.learn_way(id(3), id(2))).await;
    // In the name of the one that is behind the hop: by the own word, and by a word that was heard long ago.
    let mut thief = Sender::new(4, &members[1]).await;
    let (mine, old) = (BeaconId { boot: 1, counter: 1 }, BeaconId { boot: 0, counter: 9 });
    for (way, answer) in [(up_by(4, 3, mine), LetterAnswer::NoWay), (up_by(3, 3, old), LetterAnswer::Taken)] {
        thief.send(Carried { letter: letter(4, 1), way, hops: 0 });
        assert_eq!(thief.answer().await, answer);
    }
    let back = members[1].with(|mesh| mesh.ways.back(&id(3), tokio::time::Instant::now())).await;
    assert_eq!(back, Some(id(3)));
}
