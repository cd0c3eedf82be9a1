//! Thousands of sockets that say nothing, at the mesh port and at the enrolment port: memory stays flat, members and
//! strangers are served. A process of its own, because it counts the memory of all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::envelope::{Author, Envelope};
use protocol::letter::{Letter, Opener};
use protocol::mesh::{Counters, EnrolCounters, EnrolReply, EnrolServer, Mesh, MeshConfig, MeshEvent, Tunables, ask};
use protocol::roster::{Member, MemberState, ROSTER_LIFETIME, Role, Roster, SignedRoster};
use protocol::{Keypair, NodeId, TargetSet, Timestamp};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

/// Sockets at each port, when the system allows so many.
const SOCKETS: u64 = 5_000;
/// Addresses that they come from.
const PLACES: u64 = 250;
/// What the flood may cost.
const MAX_GROWTH_MIB: u64 = 64;
/// A bound for what should take a moment; only a failing test waits for its end.
const PATIENCE: Duration = Duration::from_secs(120);

fn keys(seed: u8) -> Arc<Keypair> {
    Arc::new(Keypair::from_seed(&[seed; 32]))
}

fn author(seed: u8) -> Author {
    Author::new(keys(seed), keys(200).mesh_id(), 1)
}

fn roster() -> SignedRoster {
    let entry = |seed: u8| Member {
        key: keys(seed).node_id(),
        role: if seed == 1 { Role::Coordinator } else { Role::Node },
        state: MemberState::Approved,
        site: "main".into(),
        ranges: TargetSet::empty(),
        expires: None,
        may_sponsor: false,
    };
    let mut members: Vec<Member> = (1..=3).map(entry).collect();
    members.sort_by_key(|member| member.key);
    let issued = Timestamp::now();
    let (mesh, not_after) = (keys(200).mesh_id(), issued.plus(ROSTER_LIFETIME));
    SignedRoster::sign(&Roster { mesh, epoch: 1, previous: [0; 32], issued, not_after, members }, &keys(200))
}

async fn mesh(seed: u8) -> Mesh {
    let role = if seed == 1 { Role::Coordinator } else { Role::Node };
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let tunables = Tunables { redial_first: Duration::from_millis(200), ..Tunables::default() };
    Mesh::new(MeshConfig { author: author(seed), listen, role, tunables }, Some(roster())).await.unwrap()
}

/// What the flooded side has counted.
#[derive(Clone, Copy, Default)]
struct Counted {
    mesh: Counters,
    enrolment: EnrolCounters,
    letters: u64,
}

/// Serves both ports as a coordinator does.
async fn serve(mut mesh: Mesh, mut enrol: EnrolServer, counted: watch::Sender<Counted>) {
    let mut letters = 0;
    loop {
        tokio::select! {
            event = mesh.next() => letters += u64::from(matches!(event, MeshEvent::Letter { .. })),
            arrived = enrol.next() => {
                enrol.reply(arrived.reply, EnrolReply { answer: arrived.envelope, cards: Vec::new() });
            }
            // What the swarms refuse is no event of theirs.
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
        counted.send_replace(Counted { mesh: mesh.counters(), enrolment: enrol.counters(), letters });
    }
}

/// A member that writes one letter after the other.
async fn write(mut mesh: Mesh, hub: NodeId, address: SocketAddr) {
    mesh.dial(hub, &[address]);
    let letter =
        Letter::seal(&Envelope::from_bytes(vec![7; 300]), hub, &Opener::new(&keys(1)).key(), keys(200).mesh_id());
    let letter = letter.unwrap();
    let mut pace = interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = mesh.next() => {}
            // Before the connection stands there is no way.
            _ = pace.tick() => drop(mesh.send_letter(letter.clone())),
        }
    }
}

/// Opens sockets from many addresses and says nothing.
async fn flood(port: SocketAddr, count: u64) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for number in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        let place = u8::try_from(number % PLACES).unwrap() + 1;
        socket.bind(SocketAddr::from(([127, 1, 0, place], 0))).unwrap();
        sockets.push(timeout(PATIENCE, socket.connect(port)).await.unwrap().unwrap());
    }
    sockets
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// As many sockets as the system lets this process open at once, with both ends in it.
fn sockets() -> u64 {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits).unwrap();
    limits.maximum.map_or(SOCKETS, |most| SOCKETS.min(most.saturating_sub(500) / 2))
}

async fn until(counted: &mut watch::Receiver<Counted>, holds: impl FnMut(&Counted) -> bool) -> Counted {
    *timeout(PATIENCE, counted.wait_for(holds)).await.expect("it comes true in time").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_silent_sockets_at_each_port_cost_little_and_stop_nobody() {
    let sockets = sockets();
    let hub = mesh(1).await;
    let (id, mesh_port) = (keys(1).node_id(), hub.listen_addresses()[0]);
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let enrol = EnrolServer::new(&keys(1), keys(200).mesh_id(), listen).await.unwrap();
    let enrol_port = enrol.listen_addresses()[0];
    let (sender, mut counted) = watch::channel(Counted::default());
    tokio::spawn(serve(hub, enrol, sender));
    tokio::spawn(write(mesh(2).await, id, mesh_port));
    let before = until(&mut counted, |counted| counted.letters > 5).await;
    let resident = resident_mib();
    let began = Instant::now();

    let silent = flood(mesh_port, sockets).await;
    let grown = resident_mib().saturating_sub(resident);
    println!("{sockets} sockets at the mesh port after {:?}: {grown} MiB more", began.elapsed());
    assert!(grown <= MAX_GROWTH_MIB, "{grown} MiB for {sockets} sockets at the mesh port");
    until(&mut counted, |counted| counted.letters > before.letters + 20).await;
    tokio::spawn(write(mesh(3).await, id, mesh_port));
    // 64 may be in the handshake at a time, and none of them gets further.
    let refused = until(&mut counted, |counted| counted.mesh.refused_connections >= sockets - 64).await;
    drop(silent);

    let silent = flood(enrol_port, sockets).await;
    let grown = resident_mib().saturating_sub(resident);
    println!("as many at the enrolment port: {grown} MiB more");
    assert!(grown <= MAX_GROWTH_MIB, "{grown} MiB for {sockets} sockets at the enrolment port");
    until(&mut counted, |counted| counted.enrolment.refused_connections >= sockets - 32).await;
    until(&mut counted, |counted| counted.letters > refused.letters + 40).await;
    let request = Envelope::from_bytes(vec![9; 100]);
    let asked = async {
        // While the silent ones hold every place, a stranger is refused and asks again.
        let (key, mesh) = (keys(9), keys(200).mesh_id());
        loop {
            let answered = ask(&key, mesh, &[enrol_port], &request, PATIENCE, |_, reply| Ok(reply.answer)).await;
            if let Ok((_, answer)) = answered {
                return answer;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, asked).await.unwrap(), request);
    drop(silent);
}
