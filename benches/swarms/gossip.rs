//! Many swarms in one process: how they find each other, what an announcement takes, what rest costs, what a kill does.

use crate::load::Load;
use crate::member::{Member, Reader};
use protocol::envelope::Author;
use protocol::letter::{Opener, Sealed};
use protocol::message::{Announcement, Beacon};
use protocol::roster::{Member as Entry, MemberState, ROSTER_LIFETIME, Role, Roster, RosterHash, SignedRoster};
use protocol::task::{RunId, TaskId};
use protocol::{Keypair, MeshId, TargetSet, Timestamp};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Connections that a member keeps at least.
const LINKS: usize = 4;
/// An announced task.
const TASK_BYTES: usize = 2 * 1_024;
/// Between two announcements.
const PACE: Duration = Duration::from_millis(100);
/// Between two looks at what members have seen.
const LOOK: Duration = Duration::from_millis(20);
/// The headers of a segment: Ethernet, IP, and TCP with its timestamps.
const HEADERS: f64 = 14.0 + 20.0 + 32.0;
/// Between two beacons.
const BEACON: Duration = Duration::from_secs(10);
/// The longest that nothing may come of what is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// What was measured.
pub(crate) struct Measured {
    /// From the first start until everybody had four connections.
    pub(crate) converged: Duration,
    /// From an announcement to each member, before the kill; the slowest of 99 in a hundred.
    pub(crate) p99: Duration,
    /// The same, of half of them.
    pub(crate) median: Duration,
    /// Arrivals of announcements, and how many there should be.
    pub(crate) arrived: (usize, usize),
    pub(crate) idle: Idle,
    /// From the kill until every survivor had four living connections.
    pub(crate) healed: Duration,
    /// As `arrived`, of what was announced after the kill.
    pub(crate) arrived_after: (usize, usize),
    pub(crate) peak_mib: f64,
}

/// What one member takes at rest, in a second; each byte and segment counts where it is sent and where it is received.
pub(crate) struct Idle {
    /// With the headers of Ethernet, IP and TCP.
    pub(crate) bytes: f64,
    /// Without them.
    pub(crate) payload: f64,
    pub(crate) segments: f64,
    /// Hundredths of a core.
    pub(crate) percent: f64,
}

/// How much of it.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) members: usize,
    pub(crate) announcements: u64,
    pub(crate) rest: Duration,
}

struct Swarms {
    hub: Member,
    nodes: Vec<Member>,
    author: Author,
    roster: RosterHash,
    announced: u64,
}

pub(crate) async fn measure(size: Size) -> Result<Measured, Box<dyn Error>> {
    let began = Instant::now();
    let mut swarms = Swarms::start(size.members).await?;
    swarms.until_linked().await?;
    let converged = began.elapsed();
    swarms.until_gossip_flows().await?;
    let idle = swarms.rest(size).await?;
    let (mut times, expected) = swarms.announce(size.announcements).await?;
    times.sort_unstable();
    let arrived = (times.len(), expected);
    let at =
        |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap_or_default();
    let killed = Instant::now();
    swarms.nodes.truncate(swarms.nodes.len() - size.members * 3 / 10);
    swarms.until_linked().await?;
    let healed = killed.elapsed();
    let (after, expected) = swarms.announce(size.announcements / 2).await?;
    Ok(Measured {
        converged,
        p99: at(99),
        median: at(50),
        arrived,
        idle,
        healed,
        arrived_after: (after.len(), expected),
        peak_mib: Load::now()?.peak_mib,
    })
}

impl Swarms {
    /// Every node knows the coordinator's address and nothing else.
    async fn start(members: usize) -> Result<Self, Box<dyn Error>> {
        let mesh_key = Keypair::generate();
        let keys: Vec<Arc<Keypair>> = (0..members).map(|_| Arc::new(Keypair::generate())).collect();
        let (hub_key, node_keys) = keys.split_first().ok_or("a mesh has members")?;
        let (roster, mesh) = (roster(&keys, &mesh_key), mesh_key.mesh_id());
        let hub = Member::start(hub_key.clone(), &roster, mesh, Role::Coordinator, None, None).await?;
        let reader = Reader { id: hub.id, sealing: Opener::new(hub_key).key() };
        let first = Some((hub.id, std::slice::from_ref(&hub.address)));
        let mut nodes = Vec::new();
        for (number, key) in node_keys.iter().enumerate() {
            let phase = Duration::from_secs(10).mul_f64(f64::from(u32::try_from(number % 100)?) / 100.0);
            nodes.push(Member::start(key.clone(), &roster, mesh, Role::Node, first, Some((reader, phase))).await?);
        }
        // A boot of its own, so that these numbers meet no others.
        let author = Author::new(hub_key.clone(), mesh, 2);
        Ok(Self { hub, nodes, author, roster: roster.hash(), announced: 0 })
    }

    fn all(&self) -> impl Iterator<Item = &Member> {
        self.nodes.iter().chain([&self.hub])
    }

    /// Waits until every member has four connections to living members.
    async fn until_linked(&self) -> Result<(), Box<dyn Error>> {
        let alive: std::collections::BTreeSet<_> = self.all().map(|member| member.id).collect();
        let linked = async {
            while !self.all().all(|member| member.seen().links.intersection(&alive).count() >= LINKS) {
                sleep(LOOK).await;
            }
        };
        let waited = timeout(PATIENCE, linked).await;
        Ok(waited.map_err(|_| "a member has fewer than four connections to living members")?)
    }

    /// Gossip forms its own mesh on top of the connections, about a second later; then nothing is lost any more.
    async fn until_gossip_flows(&mut self) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let (times, expected) = self.announce(1).await?;
            if times.len() == expected && times.iter().all(|time| *time < Duration::from_secs(1)) {
                return Ok(());
            }
        }
        Err("gossip does not reach everybody".into())
    }

    /// Announces tasks; how long each took to each node, and how many arrivals there should be.
    async fn announce(&mut self, count: u64) -> Result<(Vec<Duration>, usize), Box<dyn Error>> {
        let mut sent = Vec::new();
        for _ in 0..count {
            self.announced += 1;
            let number = self.announced;
            let envelope = self.author.sign(&self.announcement(number)?, 1, Timestamp::now());
            sent.push((number, Instant::now()));
            self.hub.publish(envelope).await?;
            sleep(PACE).await;
        }
        let expected = sent.len() * self.nodes.len();
        let numbers = sent.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        let has_all = |node: &Member| {
            let seen = node.seen();
            numbers.iter().all(|number| seen.announced.contains_key(number))
        };
        let arrived = async {
            while !self.nodes.iter().all(has_all) {
                sleep(LOOK).await;
            }
        };
        // What is missing in the end is counted by whoever asked.
        let _ = timeout(PATIENCE, arrived).await;
        let mut times = Vec::new();
        for (number, at) in sent {
            times.extend(
                self.nodes.iter().filter_map(|node| Some(node.seen().announced.get(&number)?.duration_since(at))),
            );
        }
        Ok((times, expected))
    }

    fn announcement(&self, number: u64) -> Result<Announcement, Box<dyn Error>> {
        let index = usize::try_from(number)? % self.nodes.len();
        let holder = self.nodes.get(index).ok_or("a mesh has nodes")?.id;
        let task = TaskId { run: RunId(1), index: u32::try_from(number)? };
        let spec = Sealed::from_bytes(vec![7; TASK_BYTES]);
        Ok(Announcement { number, holder, task, fence: 1, lease_ms: 45_000, spec })
    }

    /// Only beacons and signs of life, every ten seconds each, and whatever the mesh does by itself. What the start left to
    /// do is done first, for a fifth of the time.
    async fn rest(&self, size: Size) -> Result<Idle, Box<dyn Error>> {
        let mut counter = 0;
        self.beacons(size.rest / 5, &mut counter).await?;
        let (began, before) = (Instant::now(), Load::now()?);
        self.beacons(size.rest, &mut counter).await?;
        let (after, seconds) = (Load::now()?, began.elapsed().as_secs_f64());
        let each = 1.0 / seconds / f64::from(u32::try_from(size.members)?);
        let bytes = 2.0 * each * (after.network_bytes - before.network_bytes);
        let segments = 2.0 * each * (after.segments - before.segments);
        let percent = 100.0 * each * (after.processor - before.processor);
        Ok(Idle { bytes, payload: bytes - HEADERS * segments, segments, percent })
    }

    async fn beacons(&self, time: Duration, counter: &mut u64) -> Result<(), Box<dyn Error>> {
        let (began, mut due) = (Instant::now(), interval(BEACON));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < time {
            tokio::select! {
                _ = due.tick() => {
                    *counter += 1;
                    let (announced, digest) = (self.announced, self.hub.digest().await?);
                    let beacon =
                        Beacon { counter: *counter, roster_epoch: 1, roster_hash: self.roster, announced, digest };
                    self.hub.publish(self.author.sign(&beacon, 1, Timestamp::now())).await?;
                }
                () = sleep(time.saturating_sub(began.elapsed())) => {}
            }
        }
        Ok(())
    }
}

fn roster(keys: &[Arc<Keypair>], mesh_key: &Keypair) -> SignedRoster {
    let entry = |(number, key): (usize, &Arc<Keypair>)| Entry {
        key: key.node_id(),
        role: if number == 0 { Role::Coordinator } else { Role::Node },
        state: MemberState::Approved,
        site: "main".into(),
        ranges: TargetSet::empty(),
        expires: None,
        may_sponsor: false,
    };
    let mut members: Vec<Entry> = keys.iter().enumerate().map(entry).collect();
    members.sort_by_key(|member| member.key);
    let (mesh, issued): (MeshId, _) = (mesh_key.mesh_id(), Timestamp::now());
    let not_after = issued.plus(ROSTER_LIFETIME);
    SignedRoster::sign(&Roster { mesh, epoch: 1, previous: [0; 32], issued, not_after, members }, mesh_key)
}
