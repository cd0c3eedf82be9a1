//! A node on a real mesh against a small coordinator: what it runs, what it refuses, and that nothing is lost.

mod damage;
mod hops;
mod hub;
mod losses;
mod neighbours;
mod partition;
mod presence;
mod sponsor;
mod standing;

use crate::notice::Notice;
use crate::testing::{Home, Knocker, member, roster};
use crate::{AgentError, NodeError};
use hub::{Hub, Seen};
use protocol::message::{Answer, LeaseLost};
use protocol::observation::PortState;
use protocol::roster::{MemberState, Role};
use protocol::task::{EngineChoice, RunId, TaskId, TaskSpec};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

fn spec(targets: &str, port: u16) -> TaskSpec {
    TaskSpec {
        targets: targets.parse().unwrap(),
        ports: Some(format!("T:{port}").parse().unwrap()),
        args: Default::default(),
        engine: EngineChoice::Builtin,
        time_limit: Duration::from_secs(60),
    }
}

fn task(index: u32) -> TaskId {
    TaskId { run: RunId(1), index }
}

/// A listener that tells without waiting whether somebody came.
fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_task_outside_the_roster_range_is_refused_though_the_coordinator_signed_it() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/28").await;
    let (outside, outside_at) = listener("127.0.0.77");
    let (inside, inside_at) = listener("127.0.0.7");
    let mut node = home.start_whole();
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.77", outside_at.port())).await;
    let refused = hub.answer().await;
    assert_eq!((refused.task, refused.fence), (task(0), 1));
    assert!(matches!(&refused.answer, Answer::Refused(why) if why.as_str().contains("127.0.0.77")), "{refused:?}");
    node.told(|notice| matches!(notice, Notice::TaskRefused { .. })).await;
    // The same way leads to a scan when the address is allowed: the refusal is what kept the first one away.
    hub.announce(&home, 1, 1, &spec("127.0.0.7", inside_at.port())).await;
    let result = hub.whole().await;
    assert_eq!((result.task, result.hosts[0].ports[0].state), (task(1), PortState::Open));
    assert!(inside.accept().is_ok());
    assert!(outside.accept().is_err(), "the refused address was contacted");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_partly_allowed_task_is_refused_whole() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/28").await;
    let engine = Knocker::default();
    let node = home.start(engine.clone());
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.14-127.0.0.16", 9)).await;
    assert!(matches!(hub.answer().await.answer, Answer::Refused(_)));
    node.stop().await.unwrap();
    assert_eq!(engine.count(), 0);
}

#[tokio::test]
async fn a_lease_announced_twice_runs_once_and_an_older_one_not_at_all() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let engine = Knocker::default();
    let mut node = home.start(engine.clone());
    hub.beacon(1).await;
    let spec = spec("127.0.0.1", 9);
    for fence in [5, 5, 4] {
        hub.announce(&home, 0, fence, &spec).await;
    }
    assert_eq!(hub.whole().await.fence, 5);
    // What is announced later has gone the same way, so the others are through by then.
    hub.announce(&home, 1, 1, &spec).await;
    node.told(|notice| *notice == Notice::ResultDelivered { task: task(1) }).await;
    node.stop().await.unwrap();
    assert_eq!((engine.count(), home.spooled()), (2, 0));
}

#[tokio::test]
async fn without_a_beacon_nothing_is_started() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let engine = Knocker::default();
    let node = home.start(engine.clone());
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    for _ in 0..3 {
        let listed = |seen| matches!(&seen, Seen::Presence(presence) if !presence.running.is_empty()).then_some(());
        hub.saw(listed).await;
    }
    assert_eq!(engine.count(), 0, "it is held and waits");
    hub.beacon(1).await;
    assert_eq!(hub.answer().await.answer, Answer::Taken);
    assert_eq!(hub.whole().await.task, task(0));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn after_a_silence_nothing_is_started_until_the_coordinator_is_back() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let engine = Knocker::default();
    let mut options = crate::testing::options(home.folder.path());
    options.timing.silence = Duration::from_millis(300);
    let mut node = home.start_with(engine.clone(), options);
    hub.beacon(1).await;
    node.told(|notice| *notice == Notice::CoordinatorSilent).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    hub.saw(|seen| matches!(&seen, Seen::Presence(presence) if !presence.running.is_empty()).then_some(())).await;
    assert_eq!(engine.count(), 0);
    hub.beacon(2).await;
    node.told(|notice| *notice == Notice::CoordinatorBack).await;
    assert_eq!(hub.whole().await.task, task(0));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_run_and_a_lost_lease_stop_their_tasks_and_leave_nothing() {
    for lost in [false, true] {
        let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
        let engine = Knocker { lingers: true, ..Knocker::default() };
        let mut node = home.start(engine.clone());
        hub.beacon(1).await;
        hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
        node.told(|notice| matches!(notice, Notice::TaskStarted { .. })).await;
        if lost {
            hub.write(&home, &LeaseLost { task: task(0), fence: 1 }).await;
        } else {
            hub.cancel().await;
        }
        node.told(|notice| matches!(notice, Notice::TaskDropped { .. })).await;
        hub.saw(|seen| matches!(&seen, Seen::Presence(presence) if presence.running.is_empty()).then_some(())).await;
        node.stop().await.unwrap();
        assert_eq!((engine.count(), home.spooled()), (1, 0));
    }
}

#[tokio::test]
async fn a_newer_roster_is_kept_and_stops_what_it_forbids() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let mut node = home.start(Knocker { lingers: true, ..Knocker::default() });
    hub.beacon(1).await;
    hub.announce(&home, 0, 1, &spec("127.0.0.1", 9)).await;
    assert_eq!(hub.answer().await.answer, Answer::Taken);
    hub.set_roster(roster(2, vec![member(home.id, Role::Node, "127.0.0.64/26")])).await;
    node.told(|notice| *notice == Notice::RosterAdopted { epoch: 2 }).await;
    assert!(matches!(hub.answer().await.answer, Answer::Refused(_)));
    assert_eq!(home.epoch(), 2);
    node.stop().await.unwrap();
    assert_eq!(home.spooled(), 0);
}

#[tokio::test]
async fn a_node_whose_key_is_not_on_its_roster_does_not_serve() {
    for state in [Some(MemberState::Revoked), None] {
        let home = Home::new("127.0.0.1:1".parse().unwrap(), "127.0.0.0/8");
        let others = state.map(|state| protocol::roster::Member { state, ..member(home.id, Role::Node, "") });
        home.adopt(roster(2, others.into_iter().collect()));
        let end = home.start(Knocker::default()).end().await;
        match state {
            Some(_) => assert!(matches!(end, Err(NodeError::Agent(AgentError::Revoked))), "{end:?}"),
            None => assert!(matches!(end, Err(NodeError::Agent(AgentError::NotAMember))), "{end:?}"),
        }
    }
}

#[tokio::test]
async fn a_stopping_node_hands_back_what_waits_and_what_runs() {
    let (mut hub, home) = Hub::with_member("127.0.0.0/8").await;
    let mut options = crate::testing::options(home.folder.path());
    options.timing.grace = Duration::from_millis(800);
    let mut node = home.start_with(Knocker { lingers: true, ..Knocker::default() }, options);
    hub.beacon(1).await;
    for index in 0..6 {
        hub.announce(&home, index, 1, &spec("127.0.0.1", 9)).await;
    }
    hub.saw(|seen| matches!(&seen, Seen::Presence(presence) if presence.running.len() == 6).then_some(())).await;
    node.told(|notice| matches!(notice, Notice::TaskStarted { .. })).await;
    node.stop().await.unwrap();
    let mut back = Vec::new();
    while back.len() < 6 {
        match hub.answer().await {
            answer if matches!(answer.answer, Answer::HandedBack(_)) => back.push(answer.task),
            answer => assert_eq!(answer.answer, Answer::Taken),
        }
    }
    back.sort();
    assert_eq!(back, (0..6).map(task).collect::<Vec<_>>());
    assert_eq!(home.spooled(), 0);
}
