//! Which step comes next, for each state of a store; and that this machine's node is started once, for its ranges.

use super::*;
use crate::accounts::Role;
use crate::fixture::{Fixture, TARGETS, host};
use crate::registry::tests::{approval, record};
use crate::registry::{Admission, NodeRecord};
use crate::settings::{Settings, Timing};
use crate::store::tables::{INVITES, NODES};
use crate::{CoordinatorOptions, SetupOptions};
use protocol::Timestamp;
use std::net::SocketAddr;
use std::sync::Mutex;
use tempfile::TempDir;

/// Notes the invites that it is started with.
#[derive(Default)]
struct NoProcess(Mutex<(LocalNodeState, Vec<Invite>)>);

impl LocalNode for NoProcess {
    fn networks(&self) -> Vec<TargetSet> {
        vec!["127.0.10.0/28".parse().unwrap()]
    }

    fn state(&self) -> LocalNodeState {
        self.0.lock().unwrap().0.clone()
    }

    fn start(&self, invite: Invite) {
        let mut held = self.0.lock().unwrap();
        held.0 = LocalNodeState::Running;
        held.1.push(invite);
    }
}

async fn start() -> (Coordinator, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, loopback) = (folder.path().join("data"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = Settings { mesh: loopback, advertised: Vec::new(), http: loopback };
    crate::setup(SetupOptions { dir: dir.clone(), settings, admin: None }).await.unwrap();
    let options = CoordinatorOptions { dir, configuration: crate::fixture::configuration(), timing: Timing::default() };
    (Coordinator::start(options).await.unwrap(), folder)
}

fn actor(role: Role) -> Actor {
    Actor::new("ada".into(), role)
}

/// The step in a word.
fn word(step: Option<FirstRun>) -> String {
    match step {
        None => "nothing was run".to_owned(),
        Some(FirstRun::NoNode { .. } | FirstRun::NodeAway { .. } | FirstRun::NoRun { .. }) => "before a run".to_owned(),
        Some(FirstRun::Running { run, is_first }) => format!("run {run} goes on, first: {is_first}"),
        Some(FirstRun::Looked(look)) => format!("run {} looked, baseline: {}", look.run.id, look.report.is_some()),
        Some(FirstRun::Done(report)) => format!("report {}", report.run),
    }
}

async fn step_of(fixture: &Fixture) -> String {
    word(fixture.store.read(furthest).await.unwrap().0)
}

#[tokio::test]
async fn runs_and_reports_say_which_step_comes_next() {
    let fixture = Fixture::new().await;
    assert_eq!(step_of(&fixture).await, "nothing was run");
    let waiting = fixture.store.read(furthest).await.unwrap().1;
    assert_eq!(waiting.unwrap().definition.name().as_str(), "Office");
    let first = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22])]).await;
    assert_eq!(step_of(&fixture).await, "run 1 goes on, first: true");
    fixture.finish(first, None).await;
    assert_eq!(step_of(&fixture).await, "run 1 looked, baseline: true");
    let second = fixture.looked_once(TARGETS, vec![host("10.9.0.1", &[22, 80])]).await;
    assert_eq!(step_of(&fixture).await, "run 2 goes on, first: false");
    fixture.finish(second, None).await;
    assert_eq!(step_of(&fixture).await, "report 2");
}

#[tokio::test]
async fn this_machine_is_used_once_for_the_ranges_that_were_chosen() {
    let (coordinator, _folder) = start().await;
    let admin = actor(Role::Admin);
    let told = coordinator.use_this_machine(&admin, "127.0.10.0/28").await.unwrap_err().to_string();
    assert!(told.contains("brings no node along"), "{told}");

    let local = Arc::new(NoProcess::default());
    coordinator.bring_local_node(local.clone());
    let offered = coordinator.first_run(&admin).await.unwrap();
    let networks = vec!["127.0.10.0/28".parse().unwrap()];
    assert_eq!(offered, FirstRun::NoNode { local: Some(LocalNodeState::Idle), networks });
    for role in [Role::Viewer, Role::Operator, Role::Approver] {
        let refused = coordinator.use_this_machine(&actor(role), "127.0.10.0/28").await;
        assert!(matches!(refused, Err(UseCaseError::Forbidden(_))), "{role:?}");
    }
    for wrong in ["", "nowhere"] {
        let refused = coordinator.use_this_machine(&admin, wrong).await;
        assert!(matches!(refused, Err(UseCaseError::Invalid { field: "ranges", .. })), "{wrong:?}");
    }
    assert_eq!(local.0.lock().unwrap().1, []);

    coordinator.use_this_machine(&admin, "127.0.10.0/28").await.unwrap();
    coordinator.use_this_machine(&admin, "127.0.11.0/28").await.unwrap();
    let invites = local.0.lock().unwrap().1.clone();
    assert_eq!(invites.len(), 1, "sent twice, it is done once");
    assert_eq!(invites[0].addresses, coordinator.enrolment_addresses());
    let kept = coordinator.store().read(|view| view.iter(&INVITES).collect::<Result<Vec<_>, _>>()).await.unwrap();
    assert_eq!(kept[0].1.ranges, "127.0.10.0/28".parse().unwrap());
    coordinator.stop().await;
}

#[tokio::test]
async fn a_node_that_is_in_but_not_there_is_waited_for() {
    let (coordinator, _folder) = start().await;
    let now = Timestamp::now();
    let let_in = coordinator.store().update(move |draft| {
        let node = NodeRecord { last_asked: now, ..record(3, Admission::Approved(approval(now))) };
        draft.put(&NODES, &node.key, &node)
    });
    let_in.await.map_err(|error: StoreError| error).unwrap();
    let step = coordinator.first_run(&actor(Role::Viewer)).await.unwrap();
    let FirstRun::NodeAway { label, reason, local: None } = step else { panic!("{step:?}") };
    assert_eq!((label.as_str(), reason), ("lab", "the mesh key has yet to sign that it is in"));
    coordinator.stop().await;
}
