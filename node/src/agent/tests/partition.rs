//! Ten minutes without any way to the coordinator: what was under way is finished, kept, and delivered once.

use super::hub::{Hub, Seen};
use super::{spec, task};
use crate::engine::{Engine, EngineError, Progress};
use crate::notice::Notice;
use crate::policy::AdmittedTask;
use crate::testing::{Knocker, Running};
use protocol::observation::{Coverage, HostObservation};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The only way to the coordinator, which can be cut.
struct Way {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Way {
    async fn to(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_open, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                if *seen.borrow() {
                    tokio::spawn(carry(caller, hub, seen.clone()));
                }
            }
        });
        Self { address, is_open }
    }
}

/// Carries bytes both ways until either end or the way is closed.
async fn carry(mut caller: TcpStream, hub: SocketAddr, mut is_open: watch::Receiver<bool>) {
    let Ok(mut answerer) = TcpStream::connect(hub).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut caller, &mut answerer) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}

/// An engine that ends a scan when it is let.
#[derive(Clone)]
struct Held {
    engine: Knocker,
    may_end: Arc<Semaphore>,
}

impl Engine for Held {
    async fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        let coverage = self.engine.scan(task, hosts, progress, stop).await;
        self.may_end.acquire().await.expect("it stays open").forget();
        coverage
    }
}

/// Waits until such a notice has come for both tasks.
async fn both(node: &mut Running, notice: impl Fn(u32) -> Notice) {
    let mut left = BTreeSet::from([0, 1]);
    while !left.is_empty() {
        let told = node.told(|told| left.iter().any(|index| *told == notice(*index))).await;
        left.retain(|index| notice(*index) != told);
    }
}

#[tokio::test]
async fn results_wait_through_a_partition_of_ten_minutes_and_arrive_once() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let way = Way::to(hub.address).await;
    home.find_hub_at(way.address);
    let held = Held { engine: Knocker::default(), may_end: Arc::new(Semaphore::new(0)) };
    let mut options = crate::testing::options(home.folder.path());
    // Ten minutes of retries are not worth the wait.
    options.timing.presence_every = Duration::from_secs(5);
    options.timing.mesh.redial_most = Duration::from_secs(3);
    let mut node = home.start_with(held.clone(), options);
    hub.beacon(1).await;
    for index in 0..2 {
        hub.announce(&home, index, 1, &spec("127.0.0.1", 9)).await;
    }
    both(&mut node, |index| Notice::TaskStarted { task: task(index) }).await;
    way.is_open.send_replace(false);
    node.told(|notice| matches!(notice, Notice::Disconnected { coordinator: true, .. })).await;
    held.may_end.add_permits(2);
    both(&mut node, |index| Notice::TaskDone { task: task(index) }).await;
    hub.rest();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(600)).await;
    tokio::time::resume();
    node.told(|notice| *notice == Notice::CoordinatorSilent).await;
    assert_eq!((home.spooled(), hub.rest().len()), (2, 0), "they wait on disk, and nothing came through");
    way.is_open.send_replace(true);
    // The paused clock has made the node's time doubtful, so it waits for some beacons before it writes.
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    let beats = async {
        loop {
            beat.tick().await;
            hub.beat().await;
        }
    };
    tokio::select! {
        () = both(&mut node, |index| Notice::ResultDelivered { task: task(index) }) => {}
        () = beats => {}
    }
    node.stop().await.unwrap();
    let whole = |seen: Seen| if let Seen::Whole(result) = seen { Some(result.task) } else { None };
    let arrived: Vec<_> = hub.rest().into_iter().filter_map(whole).collect();
    assert_eq!(BTreeSet::from_iter(&arrived), BTreeSet::from([&task(0), &task(1)]));
    // A receipt that is late has the node send again, which the coordinator counts once.
    assert_eq!((held.engine.count(), home.spooled()), (2, 0), "each done once, and none is left behind");
}
