//! A small world around [`Dispatch`]: nodes that work, die, lie and come back, a clock that is set, a hub that restarts.

mod model;

use super::crew::Standing;
use super::*;
use crate::fixture::{NOW, cases, made_up_run};
use crate::run::UncoveredReason;
use proptest::prelude::*;

pub(super) fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

pub(super) fn candidate(number: u8, ranges: &str) -> Candidate {
    let approved: TargetSet = ranges.parse().unwrap();
    let standing = Standing::Online;
    Candidate { node: node(number), site: "main".into(), allowed: approved.clone(), approved, standing }
}

fn crew(candidates: impl IntoIterator<Item = Candidate>) -> Crew {
    let mut crew = Crew::default();
    crew.update(candidates, BTreeMap::new());
    crew
}

fn running(id: u64, targets: &str, ports: &str) -> Run {
    Run { state: RunState::Running, started: Some(NOW), ..made_up_run(id, targets, ports, "") }
}

fn taken_up(runs: impl IntoIterator<Item = Run>) -> Dispatch {
    let mut dispatch = Dispatch::default();
    for run in runs {
        let rest = run.wanted();
        dispatch.take_up(run, rest, []);
    }
    dispatch
}

/// Gives out what can be given; what it gave.
fn give_out(dispatch: &mut Dispatch, crew: &Crew) -> Vec<TaskRecord> {
    let leased = dispatch.grants(crew, NOW);
    for task in &leased {
        dispatch.granted(task.clone(), NOW.plus(Duration::from_secs(45)));
    }
    leased
}

fn done(dispatch: &mut Dispatch, mut task: TaskRecord) {
    (task.state, task.ended) = (TaskState::Done, Some(NOW));
    dispatch.settle(task);
}

/// A task that waits for its next node.
fn waiting(dispatch: &mut Dispatch, mut task: TaskRecord) -> TaskId {
    task.lose_lease("silence".into(), NOW);
    let id = task.id;
    dispatch.settle(task);
    id
}

fn second_look(run: u64, index: u32, avoid: u8) -> TaskRecord {
    let id = TaskId { run: RunId(run), index };
    TaskRecord { avoid: Some(node(avoid)), ..TaskRecord::new(id, Look::Second, "10.0.0.1".parse().unwrap(), NOW) }
}

#[test]
fn only_what_there_is_room_for_is_cut_and_numbers_are_dense() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/16", "22")]);
    let crew = crew([candidate(1, "10.0.0.0/16"), candidate(2, "10.0.0.0/16")]);
    let mut numbers = Vec::new();
    let mut given = give_out(&mut dispatch, &crew);
    assert_eq!(given.len(), 2 * TASKS_PER_NODE);
    for _ in 0..20 {
        assert_eq!(dispatch.open_tasks(), 2 * TASKS_PER_NODE, "what ended is not kept");
        numbers.extend(given.iter().map(|task| task.id.index));
        given.into_iter().for_each(|task| done(&mut dispatch, task));
        given = give_out(&mut dispatch, &crew);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(dispatch.run(RunId(1)).unwrap().tasks, u32::try_from(numbers.len()).unwrap() + 4);
}

#[test]
fn a_node_without_room_is_given_nothing_while_others_are_and_alone_it_is_waited_for() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/24", "22")]);
    let mut crew = crew([candidate(1, "10.0.0.0/24"), candidate(2, "10.0.0.0/24")]);
    crew.pass_over([node(1)].into());
    let given = give_out(&mut dispatch, &crew);
    assert!(!given.is_empty() && given.iter().all(|task| task.holder == Some(node(2))), "{given:?}");
    crew.pass_over([node(1), node(2)].into());
    let lost = given.into_iter().map(|task| waiting(&mut dispatch, task)).collect::<Vec<_>>();
    assert!(give_out(&mut dispatch, &crew).is_empty());
    assert!(dispatch.given_up(&crew, NOW, Patience(Duration::ZERO)).is_empty(), "it is there, and may have room again");
    assert!(dispatch.hopeless(&crew, NOW, Duration::ZERO).is_empty());
    crew.pass_over([node(2)].into());
    let given = give_out(&mut dispatch, &crew);
    assert!(lost.iter().all(|task| given.iter().any(|again| again.id == *task)), "what waits goes out first");
    assert!(given.iter().all(|task| task.holder == Some(node(1))));
}

#[test]
fn a_run_goes_to_nodes_of_its_site_only() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/24", "22")]);
    let elsewhere = Candidate { site: "plant".into(), ..candidate(2, "10.0.0.0/24") };
    let mut crew = crew([elsewhere.clone()]);
    assert!(give_out(&mut dispatch, &crew).is_empty());
    let [(_, named)] = dispatch.hopeless(&crew, NOW, Duration::ZERO).try_into().unwrap();
    assert_eq!(named.iter().map(|part| part.reason).collect::<Vec<_>>(), [UncoveredReason::NoRange]);
    crew.update([elsewhere, candidate(1, "10.0.0.0/24")], BTreeMap::new());
    let given = give_out(&mut dispatch, &crew);
    assert!(!given.is_empty() && given.iter().all(|task| task.holder == Some(node(1))), "{given:?}");
}

#[test]
fn runs_take_turns_however_large_one_is() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/16", "22"), running(2, "10.0.0.0/24", "22")]);
    let crew = crew((1..=4).map(|number| candidate(number, "10.0.0.0/16")));
    let given = give_out(&mut dispatch, &crew);
    let of = |run: u64| given.iter().filter(|task| task.id.run == RunId(run)).count();
    assert_eq!((of(1), of(2)), (4, 4));
}

#[test]
fn a_second_look_goes_back_to_the_first_node_when_the_other_died_with_it() {
    let mut dispatch = Dispatch::default();
    let run = Run { state: RunState::Closing, ..running(1, "10.0.0.0/24", "22") };
    dispatch.take_up(run, TargetSet::empty(), [second_look(1, 0, 1)]);
    let both = [1, 2].map(|number| candidate(number, "10.0.0.0/24"));
    let [taken] = give_out(&mut dispatch, &crew(both.clone())).try_into().unwrap();
    assert_eq!(taken.holder, Some(node(2)));
    for standing in [Standing::Expected, Standing::Away] {
        let dead = crew([both[0].clone(), Candidate { standing, ..both[1].clone() }]);
        waiting(&mut dispatch, taken.clone());
        assert!(dispatch.given_up(&dead, NOW, Patience(Duration::ZERO)).is_empty(), "{standing:?}");
        let [again] = give_out(&mut dispatch, &dead).try_into().unwrap();
        assert_eq!((again.holder, again.attempts), (Some(node(1)), 2), "{standing:?}");
    }
}

#[test]
fn a_waiting_task_comes_before_new_ones_and_avoids_who_refused() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/22", "22")]);
    let both = crew([candidate(1, "10.0.0.0/16"), candidate(2, "10.0.0.0/16")]);
    let mut given = give_out(&mut dispatch, &both);
    let mut refused = given.remove(0);
    let refuser = refused.holder.unwrap();
    refused.refuse("policy".into(), NOW);
    let id = refused.id;
    dispatch.settle(refused);
    let room = given.iter().position(|task| task.holder != Some(refuser)).unwrap();
    let other = given.remove(room);
    let heir = other.holder;
    done(&mut dispatch, other);
    let given = give_out(&mut dispatch, &both);
    assert_eq!((given[0].id, given[0].holder, given[0].fence), (id, heir, 2));
}

#[test]
fn a_narrowed_approval_reaches_what_is_not_out_yet() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/23", "22")]);
    let wide = crew([candidate(1, "10.0.0.0/23")]);
    let given = give_out(&mut dispatch, &wide);
    let mut narrow = wide.clone();
    narrow.update([candidate(1, "10.0.1.0/24")], BTreeMap::new());
    given.into_iter().for_each(|task| done(&mut dispatch, task));
    let given = give_out(&mut dispatch, &narrow);
    let allowed: TargetSet = "10.0.1.0/24".parse().unwrap();
    assert!(!given.is_empty() && given.iter().all(|task| allowed.covers(&task.targets)));
}

#[test]
fn a_node_that_comes_online_takes_from_the_rest_and_what_nobody_covers_holds_nothing_up() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/26,10.0.1.0/26,10.0.9.0/26", "22")]);
    let away = |standing| Candidate { standing, ..candidate(2, "10.0.1.0/26") };
    let mut crew = crew([candidate(1, "10.0.0.0/26"), away(Standing::Expected)]);
    for _ in 0..2 {
        give_out(&mut dispatch, &crew).into_iter().for_each(|task| done(&mut dispatch, task));
    }
    assert_eq!(dispatch.hopeless(&crew, NOW, Duration::ZERO).len(), 0, "a node may come back");
    crew.update([candidate(1, "10.0.0.0/26"), candidate(2, "10.0.1.0/26")], BTreeMap::new());
    let given = give_out(&mut dispatch, &crew);
    assert_eq!(given.iter().map(|task| task.holder).collect::<Vec<_>>(), [Some(node(2)); 2]);
    crew.update([candidate(1, "10.0.0.0/26"), away(Standing::Away)], BTreeMap::new());
    assert_eq!(dispatch.hopeless(&crew, NOW, Duration::ZERO).len(), 0, "its tasks have not ended");
    given.into_iter().for_each(|task| done(&mut dispatch, task));
    let hopeless = dispatch.hopeless(&crew, NOW, Duration::ZERO);
    let named: Vec<String> = hopeless[0].1.iter().map(|part| format!("{} {:?}", part.targets, part.reason)).collect();
    assert_eq!(named, ["10.0.9.0/26 NoRange", "10.0.1.32/27 NodeOffline"]);
    dispatch.run_changed(hopeless[0].0.clone(), TargetSet::empty());
    assert_eq!(dispatch.finished(), [RunId(1)]);
}

#[test]
fn a_queued_run_begins_with_a_node_or_ends_at_its_deadline() {
    let mut dispatch = taken_up([made_up_run(1, "10.0.0.0/24", "22", "")]);
    let mut nobody = crew([candidate(1, "10.9.0.0/24")]);
    let (deadline, late) = (Duration::from_secs(600), NOW.plus(Duration::from_secs(601)));
    assert!(dispatch.startable(&nobody).is_empty() && dispatch.hopeless(&nobody, NOW, deadline).is_empty());
    assert_eq!(dispatch.grants(&crew([candidate(1, "10.0.0.0/24")]), NOW), [], "it has not begun");
    assert_eq!(dispatch.hopeless(&nobody, late, deadline)[0].1[0].reason, UncoveredReason::NoRange);
    nobody.update([candidate(1, "10.0.0.7")], BTreeMap::new());
    assert_eq!(dispatch.startable(&nobody).len(), 1);
}

#[test]
fn waiting_ends_with_the_reason_or_in_a_new_cut() {
    let whole = || candidate(1, "10.0.0.0/24");
    let standing = |standing| Candidate { standing, ..whole() };
    let policy = Candidate { allowed: TargetSet::empty(), ..whole() };
    let none = candidate(1, "10.7.0.0/24");
    for (now, first, second) in [
        (whole(), None, None),
        (standing(Standing::Expected), None, Some((TaskState::Failed, Some(UncoveredReason::NodeOffline)))),
        (
            standing(Standing::Away),
            Some((TaskState::Failed, Some(UncoveredReason::NodeOffline))),
            Some((TaskState::Failed, Some(UncoveredReason::NodeOffline))),
        ),
        (policy, Some((TaskState::Cancelled, None)), Some((TaskState::Failed, Some(UncoveredReason::Refused)))),
        (none, Some((TaskState::Cancelled, None)), Some((TaskState::Failed, Some(UncoveredReason::NoRange)))),
    ] {
        let mut dispatch = taken_up([running(1, "10.0.0.0/24", "22")]);
        let task = give_out(&mut dispatch, &crew([whole()])).remove(0);
        waiting(&mut dispatch, task);
        dispatch.add(dispatch.run(RunId(1)).unwrap().clone(), vec![second_look(1, 99, 1)]);
        let late = NOW.plus(Duration::from_secs(61));
        let given_up = dispatch.given_up(&crew([now.clone()]), late, Patience(Duration::from_secs(60)));
        let became = |look| given_up.iter().find(|task| task.look == look).map(|task| (task.state, task.gap));
        assert_eq!((became(Look::First), became(Look::Second)), (first, second), "{now:?}");
    }
}

#[test]
fn what_is_cut_anew_is_in_the_rest_again() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/30", "22")]);
    let task = give_out(&mut dispatch, &crew([candidate(1, "10.0.0.0/30")])).remove(0);
    let targets = task.targets.clone();
    waiting(&mut dispatch, task);
    let narrowed = crew([candidate(1, "10.0.9.0/24"), candidate(2, "10.0.0.0/30")]);
    let refused_once = crew([candidate(1, "10.0.9.0/24")]);
    let task = dispatch.given_up(&refused_once, NOW, Patience(Duration::ZERO)).remove(0);
    dispatch.gave_up(task);
    let given = give_out(&mut dispatch, &narrowed);
    assert!(given.iter().any(|task| task.targets == targets && task.holder == Some(node(2)) && task.fence == 1));
}

#[test]
fn a_second_look_goes_to_another_node_and_to_the_same_one_only_when_no_other_comes() {
    let mut dispatch = taken_up([running(1, "10.0.9.0/24", "22")]);
    dispatch.run_changed(running(1, "10.0.9.0/24", "22"), TargetSet::empty());
    dispatch.add(running(1, "10.0.9.0/24", "22"), vec![second_look(1, 0, 1)]);
    let to =
        |dispatch: &mut Dispatch, crew: &Crew, now| dispatch.grants(crew, now).first().and_then(|task| task.holder);
    let (first, other) = (candidate(1, "10.0.0.0/24"), candidate(2, "10.0.0.0/24"));
    assert_eq!(to(&mut dispatch, &crew([first.clone(), other.clone()]), NOW), Some(node(2)));
    assert_eq!(to(&mut dispatch, &crew([first.clone()]), NOW), Some(node(1)), "nobody else is there");
    let busy = crew([first, other]);
    for index in 0..2 {
        let id = TaskId { run: RunId(9), index };
        dispatch.leases.grant(id, node(2), 1, 1, NOW);
    }
    assert_eq!(to(&mut dispatch, &busy, NOW), None, "the other one is there, and busy");
    assert_eq!(to(&mut dispatch, &busy, NOW.plus(Duration::from_secs(31))), Some(node(1)), "for too long");
}

#[test]
fn a_node_that_declines_everything_is_not_asked_again_until_it_starts_anew() {
    let mut dispatch = taken_up([running(1, "10.0.0.0/16", "22")]);
    let crew = crew([candidate(1, "10.0.0.0/16")]);
    let mut asked = 0;
    for _ in 0..50 {
        for mut task in give_out(&mut dispatch, &crew) {
            asked += 1;
            dispatch.declined(node(1), RunId(1), None);
            task.refuse("its policy".into(), NOW);
            dispatch.settle(task);
        }
        dispatch.given_up(&crew, NOW, Patience(Duration::ZERO)).into_iter().for_each(|task| dispatch.gave_up(task));
    }
    assert_eq!(asked, MAX_DECLINED);
    let named = dispatch.hopeless(&crew, NOW, Duration::ZERO).remove(0).1;
    assert!(named.iter().all(|part| part.reason == UncoveredReason::Refused), "{named:?}");
    dispatch.ask_again(node(1));
    assert_eq!(give_out(&mut dispatch, &crew).len(), TASKS_PER_NODE);
}

#[test]
fn a_clock_set_by_a_day_ends_no_wait_and_takes_no_lease_back() {
    let (day, minute) = (Duration::from_secs(86_400), Duration::from_secs(60));
    let asked = |later: Timestamp| {
        let crew = crew([candidate(1, "10.0.0.0/24")]);
        let queued = Run { state: RunState::Queued, ..running(2, "10.9.0.0/24", "22") };
        let mut dispatch = taken_up([running(1, "10.0.0.1", "22"), queued]);
        let task = give_out(&mut dispatch, &crew).remove(0);
        dispatch.clock_was_set(NOW, later, minute);
        let overdue = dispatch.overdue(later, &BTreeMap::new(), minute * 10).len();
        let hopeless = dispatch.hopeless(&crew, later, minute * 10).len();
        // What the store holds of the task still has the old times.
        dispatch.settle(task.clone());
        let since = dispatch.leased().map(|task| later.since(task.waits_since())).max();
        (overdue, hopeless, since)
    };
    assert_eq!(asked(NOW.plus(day)), (0, 0, Some(Duration::ZERO)));
    assert_eq!(asked(NOW.minus(day)), (0, 0, Some(Duration::ZERO)));
}

#[test]
fn a_node_whose_owner_changes_the_ranges_for_ever_holds_up_no_run() {
    let mut dispatch = taken_up([running(1, "10.0.0.1", "22")]);
    let wide = candidate(1, "10.0.0.0/24");
    let none = Candidate { allowed: TargetSet::empty(), ..wide.clone() };
    let (wide, none) = (crew([wide]), crew([none]));
    let mut given = 0;
    for _ in 0..50 {
        for task in give_out(&mut dispatch, &wide) {
            given += 1;
            waiting(&mut dispatch, task);
        }
        dispatch.ask_again(node(1));
        dispatch.given_up(&none, NOW, Patience(Duration::ZERO)).into_iter().for_each(|task| dispatch.gave_up(task));
    }
    assert_eq!(given, MAX_CUTS_ANEW + 1);
    assert_eq!(dispatch.finished(), [RunId(1)]);
}

#[test]
fn equal_tasks_go_to_the_machine_that_is_less_busy() {
    let mut dispatch = taken_up([running(1, "10.0.0.1", "22")]);
    let mut crew = crew([candidate(1, "10.0.0.0/24"), candidate(2, "10.0.0.0/24")]);
    crew.update([candidate(1, "10.0.0.0/24"), candidate(2, "10.0.0.0/24")], [(node(1), 350)].into());
    assert_eq!(give_out(&mut dispatch, &crew)[0].holder, Some(node(2)));
}

#[test]
fn a_thousand_nodes_with_ranges_of_their_own_are_all_given_work_in_one_look() {
    let numbered = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut key = [0; 32];
        key[..2].copy_from_slice(&[high, low]);
        let (first, last) = (u32::from(number) * 16_000, u32::from(number) * 16_000 + 48_000);
        let ip = |offset: u32| std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(0x0A00_0000 + offset));
        let approved = TargetSet::from_ranges([(ip(first), ip(last))]);
        Candidate { node: NodeId::from_bytes(key), allowed: approved.clone(), approved, ..candidate(1, "10.0.0.0/8") }
    };
    let mut dispatch = taken_up([]);
    dispatch.take_up(running(1, "10.0.0.0/24", "22"), "10.0.0.0/8".parse().unwrap(), []);
    let crew = crew((0..1_000).map(numbered));
    let began = std::time::Instant::now();
    let given = give_out(&mut dispatch, &crew);
    println!("{} grants to 1000 nodes took {:?}", given.len(), began.elapsed());
    assert_eq!(given.len(), 1_000 * TASKS_PER_NODE);
    assert!(dispatch.runs[&RunId(1)].plan.as_ref().unwrap().1.shares() < 4_000);
}

proptest! {
    #![proptest_config(cases(2_000, 10_000))]

    /// Each node works on one task at a time, and all take equally long: in each round each node ends its oldest task,
    /// in any order. In the end each has had as many as the others, or one more.
    #[test]
    fn nodes_with_the_same_ranges_and_speed_get_the_same_number_of_tasks(
        nodes in 1u8..6,
        addresses in 1u32..1_000,
        ports in 1u16..2_000,
        order in Just((1u8..7).map(node).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let targets = format!("10.0.0.0-10.0.{}.{}", addresses / 256, addresses % 256);
        let mut dispatch = taken_up([running(1, &targets, &format!("1-{ports}"))]);
        let crew = crew((1..=nodes).map(|number| candidate(number, "10.0.0.0/8")));
        let mut had: BTreeMap<NodeId, u32> = (1..=nodes).map(|number| (node(number), 0)).collect();
        let mut out = give_out(&mut dispatch, &crew);
        while !out.is_empty() {
            for node in &order {
                let Some(oldest) = out.iter().position(|task| task.holder == Some(*node)) else { continue };
                *had.get_mut(node).unwrap() += 1;
                done(&mut dispatch, out.remove(oldest));
                out.extend(give_out(&mut dispatch, &crew));
            }
        }
        let (least, most) = (had.values().min().unwrap(), had.values().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", had);
        prop_assert_eq!(dispatch.finished(), [RunId(1)]);
    }
}
