//! The bytes of every message, frozen: a change here breaks every mesh that mixes versions.
//!
//! `golden/NAME.hex` holds the bytes. A file is only ever added; to add one, run the tests with `PORTDRIFT_ADD_GOLDEN=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::card::{Card, Endorsement, SignedCard};
use protocol::codec::{self, Decode, Encode};
use protocol::envelope::{Author, Envelope, Kind, Message};
use protocol::invite::{Invite, SecretProof};
use protocol::letter::{Letter, Sealed, SealingKey};
use protocol::mesh::EnrolReply;
use protocol::message::*;
use protocol::observation::*;
use protocol::roster::*;
use protocol::task::*;
use protocol::{Keypair, NodeId, PortSet, Protocol, Timestamp};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn frozen(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    if !path.exists() && std::env::var_os("PORTDRIFT_ADD_GOLDEN").is_some() {
        std::fs::write(&path, hex(bytes) + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} has no golden file"));
    assert_eq!(text.trim(), hex(bytes), "the bytes of {name} changed");
    unhex(text.trim())
}

fn value<T: Encode + Decode<()> + PartialEq + Debug>(name: &str, value: &T) {
    let bytes = frozen(name, &codec::encode(value));
    assert_eq!(&codec::decode::<T>(&bytes, 1 << 20).unwrap(), value);
}

fn message<M: Message + PartialEq + Debug>(seen: &mut Vec<Kind>, message: &M) {
    let author = Author::new(Arc::new(Keypair::from_seed(&[3; 32])), Keypair::from_seed(&[1; 32]).mesh_id(), 5);
    let signed = author.sign(message, 4, NOW);
    let bytes = frozen(&format!("{:?}", M::KIND), signed.as_bytes());
    let verified = Envelope::from_bytes(bytes).verify::<M>(author.mesh(), NOW).unwrap();
    assert_eq!(verified.message(), message);
    seen.push(M::KIND);
}

fn node(seed: u8) -> NodeId {
    Keypair::from_seed(&[seed; 32]).node_id()
}

fn facts() -> NodeFacts {
    NodeFacts {
        hostname: "scan-1".into(),
        version: "0.1.0".into(),
        system: "Linux 6.1".into(),
        addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        macs: vec!["00:11:22:AA:BB:CC".into()],
        engines: vec![EngineFact { name: "nmap".into(), version: "7.93".into(), raw: true }],
        policy_ranges: Some("10.0.0.0/8".parse().unwrap()),
    }
}

fn presence(running: RunningTask) -> Presence {
    let link = |seed, round_trip_us, is_dialled| Link { node: node(seed), round_trip_us, is_dialled };
    Presence {
        facts: facts(),
        load_hundredths: 150,
        running: vec![running],
        spooled: 1,
        room: Room::Tight,
        clock: NOW.plus(Duration::from_millis(250)),
        links: Some(vec![link(5, Some(1_300), true), link(6, None, false)]),
        through: Some(node(5)),
        is_farewell: false,
    }
}

fn roster() -> SignedRoster {
    let mesh = Keypair::from_seed(&[1; 32]);
    let member = Member {
        key: node(4),
        role: Role::Node,
        state: MemberState::Approved,
        site: "main".into(),
        ranges: "10.0.0.0/24,2001:db8::/64".parse().unwrap(),
        expires: Some(NOW),
        may_sponsor: true,
    };
    let roster = Roster {
        mesh: mesh.mesh_id(),
        epoch: 7,
        previous: [6; 32],
        issued: NOW,
        not_after: NOW.plus(ROSTER_LIFETIME),
        members: vec![member],
    };
    SignedRoster::sign(&roster, &mesh)
}

fn card() -> Card {
    let addresses = vec!["127.0.0.1:9430".parse().unwrap(), "[::1]:9430".parse().unwrap()];
    let sealing = SealingKey::from_bytes([5; 32]);
    Card { key: node(3), sealing, addresses, label: "lab".into(), issued: NOW }
}

fn secret() -> SecretProof {
    SecretProof::new(&[6; 16], Keypair::from_seed(&[1; 32]).mesh_id(), node(3))
}

fn coverage() -> Coverage {
    let targets: protocol::TargetSet = "10.0.0.0/30".parse().unwrap();
    let ports: PortSet = "T:22,80-90,U:53".parse().unwrap();
    Coverage {
        asked: targets.clone(),
        by_port_only: protocol::TargetSet::empty(),
        probed: vec![ProbedCells { targets, ports, method: ProbeMethod::Connect }],
        services: vec![ServiceDetection { engine: "builtin".into(), version: "0.1.0".into(), intensity: 7 }],
        options: vec![EffectiveOptions {
            engine: "builtin".into(),
            version: "0.1.0".into(),
            options: "-T4 -sV".into(),
            raw: false,
        }],
    }
}

fn host() -> HostObservation {
    HostObservation {
        address: "10.0.0.1".parse().unwrap(),
        state: HostState::Up,
        reason: "syn-ack".into(),
        seen: NOW,
        names: vec!["gate.example".into()],
        mac: Some(MacAddress { address: "00:11:22:AA:BB:CC".into(), vendor: "Acme".into() }),
        os: Some(OsGuess { name: "Linux 6".into(), accuracy: 96 }),
        ports: vec![PortObservation {
            protocol: Protocol::Tcp,
            port: 80,
            state: PortState::Open,
            reason: "syn-ack".into(),
            service: Some(Service {
                name: "http".into(),
                product: "nginx".into(),
                version: "1.18.0".into(),
                extra: "Ubuntu".into(),
                tls: false,
                method: ServiceMethod::Probed,
                by: "builtin".into(),
            }),
        }],
        unlisted: vec![UnlistedPorts { protocol: Protocol::Tcp, state: PortState::Closed, count: 11 }],
    }
}

#[test]
fn the_bytes_of_every_message_stay() {
    let mut seen = Vec::new();
    let task = TaskId { run: RunId(300), index: 2 };
    let sealed = Sealed::from_bytes(vec![0xAB; 40]);
    message(&mut seen, &Beacon { counter: 1, roster_epoch: 7, roster_hash: [2; 32], announced: 9, digest: 10 });
    message(&mut seen, &RosterHead { epoch: 7, hash: [2; 32], revoked: vec![node(4)], roster: Some(roster()) });
    message(&mut seen, &Cancel { run: RunId(300) });
    message(&mut seen, &Announcement { number: 9, holder: node(4), task, fence: 3, lease_ms: 45_000, spec: sealed });
    let running = RunningTask { task, fence: 3, cells_done: 10, cells_total: 70_000, hosts_found: 2 };
    message(&mut seen, &presence(running));
    for (index, answer) in
        [Answer::Taken, Answer::Refused("out of range".into()), Answer::HandedBack("stopping".into())]
            .into_iter()
            .enumerate()
    {
        let answer = TaskAnswer { task, fence: 3, answer };
        if index == 1 { message(&mut seen, &answer) } else { value(&format!("TaskAnswer-{index}"), &answer) }
    }
    let manifest = ResultManifest { size: 200_000, chunks: 2, sha256: [8; 32] };
    message(&mut seen, &ResultOffer { task, fence: 3, manifest });
    message(&mut seen, &ResultChunk { task, fence: 3, index: 1, bytes: vec![1, 2, 3] });
    message(&mut seen, &ChunksWanted { task, fence: 3, missing: vec![0, 1] });
    message(&mut seen, &Receipt { task, fence: 3, outcome: ReceiptOutcome::Stored });
    for (index, outcome) in
        [ReceiptOutcome::Duplicate, ReceiptOutcome::Superseded, ReceiptOutcome::Rejected("scope".into())]
            .into_iter()
            .enumerate()
    {
        value(&format!("Receipt-{index}"), &Receipt { task, fence: 3, outcome });
    }
    message(&mut seen, &LeaseLost { task, fence: 3 });
    let sealing = SealingKey::from_bytes([5; 32]);
    let word = Succession::sign(&Keypair::from_seed(&[4; 32]), Keypair::from_seed(&[1; 32]).mesh_id(), node(3));
    let (label, secret, succeeds) = ("lab".into(), Some(secret()), Some(word));
    message(&mut seen, &EnrolRequest { sealing, label, facts: facts(), secret, succeeds });
    let endorsement = Endorsement::sign(card(), &Keypair::from_seed(&[1; 32]));
    message(&mut seen, &EnrolAnswer { endorsement, node: node(4), decision: Enrolment::Approved(roster()) });
    for (index, decision) in
        [Enrolment::Pending, Enrolment::Denied("no".into()), Enrolment::Refused("full".into())].into_iter().enumerate()
    {
        value(&format!("Enrolment-{index}"), &decision);
    }
    let inner = Envelope::from_bytes(vec![0xAB; 40]);
    let address = Some("10.0.0.1".parse().unwrap());
    message(&mut seen, &SponsoredRequest { request: inner.clone(), address });
    message(&mut seen, &SponsoredAnswer { node: node(4), answer: inner });
    message(&mut seen, &PresenceHeard { clock: NOW });
    assert!(Kind::all().all(|kind| seen.contains(&kind)), "a kind without golden bytes");
}

#[test]
fn the_bytes_of_what_messages_carry_stay() {
    let spec = TaskSpec {
        targets: "10.0.0.0/30".parse().unwrap(),
        ports: Some("T:22,80-90,U:53".parse().unwrap()),
        args: Default::default(),
        engine: EngineChoice::Auto,
        time_limit: Duration::from_secs(600),
    };
    value("TaskSpec", &spec);
    let task = TaskId { run: RunId(300), index: 2 };
    let result = TaskResult {
        task,
        fence: 3,
        started: NOW,
        ended: NOW,
        coverage: coverage(),
        hosts: vec![host()],
        shortfall: Some("one host timed out".into()),
        default_ports: None,
    };
    value("TaskResult", &result);
    value("SignedRoster", &roster());
    let invite = Invite {
        mesh: Keypair::from_seed(&[1; 32]).mesh_id(),
        addresses: vec!["127.0.0.1:9431".parse().unwrap(), "[::1]:9431".parse().unwrap()],
        expires: NOW,
        secret: Some([6; 16]),
    };
    let text = frozen("Invite", invite.to_string().as_bytes());
    assert_eq!(String::from_utf8(text).unwrap().parse(), Ok(invite));
    value("SignedCard", &SignedCard::sign(card(), &Keypair::from_seed(&[3; 32])));
    let answer = Envelope::from_bytes(vec![0xAB; 40]);
    let cards = vec![SignedCard::sign(card(), &Keypair::from_seed(&[3; 32]))];
    value("EnrolReply", &EnrolReply { answer, cards });
    value("Letter", &Letter { to: node(4), sealed: Sealed::from_bytes(vec![0xAB; 40]) });
}
