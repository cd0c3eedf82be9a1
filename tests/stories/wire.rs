//! The wire that benches scan over treats frames as a link of that delay, loss, rate and queue does.

#[path = "../../benches/paths/chance.rs"]
mod chance;
#[path = "../../benches/paths/link.rs"]
mod link;

use link::{Counts, Lane, Link};
use std::time::{Duration, Instant};

const FRAME: [u8; 125] = [7; 125];

/// When each of `count` frames arrives that are sent at the same time, counted from then.
fn arrivals(lane: &mut Lane, count: usize, sent: Instant) -> Vec<Duration> {
    for _ in 0..count {
        lane.take(&FRAME, sent);
    }
    let mut times = Vec::new();
    while let Some(next) = lane.next() {
        assert!(next == sent || lane.arrived(next - Duration::from_nanos(1)).is_none(), "a frame came too early");
        assert_eq!(lane.arrived(next).unwrap(), FRAME);
        times.push(next - sent);
    }
    times
}

#[test]
fn a_wire_delays_paces_and_drops_what_its_queue_cannot_hold() {
    let now = Instant::now();
    let milliseconds = Duration::from_millis;
    let delayed = Link { delay: milliseconds(20), ..Link::clear() };
    assert_eq!(arrivals(&mut Lane::new(delayed, 1, now), 3, now), [milliseconds(20); 3]);

    // 125 bytes at 10 Mbit/s are 100 microseconds.
    let narrow = Link { bits_per_second: Some(10_000_000), queue: 200, ..Link::clear() };
    let mut lane = Lane::new(narrow, 1, now);
    let times = arrivals(&mut lane, 1_000, now);
    let expected: Vec<Duration> = (1..=200).map(|turn| Duration::from_micros(100 * turn)).collect();
    assert_eq!(times, expected);
    assert_eq!(lane.counts, Counts { frames: 1_000, bytes: 125_000, dropped: 800, ..Counts::default() });
    // When half of them have left there is room for as many again, and they wait for their turn.
    let (mut lane, later) = (Lane::new(narrow, 1, now), now + milliseconds(10));
    (0..200).for_each(|_| lane.take(&FRAME, now));
    let left = std::iter::from_fn(|| lane.arrived(later)).count();
    assert_eq!((left, arrivals(&mut lane, 150, later).len(), lane.counts.dropped), (100, 200, 50));
}

#[test]
fn a_wire_loses_as_many_frames_as_it_is_told_and_the_same_ones_with_the_same_seed() {
    let lossy = Link { loss_ppm: 10_000, ..Link::clear() };
    let lost = |seed| {
        let now = Instant::now();
        let mut lane = Lane::new(lossy, seed, now);
        let kept: Vec<bool> = (0..50_000).map(|_| arrivals(&mut lane, 1, now).len() == 1).collect();
        assert_eq!(usize::try_from(lane.counts.lost).unwrap(), kept.iter().filter(|kept| !**kept).count());
        kept
    };
    let first = lost(1);
    let gone = first.iter().filter(|kept| !**kept).count();
    assert!((400..600).contains(&gone), "{gone} of 50000");
    assert_eq!(first, lost(1));
    assert_ne!(first, lost(2));
}
