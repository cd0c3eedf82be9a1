//! The runner with engines that finish, hang, fail, panic and lie.

use super::*;
use crate::engine::EngineError;
use crate::policy::Policy;
use crate::spool::SpoolLimits;
use crate::testing::observed;
use protocol::observation::{Coverage, HostObservation};
use protocol::target::TargetSet;
use protocol::task::{EngineChoice, RunId, Task, TaskSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the engine under test does.
enum Act {
    /// Settles its hosts and ends.
    Finish(&'static str),
    /// Settles these, then waits to be stopped, and says what it covered.
    UntilStopped(&'static str),
    /// Does not listen.
    Hang,
    Fail,
    Panic,
}

impl Engine for Act {
    async fn scan(
        &self,
        _task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        progress.send_replace(Progress { cells_done: 1, cells_total: 2, hosts_found: 0 });
        let covered = match self {
            Act::Finish(covered) | Act::UntilStopped(covered) => covered,
            Act::Hang => return std::future::pending().await,
            Act::Fail => return Err(EngineError::NoPorts),
            Act::Panic => panic!("on purpose"),
        };
        let asked: TargetSet = if covered.is_empty() { TargetSet::empty() } else { covered.parse().unwrap() };
        for address in asked.addresses() {
            hosts.send(observed(address)).await.unwrap();
        }
        if matches!(self, Act::UntilStopped(_)) {
            stop.cancelled().await;
        }
        Ok(Coverage { asked, ..Coverage::default() })
    }
}

fn task(index: u32) -> AdmittedTask {
    let targets: TargetSet = "127.0.0.1-127.0.0.4".parse().unwrap();
    let spec = TaskSpec {
        targets: targets.clone(),
        ports: Some("T:80".parse().unwrap()),
        args: Default::default(),
        engine: EngineChoice::Builtin,
        time_limit: Duration::from_secs(60),
    };
    let id = protocol::task::TaskId { run: RunId(1), index };
    Policy::default().admit(Task { id, fence: 3, lease: Duration::from_secs(45), spec }, &targets).unwrap()
}

fn runner(act: Act) -> (Runner<Act>, Spool, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(folder.path(), SpoolLimits::default()).unwrap();
    let clock = ClockOffset::default();
    clock.set(-5_000);
    (Runner::new(Arc::new(act), spool.clone(), 2, Duration::from_secs(5), clock), spool, folder)
}

async fn outcome(act: Act, meddle: impl FnOnce(&mut Runner<Act>)) -> (Outcome, usize) {
    let (mut runner, spool, _folder) = runner(act);
    runner.start(task(1));
    let mut progress = runner.active[&task(1).id()].progress.clone();
    progress.wait_for(|progress| progress.cells_total == 2).await.unwrap();
    meddle(&mut runner);
    let ended = runner.next().await;
    assert_eq!((ended.key.task, ended.key.fence, runner.count()), (task(1).id(), 3, 0));
    (ended.outcome, spool.keys().len())
}

/// The one result in the spool, read back.
async fn stored(spool: &Spool) -> protocol::message::TaskResult {
    protocol::message::TaskResult::unpack(&spool.chunk(spool.keys()[0], 0).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_finished_task_is_on_disk_with_all_its_hosts() {
    let (mut runner, spool, _folder) = runner(Act::Finish("127.0.0.1-127.0.0.4"));
    runner.start(task(1));
    assert!(matches!(runner.next().await.outcome, Outcome::Stored(_)));
    let result = stored(&spool).await;
    assert_eq!((result.hosts.len(), result.shortfall, result.fence), (4, None, 3));
    let seen = observed("127.0.0.1".parse().unwrap()).seen;
    assert_eq!(result.hosts[0].seen, seen.plus(Duration::from_secs(5)), "this clock is behind the mesh");
    assert!(result.started > protocol::Timestamp::now() && result.ended >= result.started);
}

#[tokio::test(start_paused = true)]
async fn at_the_time_limit_what_was_covered_is_kept_and_the_rest_named() {
    let (mut runner, spool, _folder) = runner(Act::UntilStopped("127.0.0.1"));
    runner.start(task(1));
    assert!(matches!(runner.next().await.outcome, Outcome::Stored(_)));
    let shortfall = stored(&spool).await.shortfall.unwrap().to_string();
    insta::assert_snapshot!(shortfall, @"3 of 4 addresses were not settled: the time limit of 60 s was reached");
}

#[tokio::test]
async fn hosts_that_were_not_asked_for_are_left_out() {
    let (mut runner, spool, _folder) = runner(Act::Finish("127.0.0.3-127.0.0.9"));
    runner.start(task(1));
    runner.next().await;
    let addresses: Vec<String> = stored(&spool).await.hosts.iter().map(|host| host.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.3", "127.0.0.4"]);
}

#[tokio::test(start_paused = true)]
async fn what_covers_nothing_is_handed_back_with_the_reason() {
    let mut told = Vec::new();
    for act in [Act::Finish(""), Act::UntilStopped(""), Act::Hang, Act::Fail] {
        match outcome(act, |_| ()).await {
            (Outcome::HandBack(reason), 0) => told.push(reason),
            other => panic!("{other:?}"),
        }
    }
    insta::assert_snapshot!(told.join("\n"), @"
    nothing could be covered: the engine ended early
    nothing could be covered: the time limit of 60 s was reached
    the time limit of 60 s was reached
    no port is left to scan after the exclusions; remove some of --exclude-ports or add ports
    ");
}

#[tokio::test]
async fn a_result_that_the_disk_does_not_take_is_handed_back() {
    let (mut runner, spool, folder) = runner(Act::Finish("127.0.0.1-127.0.0.4"));
    std::fs::remove_dir_all(folder.path()).unwrap();
    runner.start(task(1));
    let ended = runner.next().await;
    let Outcome::HandBack(reason) = &ended.outcome else { panic!("{ended:?}") };
    assert!(reason.starts_with("the result could not be kept: cannot write "), "{reason}");
    assert_eq!(spool.keys(), [], "nothing is offered that is not on disk");
}

#[tokio::test]
async fn an_engine_that_breaks_down_takes_nothing_with_it() {
    let (mut runner, _spool, _folder) = runner(Act::Panic);
    runner.start(task(1));
    let ended = runner.next().await;
    assert!(matches!(&ended.outcome, Outcome::HandBack(reason) if reason.contains("broke down")), "{ended:?}");
    assert!(runner.has_slot());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_task_leaves_nothing_and_a_closed_runner_hands_back() {
    let covered = "127.0.0.1-127.0.0.4";
    let dropped = outcome(Act::UntilStopped(covered), |runner| runner.drop_task(task(1).id())).await;
    assert_eq!(dropped, (Outcome::Dropped, 0));
    let closed = outcome(Act::UntilStopped(covered), |runner| runner.close("the node stops")).await;
    assert_eq!(closed, (Outcome::HandBack("the node stops".to_owned()), 0));
    let both = |runner: &mut Runner<Act>| {
        runner.drop_task(task(1).id());
        runner.hand_back_all("the disk is full");
    };
    assert_eq!(outcome(Act::UntilStopped(covered), both).await, (Outcome::Dropped, 0), "the first order holds");
    let stubborn = outcome(Act::Hang, |runner| runner.drop_task(task(1).id())).await;
    assert_eq!(stubborn, (Outcome::Dropped, 0));
}

#[tokio::test]
async fn what_runs_can_be_handed_back_and_others_started_after() {
    let (mut runner, spool, _folder) = runner(Act::UntilStopped("127.0.0.1"));
    for index in [1, 2] {
        runner.start(task(index));
        runner.hand_back_all("the disk is full");
        assert_eq!(runner.next().await.outcome, Outcome::HandBack("the disk is full".to_owned()));
    }
    assert!(runner.has_slot() && spool.keys().is_empty());
}

#[tokio::test]
async fn no_more_run_than_there_are_slots() {
    let (mut runner, _spool, _folder) = runner(Act::Hang);
    runner.start(task(1));
    assert!(runner.has_slot());
    runner.start(task(2));
    assert!(!runner.has_slot());
    assert_eq!((runner.count(), runner.is_running(task(1).id()), runner.is_running(task(3).id())), (2, true, false));
}
