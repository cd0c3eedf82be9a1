//! The window against paths that are worked out, not measured: a link with a rate, a delay and a queue.

use super::*;
use std::collections::VecDeque;

/// One narrow link there and back.
struct Path {
    /// Packets a second.
    rate: u64,
    delay: Duration,
    queue: usize,
    /// One in so many is lost on the way; 0 is none.
    loses_one_in: u64,
}

/// What a run over a path showed.
#[derive(Debug)]
struct Run {
    took: Duration,
    lost: u64,
    /// Of these, once a fifth was answered.
    lost_later: u64,
    window: u32,
}

/// Sends `count` packets over `path`; a lost one is sent again 160 ms later.
fn run(path: &Path, count: u64) -> Run {
    let step = Duration::from_micros(100);
    let mut flow = Flow::new(256, 64, 16_384);
    let (mut now, mut lost, mut lost_later, mut answered, mut sent) = (Duration::ZERO, 0, 0, 0, 0);
    // Packets in the queue with the time they were sent, answers on their way, what is lost and not yet given up, and
    // what is to be sent again.
    let (mut queue, mut back) = (VecDeque::new(), VecDeque::new());
    let (mut gone, mut again): (VecDeque<Duration>, VecDeque<Duration>) = Default::default();
    let (mut credit, mut fresh, mut flying) = (0, 0, 0_u32);
    while answered < count {
        now += step;
        assert!(now < Duration::from_secs(120), "{answered} of {count} after {now:?}");
        credit = (credit + path.rate * 100).min(10_000_000);
        while credit >= 1_000_000 {
            credit -= 1_000_000;
            let Some(packet) = queue.pop_front() else { break };
            back.push_back((now + path.delay, packet));
        }
        while let Some((_, (left, is_retry))) = back.pop_front_if(|(at, _)| *at <= now) {
            (answered, flying) = (answered + 1, flying.saturating_sub(1));
            if is_retry { flow.answered_late(now) } else { flow.answered(now, now - left, path.delay) }
        }
        while gone.pop_front_if(|at| *at <= now).is_some() {
            flying = flying.saturating_sub(1);
        }
        for _ in 0..256 {
            // Asked before each packet, as the scanner does until nothing may leave.
            if flow.room(now, flying) == 0 {
                break;
            }
            let is_retry = again.pop_front_if(|at| *at <= now).is_some();
            if !is_retry && fresh == count {
                break;
            }
            flow.sent(1);
            fresh += u64::from(!is_retry);
            sent += 1;
            let is_lost = path.loses_one_in > 0 && sent % path.loses_one_in == 0;
            flying += 1;
            if queue.len() >= path.queue || is_lost {
                lost += 1;
                lost_later += u64::from(answered > count / 5);
                gone.push_back(now + path.delay * 2 + Duration::from_millis(10));
                again.push_back(now + Duration::from_millis(160));
            } else {
                queue.push_back((now, is_retry));
            }
        }
    }
    Run { took: now, lost, lost_later, window: flow.window }
}

#[test]
fn a_narrow_link_is_kept_busy_and_its_queue_is_not_flooded() {
    let path = Path { rate: 20_000, delay: Duration::from_micros(300), queue: 200, loses_one_in: 0 };
    let run = run(&path, 65_535);
    assert!(run.took < Duration::from_millis(3_277 * 115 / 100), "{run:?}");
    assert!(run.lost < 1_000, "{run:?}");
}

#[test]
fn a_long_fast_path_is_filled_within_a_few_round_trips_whatever_it_loses() {
    let path = Path { rate: 200_000, delay: Duration::from_millis(40), queue: 2_000, loses_one_in: 50 };
    let run = run(&path, 65_535);
    assert!(run.took < Duration::from_millis(1_500), "{run:?}");
    assert!(run.window > 3_000, "{run:?}");
}

#[test]
fn a_slow_device_soon_gets_no_more_than_it_answers() {
    let path = Path { rate: 500, delay: Duration::from_millis(2), queue: 100, loses_one_in: 0 };
    let run = run(&path, 5_000);
    assert!(run.took < Duration::from_millis(11_500), "{run:?}");
    assert_eq!(run.lost_later, 0, "{run:?}");
}

#[test]
fn the_rate_holds_over_any_ten_milliseconds_and_a_pause_saves_nothing_up() {
    let mut bucket = Bucket::new(Some(10_000));
    let mut total = 0;
    for step in 0..1_000_u64 {
        let now = Duration::from_millis(step);
        let room = bucket.room(now);
        assert!(room <= 100, "{room} at once");
        bucket.take(room);
        total += room;
    }
    assert!((9_900..=10_100).contains(&total), "{total} in a second");
    assert_eq!(bucket.room(Duration::from_secs(60)), 100);
    let mut slow = Bucket::new(Some(2));
    assert_eq!(slow.room(Duration::ZERO), 1);
    slow.take(1);
    assert_eq!((slow.room(Duration::from_millis(499)), slow.room(Duration::from_millis(501))), (0, 1));
    assert_eq!(Bucket::new(None).room(Duration::ZERO), u32::MAX);
}
