//! A real coordinator in a process of its own, and many nodes that only say that they are there.
//!
//! The nodes are members with swarms, keys and approvals of their own; they scan nothing. More of them than may connect to
//! a coordinator at once reach it through one another.

use crate::load::Load;
use crate::member::{Member, Reader};
use coordinator::settings::{Settings, Timing};
use coordinator::{Actor, Coordinator, CoordinatorOptions, InviteRequest, NodeStatus, SetupOptions, setup};
use futures::StreamExt;
use futures::stream;
use protocol::envelope::Author;
use protocol::invite::{Invite, SecretProof};
use protocol::letter::Opener;
use protocol::mesh::{EnrolReply, ask};
use protocol::message::{EnrolAnswer, EnrolRequest, Enrolment, NodeFacts};
use protocol::roster::{Role, SignedRoster};
use protocol::{Keypair, Timestamp};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The argument that makes this program the coordinator; data folder, number of nodes and seconds follow.
pub(crate) const COORDINATE: &str = "--coordinate";
/// Requests to join at a time: as many as one address may.
const AT_ONCE: usize = 8;
/// Between two looks at who is online. They are the coordinator's work too.
const LOOK: Duration = Duration::from_secs(5);
/// The longest until every node is online.
const PATIENCE: Duration = Duration::from_secs(600);
const ASK_PATIENCE: Duration = Duration::from_secs(60);

/// The first line of the coordinator.
#[derive(Deserialize, Serialize)]
struct Ready {
    invites: Vec<String>,
    mesh: Vec<SocketAddr>,
}

/// The last line of the coordinator.
#[derive(Deserialize, Serialize)]
pub(crate) struct Measured {
    /// Seconds from the word to begin until every node was online.
    pub(crate) all_online: f64,
    /// Seconds that were measured.
    pub(crate) seconds: f64,
    /// Hundredths of a core that the coordinator took.
    pub(crate) percent: f64,
    pub(crate) peak_mib: f64,
    /// Looks at all nodes, and how often one of them was not online.
    pub(crate) looks: u32,
    pub(crate) not_online: usize,
}

/// The coordinator's process: makes invites, waits for a line, measures, and tells.
pub(crate) async fn coordinate(folder: &Path, nodes: usize, seconds: u64) -> Result<(), Box<dyn Error>> {
    let settings = Settings { mesh: "127.0.0.1:0".parse()?, ..Settings::default() };
    setup(SetupOptions { dir: folder.into(), settings, admin: None }).await?;
    let options = CoordinatorOptions {
        dir: folder.into(),
        mesh: None,
        http: None,
        timing: Timing::default(),
        keep_free: coordinator::KeepFree::default(),
        mail: None,
    };
    let coordinator = Coordinator::start(options).await?;
    let actor = Actor::local(0);
    let mut invites = Vec::new();
    for _ in 0..nodes {
        let lifetime = Duration::from_secs(24 * 3600);
        let request =
            InviteRequest { lifetime, ranges: Some("127.0.0.0/8".into()), site: String::new(), addresses: Vec::new() };
        invites.push(coordinator.create_invite(&actor, &request).await?.to_string());
    }
    say(&Ready { invites, mesh: coordinator.mesh_addresses() })?;
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    read.await??;
    let began = Instant::now();
    while not_online(&coordinator, nodes).await? > 0 {
        if began.elapsed() > PATIENCE {
            return Err(format!("{} nodes are not online", not_online(&coordinator, nodes).await?).into());
        }
        sleep(Duration::from_secs(1)).await;
    }
    let all_online = began.elapsed().as_secs_f64();
    let (start, before) = (Instant::now(), Load::now()?);
    let (mut looks, mut missing) = (0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        sleep(LOOK.min(Duration::from_secs(seconds))).await;
        looks += 1;
        missing += not_online(&coordinator, nodes).await?;
    }
    let (after, seconds) = (Load::now()?, start.elapsed().as_secs_f64());
    let percent = 100.0 * (after.processor - before.processor) / seconds;
    say(&Measured { all_online, seconds, percent, peak_mib: after.peak_mib, looks, not_online: missing })?;
    coordinator.stop().await;
    Ok(())
}

async fn not_online(coordinator: &Coordinator, nodes: usize) -> Result<usize, Box<dyn Error>> {
    let views = coordinator.nodes(&Actor::local(0)).await?;
    let online = views.iter().filter(|view| matches!(view.status, NodeStatus::Online | NodeStatus::Scanning));
    Ok(nodes.saturating_sub(online.count()))
}

fn say(line: &impl Serialize) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(line)?)?;
    Ok(out.flush()?)
}

/// The coordinator's process, seen from here; it ends with us, because its standard input does.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(folder: &Path, nodes: usize, seconds: u64) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(COORDINATE)
            .arg(folder)
            .args([nodes.to_string(), seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no way to speak to the coordinator")?;
        let output = BufReader::new(child.stdout.take().ok_or("no way to hear the coordinator")?);
        Ok(Self { child, input, output })
    }

    fn hear<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, Box<dyn Error>> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or it is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Enrols and starts `nodes`, and lets the coordinator measure itself for `seconds`.
pub(crate) async fn measure(nodes: usize, seconds: u64) -> Result<Measured, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut process = tokio::task::block_in_place(|| Process::start(&data, nodes, seconds))?;
    let Ready { invites, mesh: addresses } = tokio::task::block_in_place(|| process.hear())?;
    let joins = stream::iter(invites).map(|invite| async move { join(&invite).await });
    let joined: Vec<Joined> =
        joins.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect::<Result<_, _>>()?;
    let mut members = Vec::new();
    let mut latest: Option<(SignedRoster, u64)> = None;
    for node in &joined {
        if latest.as_ref().is_none_or(|(_, epoch)| node.epoch > *epoch) {
            latest = Some((node.roster.clone(), node.epoch));
        }
    }
    let (roster, _) = latest.ok_or("nobody joined")?;
    for (number, Joined { key, reader, mesh, .. }) in joined.into_iter().enumerate() {
        let phase = Duration::from_millis(u64::try_from(number % 1_000)? * 10);
        let first = Some((reader.id, addresses.as_slice()));
        members.push(Member::start(key, &roster, mesh, Role::Node, first, Some((reader, phase))).await?);
    }
    process.input.write_all(b"measure\n")?;
    let measured = tokio::task::spawn_blocking(move || process.hear::<Measured>().map_err(|error| error.to_string()));
    let measured = measured.await??;
    drop(members);
    Ok(measured)
}

struct Joined {
    key: Arc<Keypair>,
    reader: Reader,
    mesh: protocol::MeshId,
    roster: SignedRoster,
    epoch: u64,
}

async fn join(invite: &str) -> Result<Joined, Box<dyn Error>> {
    let Invite { mesh, addresses, secret, .. } = invite.parse()?;
    let key = Arc::new(Keypair::generate());
    let author = Author::new(key.clone(), mesh, 1);
    let facts = NodeFacts { hostname: "bench".into(), ..NodeFacts::default() };
    let secret = secret.map(|secret| SecretProof::new(&secret, mesh, key.node_id()));
    let request =
        EnrolRequest { sealing: Opener::new(&key).key(), label: "bench".into(), facts, secret, succeeds: None };
    let request = author.sign(&request, 0, Timestamp::now());
    let believe = |_, reply: EnrolReply| {
        let answer = reply.answer.verify::<EnrolAnswer>(mesh, Timestamp::now()).map_err(|error| error.to_string())?;
        let EnrolAnswer { endorsement, node: _, decision } = answer.into_message();
        let card = endorsement.verify(mesh).map_err(|error| error.to_string())?.clone();
        match decision {
            Enrolment::Approved(roster) => Ok((card, roster)),
            Enrolment::Pending | Enrolment::Denied(_) | Enrolment::Refused(_) => Err("it was not let in".into()),
        }
    };
    let (_, (card, roster)) = ask(&key, mesh, &addresses, &request, ASK_PATIENCE, believe).await?;
    let reader = Reader { id: card.key, sealing: card.sealing };
    let epoch = roster.verify(mesh)?.epoch;
    Ok(Joined { key, reader, mesh, roster, epoch })
}
