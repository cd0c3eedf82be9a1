//! The delivery against a coordinator of a few lines that loses what it likes.

use super::*;
use proptest::prelude::*;
use protocol::task::{RunId, TaskId};
use std::collections::BTreeSet;

fn key(index: u32) -> ResultKey {
    ResultKey { task: TaskId { run: RunId(1), index }, fence: 1 }
}

fn timing() -> Timing {
    Timing { return_spread: Duration::from_secs(30), ..Timing::default() }
}

/// Everything there is to send at `now`, each taken by a neighbour at once or only handed over.
fn drain(delivery: &mut Delivery, ids: &mut u64, now: Instant, take: bool) -> Vec<Parcel> {
    let mut sent = Vec::new();
    while let Some(parcel) = delivery.next(now) {
        *ids += 1;
        delivery.sent(parcel, LetterId(*ids));
        if take {
            delivery.letter_taken(LetterId(*ids), now);
        }
        sent.push(parcel);
    }
    sent
}

#[test]
fn a_result_is_offered_sent_offered_again_and_forgotten_on_receipt() {
    let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
    delivery.add(key(1), 1, now);
    assert_eq!(drain(&mut delivery, &mut ids, now, true), [Parcel::Offer(key(1))]);
    delivery.wanted(key(1), vec![0, 1], now);
    let expected = [Parcel::Chunk(key(1), 0), Parcel::Chunk(key(1), 1), Parcel::Offer(key(1))];
    assert_eq!(drain(&mut delivery, &mut ids, now, true), expected);
    assert!(delivery.remove(key(1)));
    assert!(!delivery.remove(key(1)));
    assert_eq!((delivery.next(now), delivery.wake_at()), (None, None));
}

#[test]
fn four_pieces_are_on_their_way_at_once() {
    let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
    delivery.add(key(1), 1, now);
    drain(&mut delivery, &mut ids, now, true);
    delivery.wanted(key(1), (0..9).collect(), now);
    assert_eq!(drain(&mut delivery, &mut ids, now, false).len(), 4);
    delivery.letter_taken(LetterId(ids), now);
    assert_eq!(drain(&mut delivery, &mut ids, now, false), [Parcel::Chunk(key(1), 4)]);
}

#[test]
fn four_results_are_under_way_at_once() {
    let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
    (0..9).for_each(|index| delivery.add(key(index), 1, now));
    assert_eq!(drain(&mut delivery, &mut ids, now, true), (0..4).map(|i| Parcel::Offer(key(i))).collect::<Vec<_>>());
    assert!(delivery.wake_at() > Some(now), "nothing to do before an answer or its time is over");
    delivery.remove(key(2));
    assert_eq!(drain(&mut delivery, &mut ids, now, true), [Parcel::Offer(key(4))]);
}

#[test]
fn silence_and_loss_slow_it_down_but_never_end_it() {
    let (mut delivery, mut ids, mut now) = (Delivery::new(timing()), 0, Instant::now());
    delivery.add(key(1), 1, now);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(drain(&mut delivery, &mut ids, now, true), [Parcel::Offer(key(1))]);
        now = delivery.wake_at().unwrap();
        assert!(!delivery.take_unanswered());
        assert_eq!(delivery.next(now), None, "given up, to be tried later");
        assert!(delivery.take_unanswered(), "taken, but not answered");
        let at = delivery.wake_at().unwrap();
        waits.push(at - now);
        now = at;
    }
    assert!(waits[0] <= Duration::from_secs(1) && waits[11] >= Duration::from_secs(30), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(60)));
}

#[test]
fn a_coordinator_that_wants_the_same_for_ever_is_served_ever_slower() {
    let (mut delivery, mut ids, mut now) = (Delivery::new(timing()), 0, Instant::now());
    delivery.add(key(1), 1, now);
    let start = now;
    for _ in 0..10 {
        assert_eq!(drain(&mut delivery, &mut ids, now, true).first(), Some(&Parcel::Offer(key(1))));
        delivery.wanted(key(1), vec![0], now);
        assert_eq!(drain(&mut delivery, &mut ids, now, true).first(), Some(&Parcel::Chunk(key(1), 0)));
        now = now.max(delivery.wake_at().unwrap());
        delivery.results.values_mut().for_each(|shipment| {
            if matches!(shipment.stage, Stage::Offered(_)) {
                shipment.stage = Stage::Waiting(now);
            }
        });
    }
    assert!(now - start > Duration::from_secs(60), "{:?}", now - start);
}

#[test]
fn a_few_results_are_offered_at_once_and_many_or_after_long_within_the_spread() {
    let minute = Duration::from_secs(60);
    for (count, away, at_once) in [(4, Duration::ZERO, true), (5, Duration::ZERO, false), (1, minute, false)] {
        let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
        (0..count).for_each(|index| delivery.add(key(index), 1, now));
        drain(&mut delivery, &mut ids, now, false);
        delivery.reconnected(away, now);
        let starts: BTreeSet<Instant> = delivery.results.values().map(Shipment::time).collect();
        assert_eq!(starts.len(), 1, "one start for all, so that small ones still go first");
        assert_eq!(starts.contains(&now), at_once, "{count} results after {away:?}");
        let offered = drain(&mut delivery, &mut ids, now + timing().return_spread, true);
        assert_eq!(offered.len(), usize::try_from(count).unwrap().min(AT_ONCE));
    }
}

#[test]
fn small_results_go_first_and_a_huge_one_does_not_starve() {
    let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
    delivery.add(key(0), 1 << 30, now);
    let mut order = Vec::new();
    for index in 1..40 {
        // Small ones keep coming; each is done when it was offered.
        delivery.add(key(index), 10, now + Duration::from_millis(index.into()));
        delivery.add(key(index + 100), 20, now + Duration::from_millis(index.into()));
        for parcel in drain(&mut delivery, &mut ids, now + Duration::from_secs(1), true) {
            order.push(parcel.key());
            delivery.remove(parcel.key());
        }
    }
    assert_eq!(order[..2], [key(1), key(101)], "the huge one waits though it came first");
    let turn = order.iter().position(|of| *of == key(0)).unwrap();
    assert!(turn < usize::try_from(FAIR_TURN).unwrap(), "turn {turn}");
}

#[test]
fn pieces_of_all_results_under_way_take_turns() {
    let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
    delivery.add(key(0), 1 << 24, now);
    drain(&mut delivery, &mut ids, now, true);
    delivery.wanted(key(0), (0..80).collect(), now);
    delivery.add(key(1), 400_000, now);
    assert_eq!(drain(&mut delivery, &mut ids, now, false)[0], Parcel::Offer(key(1)), "before the pieces");
    (1..=ids).for_each(|id| delivery.letter_taken(LetterId(id), now));
    delivery.wanted(key(1), (0..3).collect(), now);
    let sent: Vec<ResultKey> = drain(&mut delivery, &mut ids, now, false).into_iter().map(Parcel::key).collect();
    assert_eq!(sent, [key(1), key(0), key(1), key(0)]);
}

#[test]
fn a_busy_coordinator_is_asked_again_later_and_others_get_the_turn() {
    let (mut delivery, mut ids, now) = (Delivery::new(timing()), 0, Instant::now());
    (0..5).for_each(|index| delivery.add(key(index), 1, now));
    assert_eq!(drain(&mut delivery, &mut ids, now, true).len(), AT_ONCE);
    delivery.wanted(key(0), Vec::new(), now);
    assert_eq!(drain(&mut delivery, &mut ids, now, true), [Parcel::Offer(key(4))]);
    let mut waits = Vec::new();
    for failures in 1..8 {
        delivery.results.retain(|of, _| *of == key(0));
        let at = delivery.wake_at().unwrap();
        assert_eq!(drain(&mut delivery, &mut ids, at, true), [Parcel::Offer(key(0))]);
        assert_eq!(delivery.results[&key(0)].failures, failures);
        delivery.wanted(key(0), Vec::new(), at);
        waits.push(delivery.wake_at().unwrap() - at);
    }
    assert!(waits[0] <= Duration::from_secs(2) && waits[6] >= Duration::from_secs(30), "{waits:?}");
}

proptest! {
    #[test]
    fn whatever_is_lost_every_piece_arrives(chunks in 1u32..30, fate in proptest::collection::vec(0u8..4, 1..60)) {
        let (mut delivery, mut ids, mut now) = (Delivery::new(timing()), 0u64, Instant::now());
        let mut fate = fate.into_iter().chain(std::iter::repeat(3));
        let mut have = BTreeSet::new();
        delivery.add(key(1), 1, now);
        for _ in 0..10_000 {
            let Some(parcel) = delivery.next(now) else {
                match delivery.wake_at() {
                    Some(at) => now = now.max(at),
                    None => break,
                }
                continue;
            };
            ids += 1;
            match fate.next().unwrap() {
                0 => { delivery.unsent(parcel, now); continue }
                1 => { delivery.sent(parcel, LetterId(ids)); delivery.letter_lost(LetterId(ids), now); continue }
                2 => { delivery.sent(parcel, LetterId(ids)); delivery.letter_taken(LetterId(ids), now); continue }
                _ => { delivery.sent(parcel, LetterId(ids)); delivery.letter_taken(LetterId(ids), now) }
            }
            match parcel {
                Parcel::Chunk(_, index) => { have.insert(index); }
                Parcel::Offer(key) => {
                    let missing: Vec<u32> = (0..chunks).filter(|index| !have.contains(index)).collect();
                    if missing.is_empty() { delivery.remove(key); } else { delivery.wanted(key, missing, now) }
                }
            }
        }
        prop_assert_eq!(have.len(), chunks as usize);
        prop_assert_eq!(delivery.results.len(), 0);
    }
}
