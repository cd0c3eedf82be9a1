//! A host's cells against a path that loses, delays and keeps silent; the time is a number.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const PATIENCE: Patience = Patience { answer: Duration::from_millis(50), flight: Duration::from_millis(20) };
const PLANNED: Retries = Retries { planned: 3, extend: true };

fn millis(time: u64) -> Tick {
    Tick::at(Duration::from_millis(time))
}

/// Asks until it is done, a millisecond a step; `answers` says what comes back to a question. Gives the time it took
/// and when each cell was asked.
fn run(cells: &mut Cells, mut answers: impl FnMut(Question, u64) -> Option<Verdict>) -> (u64, Vec<(u64, Question)>) {
    let mut asked = Vec::new();
    for time in 0..60_000 {
        let now = millis(time);
        while let Some(question) = cells.next(now, PATIENCE) {
            asked.push((time, question));
            if let Some(verdict) = answers(question, time) {
                cells.answer(question.index, Some(question.attempt), verdict, now);
            }
        }
        cells.land(now, PATIENCE.flight);
        if cells.is_done(now, PATIENCE) {
            return (time, asked);
        }
    }
    panic!("never done");
}

#[test]
fn where_all_answer_each_cell_is_asked_once_and_nothing_is_waited_for() {
    let mut cells = Cells::new(1_000, PLANNED);
    let (took, asked) = run(&mut cells, |_, _| Some(Verdict::Closed));
    assert_eq!((took, asked.len(), cells.flying()), (0, 1_000, 0));
}

#[test]
fn a_silent_cell_is_asked_again_over_more_than_a_second_and_then_believed() {
    for planned in 1..=5 {
        let mut cells = Cells::new(10, Retries { planned, extend: true });
        let (took, asked) = run(&mut cells, |_, _| None);
        let times: Vec<u64> = asked.iter().filter(|(_, question)| question.index == 3).map(|(time, _)| *time).collect();
        assert_eq!(times.len(), usize::from(planned) + 1);
        assert!(times.last().unwrap() - times[0] > 1_000, "{times:?}");
        assert!(took < times.last().unwrap() + 60, "{took}: the last answer is waited for as long as one takes");
        assert!(cells.verdicts().all(|verdict| verdict.is_none()));
        assert_eq!(cells.flying(), 0);
    }
}

#[test]
fn without_retries_each_cell_is_asked_once() {
    let mut cells = Cells::new(10, Retries { planned: 0, extend: false });
    let (took, asked) = run(&mut cells, |_, _| None);
    assert_eq!((asked.len(), took), (10, 50));
}

#[test]
fn while_retries_find_something_silent_cells_are_asked_on_but_not_for_ever() {
    let mut cells = Cells::new(20, PLANNED);
    // Each pass, one more cell gets through.
    let (_, asked) =
        run(&mut cells, |question, _| (usize::from(question.attempt) == question.index).then_some(Verdict::Open));
    let most = asked.iter().map(|(_, question)| question.attempt).max();
    assert_eq!(most, Some(3 + u8::try_from(EXTRA_PASSES).unwrap()));
}

#[test]
fn a_retry_that_finds_nothing_more_is_the_last_but_one() {
    let mut cells = Cells::new(20, PLANNED);
    let (_, asked) =
        run(&mut cells, |question, _| (question.index < 10 && question.attempt == 2).then_some(Verdict::Open));
    assert_eq!(asked.iter().map(|(_, question)| question.attempt).max(), Some(4));
}

#[test]
fn the_last_try_gives_a_round_trip_and_an_answer_to_an_earlier_one_does_not() {
    let mut cells = Cells::new(1, PLANNED);
    let first = cells.next(millis(0), PATIENCE).unwrap();
    let second = cells.next(millis(200), PATIENCE).unwrap();
    assert_eq!((first.attempt, second.attempt), (0, 1));
    let lesson = cells.answer(0, Some(0), Verdict::Filtered(Unreached::Host), millis(210)).unwrap();
    assert_eq!((lesson.round_trip, lesson.is_late, lesson.is_first), (None, false, true));
    let better = cells.answer(0, Some(1), Verdict::Open, millis(220)).unwrap();
    assert!(!better.is_first && better.is_late);
    assert_eq!(cells.answer(0, Some(1), Verdict::Closed, millis(230)), None, "open stays open");
    assert_eq!(cells.answer(0, Some(2), Verdict::Open, millis(230)), None, "never asked");
    assert_eq!(cells.answer(1, Some(0), Verdict::Open, millis(230)), None, "no such cell");
    let mut cells = Cells::new(1, PLANNED);
    cells.next(millis(5), PATIENCE).unwrap();
    let lesson = cells.answer(0, Some(0), Verdict::Open, millis(45)).unwrap();
    assert_eq!(lesson.round_trip, Some(Duration::from_millis(40)));
}

#[test]
fn silent_probes_free_their_place_after_their_flight() {
    let mut cells = Cells::new(4, PLANNED);
    for time in [0, 10, 20] {
        cells.next(millis(time), PATIENCE).unwrap();
    }
    cells.answer(1, Some(0), Verdict::Closed, millis(21));
    assert_eq!(cells.flying(), 2);
    cells.land(millis(25), PATIENCE.flight);
    assert_eq!(cells.flying(), 1);
    assert_eq!(cells.due_in(millis(25), PATIENCE), Some(Duration::ZERO), "the fourth was not asked yet");
}

#[test]
fn ticks_wrap_without_harm() {
    let late = Tick(u32::MAX);
    assert_eq!(Tick(1).since(late), Duration::from_micros(32));
    assert_eq!(Tick::at(Duration::from_secs(100_000)).since(Tick::at(Duration::from_secs(99_990))).as_secs(), 10);
}

proptest! {
    #[test]
    fn on_any_path_every_cell_is_asked_and_no_verdict_is_made_up(
        count in 1_usize..200, lost_percent in 0_u64..60, silent in proptest::collection::btree_set(0_usize..200, 0..20), seed: u64,
    ) {
        let mut cells = Cells::new(count, PLANNED);
        let mut drawn = seed;
        let (_, asked) = run(&mut cells, |question, _| {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let is_lost = (drawn >> 33) % 100 < lost_percent;
            (!is_lost && !silent.contains(&question.index)).then_some(Verdict::Open)
        });
        let ever: BTreeSet<usize> = asked.iter().map(|(_, question)| question.index).collect();
        prop_assert_eq!(ever.len(), count);
        prop_assert_eq!(cells.flying(), 0);
        for (index, verdict) in cells.verdicts().enumerate() {
            prop_assert!(verdict.is_none() || !silent.contains(&index));
        }
    }
}
