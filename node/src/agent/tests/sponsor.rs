//! A node that joins through another one: a real mesh, a coordinator of a few lines, a sponsor and strangers.

use crate::NodeOptions;
use crate::notice::Notice;
use crate::testing::{Home, Knocker, PATIENCE, Running, card, coordinator, key, member, mesh_key, options, wait_for};
use protocol::card::Endorsement;
use protocol::envelope::{Author, Envelope, Kind, Message};
use protocol::invite::Invite;
use protocol::letter::{Letter, Opener, SealingKey};
use protocol::mesh::{self, Mesh, MeshConfig, MeshEvent};
use protocol::message::{Beacon, EnrolAnswer, EnrolRequest, Enrolment, NodeFacts, SponsoredAnswer, SponsoredRequest};
use protocol::roster::{Member, Role, SignedRoster};
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// What the coordinator is told by letters, and by which neighbour.
#[derive(Debug)]
enum Heard {
    Asked { node: NodeId, sponsor: NodeId },
    Presence { node: NodeId, by: NodeId },
}

/// A test's order.
enum Order {
    Approve(NodeId),
    Roster(Vec<Member>),
    Peers(tokio::sync::oneshot::Sender<Vec<NodeId>>),
}

/// A coordinator that answers sponsored requests and hears presences.
struct Desk {
    mesh: Mesh,
    author: Author,
    roster: (u64, SignedRoster),
    members: Vec<Member>,
    sealing: BTreeMap<NodeId, SealingKey>,
    /// Who asked, through whom, and is not decided on.
    pending: BTreeMap<NodeId, NodeId>,
    beacons: u64,
    heard: mpsc::Sender<Heard>,
}

struct Hub {
    orders: mpsc::Sender<Order>,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A free port with a free one after it.
fn free_pair(address: Ipv4Addr) -> SocketAddr {
    let is_free = |port: u16| TcpListener::bind((address, port)).is_ok();
    let mut picked = std::iter::from_fn(|| TcpListener::bind((address, 0)).unwrap().local_addr().ok());
    picked.find(|picked| picked.port().checked_add(1).is_some_and(is_free)).unwrap()
}

fn sponsor_member(home: &Home) -> Member {
    Member { may_sponsor: true, ..member(home.id, Role::Node, "127.0.0.0/8") }
}

impl Hub {
    /// A coordinator with one member that may sponsor and listens at an address of its own.
    async fn with_sponsor(address: Ipv4Addr) -> (Self, Home, NodeOptions) {
        let author = coordinator();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let tunables = crate::testing::timing().mesh;
        let config = MeshConfig { author: author.clone(), listen, role: Role::Coordinator, tunables };
        let mut mesh = Mesh::new(config, None).await.unwrap();
        let home = Home::new(mesh.listen_addresses()[0], "127.0.0.0/8");
        let members = vec![sponsor_member(&home)];
        let signed = crate::testing::roster(2, members.clone());
        mesh.set_roster(signed.clone()).unwrap();
        let (orders, inbox) = mpsc::channel(64);
        let (sender, heard) = mpsc::channel(4_096);
        let (sealing, pending) = (BTreeMap::from([(home.id, home.sealing)]), BTreeMap::new());
        let desk = Desk { mesh, author, roster: (2, signed), members, sealing, pending, beacons: 0, heard: sender };
        let options = NodeOptions { listen: vec![free_pair(address)], ..options(home.folder.path()) };
        (Self { orders, heard, task: tokio::spawn(desk.run(inbox)) }, home, options)
    }

    async fn order(&self, order: Order) {
        assert!(self.orders.send(order).await.is_ok(), "the hub runs");
    }

    async fn asked(&mut self) -> (NodeId, NodeId) {
        wait_for(&mut self.heard, |heard| match heard {
            Heard::Asked { node, sponsor } => Some((node, sponsor)),
            Heard::Presence { .. } => None,
        })
        .await
    }

    /// By which neighbour the first presence of this node comes.
    async fn presence_of(&mut self, wanted: NodeId) -> NodeId {
        wait_for(&mut self.heard, |heard| match heard {
            Heard::Presence { node, by } if node == wanted => Some(by),
            Heard::Presence { .. } | Heard::Asked { .. } => None,
        })
        .await
    }

    async fn peers(&self) -> Vec<NodeId> {
        let (sender, answer) = tokio::sync::oneshot::channel();
        self.order(Order::Peers(sender)).await;
        answer.await.unwrap()
    }
}

impl Desk {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut beat = interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                event = self.mesh.next() => if let MeshEvent::Letter { from, writer, letter } = event {
                    self.read(from, writer, &letter);
                },
                order = inbox.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                _ = beat.tick() => self.beacon(),
            }
        }
    }

    fn beacon(&mut self) {
        self.beacons += 1;
        let (roster_epoch, roster) = &self.roster;
        let beacon = Beacon {
            counter: self.beacons,
            roster_epoch: *roster_epoch,
            roster_hash: roster.hash(),
            announced: 0,
            digest: 0,
        };
        self.mesh.publish(self.author.sign(&beacon, *roster_epoch, Timestamp::now()));
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Approve(node) => {
                self.members.push(member(node, Role::Node, "127.0.0.0/8"));
                self.issue();
                let sponsor = self.pending.remove(&node).expect("it asks");
                self.answer(sponsor, node, Enrolment::Approved(self.roster.1.clone()));
            }
            Order::Roster(members) => {
                self.members = members;
                self.issue();
            }
            Order::Peers(answer) => {
                let peers = self.mesh.peers().into_iter().map(|peer| peer.node).collect();
                answer.send(peers).unwrap();
            }
        }
    }

    fn issue(&mut self) {
        let epoch = self.roster.0 + 1;
        self.roster = (epoch, crate::testing::roster(epoch, self.members.clone()));
        self.mesh.set_roster(self.roster.1.clone()).unwrap();
    }

    fn read(&mut self, from: NodeId, writer: Option<NodeId>, letter: &Letter) {
        let mesh = mesh_key().mesh_id();
        let envelope = letter.open(&Opener::new(self.author.keypair()), mesh).unwrap();
        let header = envelope.header().unwrap();
        assert_eq!(writer, Some(header.sender), "the way back");
        self.mesh.learn_way(header.sender, from);
        let heard = if header.kind == Kind::SponsoredRequest {
            let SponsoredRequest { request, address } = envelope.verify(mesh, Timestamp::now()).unwrap().into_message();
            assert!(address.is_some_and(|address| address.is_loopback()));
            let request = request.verify::<EnrolRequest>(mesh, Timestamp::now()).unwrap();
            self.sealing.insert(request.sender(), request.message().sealing);
            Heard::Asked { node: self.on_request(request.sender(), header.sender), sponsor: header.sender }
        } else {
            assert_eq!(header.kind, Kind::Presence);
            Heard::Presence { node: header.sender, by: from }
        };
        self.heard.try_send(heard).expect("a test reads what comes");
    }

    /// The first time it is told that it waits, then it is held.
    fn on_request(&mut self, node: NodeId, sponsor: NodeId) -> NodeId {
        if self.pending.insert(node, sponsor).is_none() {
            self.answer(sponsor, node, Enrolment::Pending);
        }
        node
    }

    fn answer(&mut self, sponsor: NodeId, node: NodeId, decision: Enrolment) {
        // Nobody listens there: a node that comes to the coordinator did not come by its address.
        let endorsement = Endorsement::sign(card(&["127.0.0.1:9".parse().unwrap()]), &mesh_key());
        let answer = self.author.sign(&EnrolAnswer { endorsement, node, decision }, 0, Timestamp::now());
        self.write(sponsor, &SponsoredAnswer { node, answer });
    }

    fn write<M: Message>(&mut self, to: NodeId, message: &M) {
        let envelope = self.author.sign(message, 1, Timestamp::now());
        let letter = Letter::seal(&envelope, to, &self.sealing[&to], mesh_key().mesh_id()).unwrap();
        self.mesh.send_letter(letter).unwrap();
    }
}

async fn port_of(sponsor: &mut Running) -> SocketAddr {
    let notice = sponsor.told(|notice| matches!(notice, Notice::Sponsoring { .. })).await;
    let Notice::Sponsoring { addresses } = notice else { panic!("{notice}") };
    addresses[0]
}

fn invite(address: SocketAddr) -> Invite {
    let expires = Timestamp::now().plus(Duration::from_secs(3_600));
    Invite { mesh: mesh_key().mesh_id(), addresses: vec![address], expires, secret: None }
}

#[tokio::test]
async fn a_node_joins_through_a_sponsor_and_is_heard_without_a_connection_to_the_coordinator() {
    let (mut hub, home, options) = Hub::with_sponsor(Ipv4Addr::new(127, 0, 41, 1)).await;
    let (mesh_port, mut sponsor) = (options.listen[0], home.start_with(Knocker::default(), options));
    let port = port_of(&mut sponsor).await;
    assert_eq!(port, SocketAddr::new(mesh_port.ip(), mesh_port.port() + 1));
    let folder = tempfile::tempdir().unwrap();
    let (sender, mut told) = mpsc::channel(4_096);
    let stop = CancellationToken::new();
    let far = NodeOptions { invite: Some(invite(port)), ..crate::testing::options(folder.path()) };
    let joining = tokio::spawn(crate::run(far, sender, stop.clone()));
    let (node, through) = hub.asked().await;
    assert_eq!(through, home.id);
    wait_for(&mut told, |notice| matches!(notice, Notice::Pending { .. }).then_some(())).await;
    assert_eq!(hub.asked().await, (node, home.id), "it asks on, and is held");
    hub.order(Order::Approve(node)).await;
    wait_for(&mut told, |notice| matches!(notice, Notice::Approved { .. }).then_some(())).await;
    assert_eq!(hub.presence_of(node).await, home.id, "its presence comes through the sponsor");
    assert_eq!(hub.peers().await, [home.id], "and it has no connection to the coordinator");
    stop.cancel();
    tokio::time::timeout(PATIENCE, joining).await.expect("it ends").unwrap().unwrap();
    let rest: Vec<Notice> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert!(!rest.iter().any(|notice| matches!(notice, Notice::Connected { coordinator: true, .. })), "{rest:?}");
    sponsor.stop().await.unwrap();
}

#[tokio::test]
async fn the_port_opens_and_closes_as_the_roster_says() {
    let (hub, home, options) = Hub::with_sponsor(Ipv4Addr::new(127, 0, 41, 2)).await;
    let mut sponsor = home.start_with(Knocker::default(), options);
    let port = port_of(&mut sponsor).await;
    hub.order(Order::Roster(vec![member(home.id, Role::Node, "127.0.0.0/8")])).await;
    let why = sponsor.told(|notice| matches!(notice, Notice::NotSponsoring { .. })).await.to_string();
    insta::assert_snapshot!(why, @"requests to join are not passed on: the roster does not allow it any more");
    TcpListener::bind(port).expect("the port is free again");
    hub.order(Order::Roster(vec![sponsor_member(&home)])).await;
    assert_eq!(port_of(&mut sponsor).await, port);
    sponsor.stop().await.unwrap();
}

#[tokio::test]
async fn a_sponsor_that_listens_nowhere_says_so() {
    let (_hub, home, options) = Hub::with_sponsor(Ipv4Addr::new(127, 0, 41, 3)).await;
    let mut sponsor = home.start_with(Knocker::default(), NodeOptions { listen: Vec::new(), ..options });
    let why = sponsor.told(|notice| matches!(notice, Notice::NotSponsoring { .. })).await.to_string();
    insta::assert_snapshot!(why, @"requests to join are not passed on: this node listens nowhere; start it with --listen");
    sponsor.stop().await.unwrap();
}

#[tokio::test]
async fn a_flood_of_strangers_ends_at_the_sponsor() {
    let (mut hub, home, options) = Hub::with_sponsor(Ipv4Addr::new(127, 0, 41, 4)).await;
    let mut sponsor = home.start_with(Knocker::default(), options);
    let port = port_of(&mut sponsor).await;
    let ask = |seed: u8| async move {
        let author = Author::new(Arc::new(key(seed)), mesh_key().mesh_id(), 1);
        let sealing = Opener::new(author.keypair()).key();
        let request =
            EnrolRequest { sealing, label: "crowd".into(), facts: NodeFacts::default(), secret: None, succeeds: None };
        let request: Envelope = author.sign(&request, 0, Timestamp::now());
        mesh::ask(author.keypair(), author.mesh(), &[port], &request, PATIENCE, |_, reply| Ok(reply)).await
    };
    let mut refused = Vec::new();
    for seed in 100..125 {
        match ask(seed).await {
            Ok((_, reply)) => assert!(reply.cards.is_empty(), "who is not in is told of nobody"),
            Err(error) => refused.push(error.to_string().replace(&port.to_string(), "SPONSOR")),
        }
    }
    assert_eq!(refused.len(), 15);
    insta::assert_snapshot!(refused[0], @"no answer to the request to join: SPONSOR: it takes no request now; wait a minute");
    // In another key's name: dropped without a letter.
    let author = Author::new(Arc::new(key(100)), mesh_key().mesh_id(), 1);
    let request = EnrolRequest {
        sealing: Opener::new(author.keypair()).key(),
        label: "thief".into(),
        facts: NodeFacts::default(),
        secret: None,
        succeeds: None,
    };
    let stolen = author.sign(&request, 0, Timestamp::now());
    assert!(mesh::ask(&key(99), author.mesh(), &[port], &stolen, PATIENCE, |_, reply| Ok(reply)).await.is_err());
    let mut asked = Vec::new();
    while let Ok(heard) = hub.heard.try_recv() {
        if let Heard::Asked { node, .. } = heard {
            asked.push(node);
        }
    }
    let first_ten: Vec<NodeId> = (100..110).map(|seed| key(seed).node_id()).collect();
    assert_eq!(asked, first_ten);
    sponsor.stop().await.unwrap();
}
