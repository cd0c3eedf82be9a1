//! One key on one machine is never alarming, whatever happens to its messages; on two it soon is.

use super::*;
use proptest::prelude::*;
use protocol::MeshId;
use protocol::envelope::Kind;

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const TEN: Duration = Duration::from_secs(10);

/// A machine that holds the key, with a clock that may be off.
#[derive(Clone, Debug)]
struct Machine {
    boot: u64,
    sequence: u64,
    off_ms: i64,
    salt: u64,
}

impl Machine {
    fn new(boot: u64, salt: u64) -> Self {
        Self { boot, sequence: 0, off_ms: 0, salt }
    }

    /// What it signs at `time`, and the mark of it.
    fn writes(&mut self, time: Timestamp) -> (Header, u64) {
        self.sequence += 1;
        let header = Header {
            kind: Kind::Presence,
            mesh: MeshId::from_bytes([1; 32]),
            sender: NodeId::from_bytes([2; 32]),
            boot: self.boot,
            sequence: self.sequence,
            issued: Timestamp::from_millis(time.as_millis().saturating_add_signed(self.off_ms)),
            time_to_live: Duration::from_secs(60),
            epoch: 1,
        };
        (header, (self.salt << 40) + (self.boot << 20) + self.sequence)
    }
}

/// As [`protocol::envelope::Envelope::verify`] judges ages.
fn is_in_time(header: &Header, now: Timestamp) -> bool {
    now <= header.issued.plus(header.time_to_live) && header.issued <= now.plus(MAX_CLOCK_LEAD)
}

/// Presences of both machines every ten seconds; after how many the alarm is there.
fn rounds_to_alarm(first: &mut Machine, second: &mut Machine) -> Option<u32> {
    let mut twins = Twins::default();
    // The first one was alone for a while.
    for round in 0..100 {
        let (header, mark) = first.writes(NOON.plus(TEN * round));
        assert!(!twins.hear(&header, mark, NOON.plus(TEN * round)));
    }
    (0..60).find(|round| {
        let now = NOON.plus(TEN * (100 + round));
        let both = [first.writes(now), second.writes(now)];
        both.iter().any(|(header, mark)| twins.hear(header, *mark, now))
    })
}

#[test]
fn a_copied_folder_is_noticed_at_once_when_both_count_the_same_start() {
    assert_eq!(rounds_to_alarm(&mut Machine::new(5, 1), &mut Machine::new(5, 2)), Some(0));
    let mut behind = Machine { sequence: 99, ..Machine::new(5, 2) };
    assert_eq!(rounds_to_alarm(&mut Machine::new(5, 1), &mut behind), Some(0));
}

#[test]
fn a_copied_folder_that_started_more_often_is_noticed_when_the_other_goes_on_speaking() {
    let rounds = rounds_to_alarm(&mut Machine::new(5, 1), &mut Machine::new(6, 2)).unwrap();
    assert!((12..=14).contains(&rounds), "as soon as no clock explains it: {rounds}");
    assert_eq!(rounds_to_alarm(&mut Machine::new(6, 1), &mut Machine::new(5, 2)), Some(0));
}

#[test]
fn each_proof_is_told_once_and_who_is_forgotten_begins_anew() {
    let (mut twins, node) = (Twins::default(), NodeId::from_bytes([2; 32]));
    let (mut first, mut second) = (Machine::new(5, 1), Machine::new(5, 2));
    for _ in 0..2 {
        for machine in [&mut first, &mut second] {
            let (header, mark) = machine.writes(NOON);
            twins.hear(&header, mark, NOON);
        }
        assert_eq!([twins.take_found(), twins.take_found()], [Some(node), None]);
    }
    twins.keep(|_| false);
    assert!(twins.nodes.is_empty());
    let (header, mark) = first.writes(NOON);
    assert!(!twins.hear(&header, mark, NOON), "one machine is left");
}

#[test]
fn what_is_kept_of_a_node_is_bounded() {
    let (mut twins, mut machine) = (Twins::default(), Machine::new(1, 1));
    for round in 0..5_000 {
        let (header, mark) = machine.writes(NOON.plus(TEN * round));
        assert!(!twins.hear(&header, mark, NOON.plus(TEN * round)));
    }
    let heard = &twins.nodes[&NodeId::from_bytes([2; 32])];
    assert_eq!((heard.marks.len(), heard.steps.len()), (MARKS, STEPS));
}

proptest! {
    /// Letters are late, lost, repeated and out of order; the machine restarts, and its clock is off and is set.
    #[test]
    fn one_machine_is_never_alarming(
        steps in proptest::collection::vec((0u8..12, 0u64..60_000, 0usize..40, -60_000i64..120_000), 1..400),
    ) {
        let (mut twins, mut machine, mut now) = (Twins::default(), Machine::new(1, 1), NOON);
        let mut written: Vec<(Header, u64)> = Vec::new();
        for (what, wait, back, off) in steps {
            now = now.plus(Duration::from_millis(wait));
            match what {
                0 => machine = Machine { boot: machine.boot + 1, sequence: 0, ..machine },
                1 => machine.off_ms = off,
                _ => written.push(machine.writes(now)),
            }
            // Whoever stands between hands over what he likes, as often as he likes.
            let handed = written.len().checked_sub(1 + back.min(written.len().saturating_sub(1)));
            if let Some((header, mark)) = handed.and_then(|at| written.get(at)) && is_in_time(header, now) {
                prop_assert!(!twins.hear(header, *mark, now));
            }
        }
    }
}
