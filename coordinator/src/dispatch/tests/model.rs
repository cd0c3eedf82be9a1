//! Random sequences of everything that can happen to leases, against what must always hold.

use super::*;
use crate::run::MAX_ATTEMPTS;

const LEASE: Duration = Duration::from_secs(45);
const GRACE: Duration = Duration::from_secs(90);
const LONGEST: Duration = Duration::from_secs(3_600);
const DEADLINE: Duration = Duration::from_secs(600);
const WANTED: &str = "10.0.0.0-10.0.3.99";
const RANGES: [&str; 5] = ["10.0.0.0/22", "10.0.0.0/23", "10.0.1.0/24", "10.0.2.0/23", "10.0.0.128-10.0.2.5"];
const NODES: u8 = 3;

/// What can happen next.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, and the hub looks at what is due.
    Tick {
        seconds: u64,
    },
    /// The wall clock is set.
    ClockSet {
        seconds: i64,
    },
    /// A node says which tasks it is at.
    Renew(u8),
    /// A node sends the result of a task that it ever held, also of one it lost.
    Result(u8, prop::sample::Index),
    HandBack(u8, prop::sample::Index),
    Refuse(u8, prop::sample::Index),
    /// A node starts anew, and remembers its tasks or not.
    Reboot {
        node: u8,
        remembers: bool,
    },
    Stands(u8, Standing),
    /// A person approves other ranges.
    Approve(u8, usize),
    /// The coordinator starts anew from what is stored.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 1..=NODES;
    let which = any::<prop::sample::Index>;
    let standing = prop_oneof![3 => Just(Standing::Online), 1 => Just(Standing::Expected), 1 => Just(Standing::Away)];
    prop_oneof![
        8 => (1u64..50).prop_map(|seconds| Step::Tick { seconds }),
        1 => (-100_000i64..100_000).prop_map(|seconds| Step::ClockSet { seconds }),
        6 => node().prop_map(Step::Renew),
        6 => (node(), which()).prop_map(|(node, task)| Step::Result(node, task)),
        2 => (node(), which()).prop_map(|(node, task)| Step::HandBack(node, task)),
        2 => (node(), which()).prop_map(|(node, task)| Step::Refuse(node, task)),
        1 => (node(), any::<bool>()).prop_map(|(node, remembers)| Step::Reboot { node, remembers }),
        3 => (node(), standing).prop_map(|(node, standing)| Step::Stands(node, standing)),
        2 => (node(), 0..RANGES.len()).prop_map(|(node, ranges)| Step::Approve(node, ranges)),
        1 => Just(Step::Restart),
    ]
}

/// A node as it sees itself.
struct Actor {
    candidate: Candidate,
    boot: u64,
    /// Leases that it works under.
    held: Vec<(TaskId, u64)>,
    /// Every lease that it ever had.
    ever: Vec<(TaskId, u64)>,
}

struct World {
    dispatch: Dispatch,
    crew: Crew,
    actors: BTreeMap<NodeId, Actor>,
    now: Timestamp,
    ticked: Timestamp,
    /// What the store would hold.
    run: Run,
    rest: TargetSet,
    tasks: BTreeMap<TaskId, TaskRecord>,
    accepted: BTreeSet<TaskId>,
    is_over: bool,
}

impl World {
    fn new() -> Self {
        let actor = |number: u8| {
            let candidate = candidate(number, RANGES[usize::from(number) - 1]);
            (candidate.node, Actor { candidate, boot: 1, held: Vec::new(), ever: Vec::new() })
        };
        let run = made_up_run(1, WANTED, "22", "");
        Self {
            dispatch: taken_up([run.clone()]),
            crew: Crew::default(),
            actors: (1..=NODES).map(actor).collect(),
            now: NOW,
            ticked: NOW,
            rest: run.wanted(),
            run,
            tasks: BTreeMap::new(),
            accepted: BTreeSet::new(),
            is_over: false,
        }
    }

    fn tick(&mut self) {
        let half = LEASE / 2;
        if self.now.since(self.ticked) > half || self.ticked.since(self.now) > half {
            self.dispatch.clock_was_set(self.ticked, self.now, GRACE);
        }
        self.ticked = self.now;
        self.look_around();
        for run in self.dispatch.startable(&self.crew) {
            self.run = Run { state: RunState::Running, started: Some(self.now), ..run };
            self.dispatch.run_changed(self.run.clone(), self.rest.clone());
        }
        let boots = self.actors.iter().map(|(node, actor)| (*node, actor.boot)).collect();
        for (task, fence, reason) in self.dispatch.overdue(self.now, &boots, LONGEST) {
            self.release(task, fence, |task, now| task.lose_lease(reason, now));
        }
        for task in self.dispatch.given_up(&self.crew, self.now, Patience(Duration::from_secs(60))) {
            if task.state == TaskState::Cancelled {
                self.rest = self.rest.union(&task.targets);
            }
            self.tasks.insert(task.id, task.clone());
            self.dispatch.gave_up(task);
        }
        self.give_out();
        for (run, uncovered) in self.dispatch.hopeless(&self.crew, self.now, DEADLINE) {
            self.run = Run { state: RunState::Running, uncovered, ..run };
            self.rest = TargetSet::empty();
            self.dispatch.run_changed(self.run.clone(), TargetSet::empty());
        }
        self.is_over |= !self.dispatch.finished().is_empty();
    }

    fn look_around(&mut self) {
        self.crew.update(self.actors.values().map(|actor| actor.candidate.clone()), BTreeMap::new());
    }

    fn give_out(&mut self) {
        for task in self.dispatch.grants(&self.crew, self.now) {
            let holder = task.holder.unwrap();
            let actor = self.actors.get_mut(&holder).unwrap();
            assert!(actor.candidate.standing == Standing::Online && actor.candidate.allowed.covers(&task.targets));
            assert!(!task.refused.contains(&holder) && task.attempts <= MAX_ATTEMPTS);
            match self.tasks.get(&task.id) {
                Some(before) => assert!(before.state == TaskState::Waiting && before.fence + 1 == task.fence),
                None => {
                    assert_eq!((task.id.index, task.fence), (self.run.tasks, 1), "numbers are dense");
                    assert!(self.rest.covers(&task.targets), "cut twice");
                    self.run.tasks += 1;
                    self.rest = self.rest.minus(&task.targets);
                }
            }
            actor.held.push((task.id, task.fence));
            actor.ever.push((task.id, task.fence));
            self.tasks.insert(task.id, task.clone());
            self.dispatch.granted(task, self.now.plus(LEASE));
        }
    }

    /// As the hub does: only what is leased under this number changes.
    fn release(&mut self, task: TaskId, fence: u64, how: impl FnOnce(&mut TaskRecord, Timestamp)) {
        let held = |task: &&mut TaskRecord| task.state == TaskState::Leased && task.fence == fence;
        let after = self.tasks.get_mut(&task).filter(held).map(|task| {
            how(task, self.now);
            task.clone()
        });
        self.dispatch.end_lease(task, fence);
        if let Some(after) = after {
            self.dispatch.settle(after);
        }
    }

    fn answer(&mut self, node: NodeId, which: prop::sample::Index, is_refusal: bool) {
        let (now, actor) = (self.now, self.actors.get_mut(&node).unwrap());
        if actor.held.is_empty() {
            return;
        }
        let (task, fence) = actor.held.remove(which.index(actor.held.len()));
        if self.dispatch.renew(task, node, actor.boot, fence, now.plus(LEASE)) == Renewal::Lost {
            return;
        }
        if is_refusal {
            self.dispatch.declined(node, task.run, None);
            self.release(task, fence, |task, now| task.refuse("policy".into(), now));
        } else {
            self.dispatch.declined(node, task.run, Some(now.plus(LEASE)));
            self.release(task, fence, |task, now| task.lose_lease("busy".into(), now));
        }
        self.give_out();
    }

    fn result(&mut self, node: NodeId, which: prop::sample::Index) {
        let actor = self.actors.get_mut(&node).unwrap();
        if actor.ever.is_empty() {
            return;
        }
        let (task, fence) = actor.ever[which.index(actor.ever.len())];
        actor.held.retain(|held| *held != (task, fence));
        let record = self.tasks.get_mut(&task).unwrap();
        if record.accepts(node, fence) {
            assert!(self.accepted.insert(task), "accepted twice");
            (record.state, record.ended) = (TaskState::Done, Some(self.now));
            let record = record.clone();
            self.dispatch.settle(record);
            self.give_out();
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Tick { seconds } => {
                self.now = self.now.plus(Duration::from_secs(seconds));
                self.tick();
            }
            Step::ClockSet { seconds } => {
                self.tick();
                let (leased, failed, uncovered) = (self.leases(), self.failed(), self.run.uncovered.clone());
                let by = Duration::from_secs(seconds.unsigned_abs());
                self.now = if seconds < 0 { self.now.minus(by) } else { self.now.plus(by) };
                self.tick();
                assert!(leased.is_subset(&self.leases()), "a jump alone takes no lease back");
                assert_eq!(
                    (failed, uncovered),
                    (self.failed(), self.run.uncovered.clone()),
                    "a jump alone fails nothing"
                );
            }
            Step::Renew(number) => {
                let (until, actor) = (self.now.plus(LEASE), self.actors.get_mut(&node(number)).unwrap());
                let (boot, dispatch) = (actor.boot, &mut self.dispatch);
                actor.held.retain(|(task, fence)| {
                    dispatch.renew(*task, node(number), boot, *fence, until) == Renewal::Renewed
                });
            }
            Step::Result(number, task) => self.result(node(number), task),
            Step::HandBack(number, task) => self.answer(node(number), task, false),
            Step::Refuse(number, task) => self.answer(node(number), task, true),
            Step::Reboot { node: number, remembers } => {
                let actor = self.actors.get_mut(&node(number)).unwrap();
                actor.boot += 1;
                if !remembers {
                    actor.held.clear();
                }
                self.dispatch.ask_again(node(number));
            }
            Step::Stands(number, standing) => {
                self.actors.get_mut(&node(number)).unwrap().candidate.standing = standing;
                self.look_around();
            }
            Step::Approve(number, ranges) => {
                let actor = self.actors.get_mut(&node(number)).unwrap();
                let approved: TargetSet = RANGES[ranges].parse().unwrap();
                actor.candidate = Candidate { allowed: approved.clone(), approved, ..actor.candidate.clone() };
                self.dispatch.ask_again(node(number));
                self.look_around();
            }
            Step::Restart => {
                self.dispatch = Dispatch::default();
                let tasks: Vec<TaskRecord> = self.tasks.values().cloned().collect();
                self.dispatch.take_up(self.run.clone(), self.rest.clone(), tasks);
                self.dispatch.resume_leases(self.now, GRACE);
            }
        }
    }

    fn leases(&self) -> BTreeSet<(TaskId, u64)> {
        self.dispatch.leased().map(|task| (task.id, task.fence)).collect()
    }

    fn failed(&self) -> usize {
        self.tasks.values().filter(|task| task.state == TaskState::Failed).count()
    }

    fn check(&self) {
        let open: Vec<&TaskRecord> = self.tasks.values().filter(|task| !task.state.is_final()).collect();
        assert_eq!(self.dispatch.open_tasks(), open.len(), "memory holds what is open and nothing else");
        for task in self.tasks.values() {
            assert!(task.attempts <= MAX_ATTEMPTS && u64::from(task.attempts) <= task.fence);
            let heard = self.actors.keys().flat_map(|node| (0..=task.fence + 1).map(|fence| (*node, fence)));
            let heard = heard.filter(|(node, fence)| task.accepts(*node, *fence)).count();
            assert!(heard <= 1, "two holders would be heard: {task:?}");
            let lease = self.dispatch.leases.get(task.id);
            assert_eq!(lease.is_some(), task.state == TaskState::Leased, "{task:?}");
            assert!(lease.is_none_or(|lease| (lease.fence, Some(lease.holder)) == (task.fence, task.holder)));
        }
        for node in self.actors.keys() {
            assert!(self.dispatch.leases.load(*node).0 <= TASKS_PER_NODE);
        }
        let mut seen = self.rest.clone();
        let uncut = self.run.uncovered.iter().map(|part| &part.targets);
        let cut = self.tasks.values().filter(|task| task.state != TaskState::Cancelled).map(|task| &task.targets);
        for targets in cut.chain(uncut) {
            assert!(seen.intersection(targets).is_empty(), "{targets} stands twice");
            seen = seen.union(targets);
        }
        assert_eq!(seen, self.run.wanted());
    }

    /// Every node goes for good; all that is left must end by itself.
    fn end(&mut self) {
        for actor in self.actors.values_mut() {
            actor.candidate.standing = Standing::Away;
        }
        for _ in 0..100 {
            if self.is_over {
                break;
            }
            self.now = self.now.plus(Duration::from_secs(20));
            self.tick();
            self.check();
        }
        assert!(self.is_over, "{:?}", self.dispatch);
        for task in self.tasks.values() {
            assert!(task.state.is_final() && task.ended.is_some(), "{task:?}");
            assert!(task.state != TaskState::Failed || (task.gap.is_some() && !task.reason.is_empty()), "{task:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(300, 5_000))]

    #[test]
    fn at_most_one_holder_is_heard_fences_rise_and_everything_ends(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let mut world = World::new();
        world.tick();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.end();
    }
}
