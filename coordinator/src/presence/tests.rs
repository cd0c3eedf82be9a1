//! When a node counts as there, why not, and what is remembered, on a clock that is handed in.

use super::*;
use proptest::prelude::*;
use protocol::Keypair;
use protocol::task::{RunId, TaskId};

const OFFLINE_AFTER: Duration = Duration::from_secs(35);
const NOON: Timestamp = Timestamp::from_millis(43_200_000);

fn node(seed: u8) -> NodeId {
    Keypair::from_seed(&[seed; 32]).node_id()
}

/// Heard at noon over a connection that stands.
fn presence() -> Presence {
    Presence {
        last_seen: NOON,
        boot: 1,
        sequence: 1,
        address: None,
        load_hundredths: 0,
        running: Vec::new(),
        spooled: 0,
        room: Default::default(),
        clock_offset_ms: 0,
        connected: true,
        lost: false,
        links: Vec::new(),
        through: None,
        has_left: false,
    }
}

fn at_work() -> Vec<RunningTask> {
    let task = TaskId { run: RunId(1), index: 0 };
    vec![RunningTask { task, fence: 1, cells_done: 0, cells_total: 1, hosts_found: 0 }]
}

fn after(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

#[test]
fn a_node_is_offline_after_three_missed_heartbeats_and_a_lost_connection_with_the_reason() {
    let near = presence();
    let lost = Presence { connected: false, lost: true, ..presence() };
    let far = Presence { connected: false, through: Some(node(9)), ..presence() };
    let stopped = Presence { has_left: true, ..presence() };
    let busy = Presence { running: at_work(), ..lost.clone() };
    let offline = Condition::Offline;
    for (name, presence, seconds, expected) in [
        ("near, heard", &near, 0, Condition::Online),
        ("near, three heartbeats missed, its pings answered", &near, 36, Condition::Online),
        ("near, mute for good", &near, 70, Condition::Online),
        ("near, mute for good", &near, 71, offline(Absence::HeartbeatsStopped)),
        ("its connection was lost a moment ago", &lost, 5, Condition::Online),
        ("lost", &lost, 35, Condition::Online),
        ("lost", &lost, 36, offline(Absence::ConnectionLost)),
        ("behind another node", &far, 35, Condition::Online),
        ("behind another node", &far, 36, offline(Absence::HeartbeatsStopped)),
        ("stopped", &stopped, 0, offline(Absence::Stopped)),
        ("at work", &busy, 35, Condition::Scanning),
        ("at work when it was lost", &busy, 36, offline(Absence::ConnectionLost)),
    ] {
        assert_eq!(presence.condition(after(seconds), OFFLINE_AFTER), expected, "{name} after {seconds} s");
    }
}

#[test]
fn a_node_is_back_after_an_absence_a_restart_or_a_lost_connection_and_else_just_heard_again() {
    let again = |change: fn(Presence) -> Presence, before: fn(Presence) -> Presence| {
        let presences = Presences::default();
        assert!(presences.heard(node(1), before(presence()), OFFLINE_AFTER), "the first word");
        let next = Presence { last_seen: after(10), sequence: 2, ..presence() };
        presences.heard(node(1), change(next), OFFLINE_AFTER)
    };
    assert!(!again(|next| next, |before| before));
    assert!(again(|next| Presence { boot: 2, ..next }, |before| before));
    assert!(again(|next| Presence { last_seen: after(36), ..next }, |before| before));
    assert!(again(|next| next, |before| Presence { connected: false, lost: true, ..before }));
    assert!(again(|next| next, |before| Presence { has_left: true, ..before }));
}

#[test]
fn a_node_is_given_work_while_it_is_heard_on_any_way() {
    let presences = Presences::default();
    let is_online = |seconds| presences.get(&node(1)).unwrap().is_online(after(seconds), OFFLINE_AFTER);
    presences.heard(node(1), Presence { connected: false, ..presence() }, OFFLINE_AFTER);
    assert_eq!([is_online(35), is_online(36)], [true, false], "through others");
    presences.set_connected(&node(1), true, None);
    assert!(is_online(35));
    presences.set_connected(&node(1), false, None);
    assert!(!is_online(1), "a lost connection is known before heartbeats are missed");
    let through_others = Presence { last_seen: after(1), sequence: 2, connected: false, ..presence() };
    assert!(presences.heard(node(1), through_others, OFFLINE_AFTER), "it is back");
    assert!(is_online(36));
}

#[test]
fn a_word_that_was_overtaken_on_a_longer_way_changes_nothing() {
    let presences = Presences::default();
    presences.heard(node(1), Presence { sequence: 8, has_left: true, ..presence() }, OFFLINE_AFTER);
    let late = Presence { sequence: 7, last_seen: after(1), ..presence() };
    assert!(!presences.heard(node(1), late, OFFLINE_AFTER));
    assert!(presences.get(&node(1)).unwrap().has_left, "it has said goodbye since");
    assert!(presences.heard(node(1), Presence { boot: 2, sequence: 1, ..presence() }, OFFLINE_AFTER));
    assert!(!presences.get(&node(1)).unwrap().has_left, "another start counts anew");
}

#[test]
fn the_last_words_outlive_the_coordinator() {
    let presences = Presences::default();
    presences.heard(node(1), presence(), OFFLINE_AFTER);
    presences.heard(node(2), Presence { has_left: true, ..presence() }, OFFLINE_AFTER);
    let kept = presences.last_words();
    let restarted = Presences::default();
    restarted.recall(kept.clone());
    assert_eq!(restarted.last_words(), kept);
    let absences = [1, 2].map(|seed| restarted.last_word(&node(seed)).map(|word| (word.at, word.absence())));
    assert_eq!(absences, [Some((NOON, Absence::NotHeard)), Some((NOON, Absence::Stopped))]);
    assert_eq!((restarted.last_word(&node(3)), restarted.get(&node(1))), (None, None));
    restarted.heard(node(2), Presence { last_seen: after(9), ..presence() }, OFFLINE_AFTER);
    let word = LastWord { node: node(2), at: after(9), has_left: false };
    assert_eq!(restarted.last_word(&node(2)), Some(word));
    assert_eq!(restarted.last_words().len(), 2);
}

#[test]
fn a_node_that_died_before_the_clock_was_set_back_is_offline_after_the_usual_time() {
    let (presences, node) = (Presences::default(), node(1));
    presences.heard(node, presence(), OFFLINE_AFTER);
    let set_back = Timestamp::from_millis(3_600_000);
    presences.clock_was_set(set_back);
    let is_online =
        |after| presences.get(&node).unwrap().is_online(set_back.plus(Duration::from_secs(after)), OFFLINE_AFTER);
    assert_eq!([is_online(0), is_online(35), is_online(36)], [true, true, false]);
    presences.clock_was_set(NOON);
    assert!(!is_online(36), "a clock that is set forward makes nobody seen");
}

proptest! {
    #[test]
    fn silence_never_brings_a_node_back(
        connected in any::<bool>(), lost in any::<bool>(), has_left in any::<bool>(), busy in any::<bool>(),
        first in 0u64..200, more in 0u64..200,
    ) {
        let running = if busy { at_work() } else { Vec::new() };
        let presence = Presence { connected, lost: lost && !connected, has_left, running, ..presence() };
        let (early, late) = (after(first), after(first + more));
        let (early, late) = (presence.condition(early, OFFLINE_AFTER), presence.condition(late, OFFLINE_AFTER));
        prop_assert!(early == late || early.is_online() && !late.is_online(), "{early:?}, then {late:?}");
        if presence.is_online(after(first), OFFLINE_AFTER) {
            prop_assert!(early.is_online(), "a fresh word counts, whatever the connection");
        }
    }
}

#[test]
fn of_a_node_that_is_no_member_any_more_nothing_is_remembered() {
    let presences = Presences::default();
    let word = |seed| LastWord { node: node(seed), at: NOON, has_left: false };
    presences.recall(vec![word(1), word(2)]);
    presences.heard(node(3), presence(), OFFLINE_AFTER);
    presences.heard(node(4), presence(), OFFLINE_AFTER);
    presences.keep(|kept| [node(2), node(4)].contains(kept));
    let known = [1, 2, 3, 4].map(|seed| presences.last_word(&node(seed)).is_some());
    assert_eq!(known, [false, true, false, true]);
    assert!(presences.get(&node(3)).is_none());
}
