//! Dials, waits and swaps, with time and lots passed in.

use super::*;

const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, number], 9430))
}

/// Knows the addresses of `numbers`; 100 is the coordinator's.
fn dialler(numbers: impl IntoIterator<Item = u8>, now: Instant) -> Dialler {
    let mut dialler = Dialler::new(FIRST, MOST, now);
    numbers.into_iter().for_each(|number| dialler.learn(node(number), &[address(number)], now));
    dialler
}

fn standing(key: &NodeId) -> Standing {
    if *key == node(100) { Standing::Coordinator } else { Standing::Other }
}

fn due(dialler: &mut Dialler, now: Instant) -> Vec<NodeId> {
    dialler.due(now, 7, standing).into_iter().map(|(key, _)| key).collect()
}

/// Connects whoever is dialled.
fn connect(dialler: &mut Dialler, now: Instant) -> Vec<NodeId> {
    let due = due(dialler, now);
    due.iter().for_each(|key| dialler.connected(*key, true, None, now));
    due
}

#[tokio::test]
async fn waits_double_up_to_the_longest_and_start_anew_after_a_connection() {
    let mut now = Instant::now();
    let mut dialler = dialler([100], now);
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(dialler.due(now, 0, standing), [(node(100), vec![address(100)])]);
        assert_eq!((due(&mut dialler, now), dialler.wake()), (vec![], None));
        dialler.lost(&node(100), now, 128);
        due(&mut dialler, now);
        let next = dialler.wake().unwrap();
        waits.push((next - now).as_secs());
        now = next;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(due(&mut dialler, now), [node(100)]);
    dialler.connected(node(100), true, Some(address(100)), now);
    assert_eq!((due(&mut dialler, now), dialler.wake()), (vec![], None));
    dialler.lost(&node(100), now, 0);
    due(&mut dialler, now);
    assert_eq!(dialler.wake(), Some(now + Duration::from_millis(750)));
}

#[tokio::test]
async fn each_address_waits_for_itself() {
    let now = Instant::now();
    let mut dialler = Dialler::new(FIRST, MOST, now);
    dialler.remember(node(100), &[address(1)], now);
    let dialled = |dialler: &mut Dialler, at| -> Vec<SocketAddr> {
        dialler.due(at, 0, standing).into_iter().flat_map(|(_, addresses)| addresses).collect()
    };
    assert_eq!(dialled(&mut dialler, now), [address(1)]);
    dialler.lost(&node(100), now, 128);
    dialler.learn(node(100), &[address(2)], now);
    assert_eq!(dialled(&mut dialler, now), [address(2)], "a card brings a new address, the old one still waits");
    dialler.lost(&node(100), now, 128);
    assert_eq!(dialled(&mut dialler, now + FIRST), [address(1), address(2)]);
    dialler.connected(node(100), true, Some(address(2)), now);
    dialler.lost(&node(100), now, 128);
    assert_eq!(dialled(&mut dialler, now + FIRST), [address(2)], "the one that led there is tried first");
    dialler.lost(&node(100), now, 128);
    dialler.learn(node(100), &[], now);
    assert_eq!(dialled(&mut dialler, now + MOST), [address(1)], "the owner's word stays");
}

#[tokio::test]
async fn others_that_are_out_of_reach_are_tried_ever_more_seldom() {
    let mut now = Instant::now();
    let mut dialler = dialler([1], now);
    let mut longest = Duration::ZERO;
    for _ in 0..14 {
        assert_eq!(due(&mut dialler, now), [node(1)]);
        dialler.lost(&node(1), now, 128);
        due(&mut dialler, now);
        let next = dialler.wake().unwrap();
        longest = longest.max(next - now);
        now = next;
    }
    assert_eq!(longest, MOST * 20);
}

#[tokio::test]
async fn who_is_outside_waits_for_a_roster() {
    let now = Instant::now();
    let mut dialler = dialler([1], now);
    assert_eq!(dialler.due(now, 0, |_| Standing::Outside), []);
    assert_eq!(dialler.wake(), None);
    dialler.look_again(now);
    assert_eq!(dialler.wake(), Some(now));
    assert_eq!(due(&mut dialler, now), [node(1)]);
    dialler.lost(&node(1), now, 0);
    dialler.forget_card(&node(1), now);
    assert_eq!(due(&mut dialler, now + MOST), [], "its card is gone");
    assert!(dialler.known.is_empty());
}

#[tokio::test]
async fn six_others_and_always_the_coordinator_are_dialled() {
    let now = Instant::now();
    let mut dialler = dialler((1..=20).chain([100]), now);
    let first = connect(&mut dialler, now);
    assert_eq!((first.len(), first[0]), (7, node(100)));
    assert_eq!(due(&mut dialler, now + PACE), [], "six others are enough");
    dialler.lost(&node(100), now, 0);
    assert_eq!(due(&mut dialler, now + FIRST), [node(100)]);
    let other_lot = self::dialler((1..=20).chain([100]), now).due(now, 8, standing);
    assert_ne!(other_lot.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), first, "the lot decides");
}

#[tokio::test]
async fn while_connections_are_few_dials_go_side_by_side_and_then_one_by_one() {
    let now = Instant::now();
    let mut dialler = dialler(1..=40, now);
    assert_eq!(due(&mut dialler, now).len(), 6);
    assert_eq!((due(&mut dialler, now), dialler.wake()), (vec![], Some(now + HASTE)));
    assert_eq!(due(&mut dialler, now + HASTE).len(), 6, "the first six may hang");
    assert_eq!(due(&mut dialler, now + HASTE * 2).len(), 4);
    assert_eq!((due(&mut dialler, now + HASTE * 3), dialler.wake()), (vec![], None), "sixteen at once");
    // Four of the others dial us; that is enough, so the rest comes at leisure.
    let now = now + HASTE * 4;
    let busy: Vec<NodeId> = (1..=40).map(node).filter(|key| dialler.known[key].state == State::Dialling).collect();
    busy.iter().for_each(|key| dialler.lost(key, now, 0));
    let free = (1..=40).map(node).filter(|key| !busy.contains(key)).take(4).collect::<Vec<_>>();
    free.iter().for_each(|key| dialler.connected(*key, false, None, now));
    assert_eq!(connect(&mut dialler, now).len(), 1);
    assert_eq!((due(&mut dialler, now + HASTE), dialler.wake()), (vec![], Some(now + PACE)));
    assert_eq!(connect(&mut dialler, now + PACE).len(), 1);
    // Three are lost: fewer than four are left, and none of them waits.
    free.iter().take(3).for_each(|key| dialler.lost(key, now + PACE, 255));
    assert!(due(&mut dialler, now + PACE * 2).len() > 1);
}

#[tokio::test]
async fn once_a_minute_the_worst_gives_way_to_a_new_one() {
    let start = Instant::now();
    let mut dialler = dialler((1..=7).chain([100]), start);
    let first = connect(&mut dialler, start);
    let badness = |key: &NodeId| (u32::from(*key == first[2]), Duration::from_millis(first[3].as_bytes()[0].into()));
    assert_eq!(dialler.worst(start + SWAP_EVERY, None, badness), None, "nobody goes before another has come");
    assert_eq!(due(&mut dialler, start + SWAP_EVERY - FIRST), []);
    let now = start + SWAP_EVERY;
    let new = connect(&mut dialler, now);
    assert_eq!((new.len(), first.contains(&new[0])), (1, false));
    assert_eq!(dialler.worst(now, None, badness), Some(first[2]), "its pings are not answered");
    assert_ne!(dialler.worst(now, Some(first[2]), badness), Some(first[2]), "the way to the coordinator stays");
    let slow = |key: &NodeId| (0, Duration::from_millis(u64::from(*key == first[4]) + u64::from(*key == new[0]) * 9));
    assert_eq!(dialler.worst(now, None, slow), Some(first[4]), "a new one is not judged");
    dialler.lost(&first[2], now, 0);
    assert_eq!(dialler.worst(now + SETTLED, None, badness), None);
    assert_eq!(due(&mut dialler, now + SETTLED), [], "the next swap is a minute away");
    assert_eq!(due(&mut dialler, now + SWAP_EVERY), [first[2]]);
}

#[tokio::test]
async fn a_failed_swap_costs_no_connection() {
    let start = Instant::now();
    let mut dialler = dialler(1..=7, start);
    let first = connect(&mut dialler, start);
    let now = start + SWAP_EVERY;
    let new = due(&mut dialler, now);
    dialler.lost(&new[0], now, 0);
    assert_eq!((first.len(), dialler.count().connected), (6, 6));
    assert_eq!(dialler.worst(now, None, |_| (0, FIRST)), None);
}

#[tokio::test]
async fn of_two_connections_the_one_that_is_left_counts() {
    let now = Instant::now();
    let mut dialler = dialler(1..=7, now);
    let first = connect(&mut dialler, now);
    dialler.left(&first[0], false);
    assert_eq!(dialler.count().dialled, 5);
    assert_eq!(connect(&mut dialler, now + PACE).len(), 1, "one more may be dialled");
}
