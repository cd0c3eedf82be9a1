//! A scan over weeks in which the clock jumps, people edit and the coordinator restarts.

use super::*;
use crate::scan::ScanDraft;
use proptest::prelude::*;
use protocol::codec::{decode, encode};
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: u64 = 60;

/// An interval in minutes, or a cron expression of Berlin.
fn definition(cadence: &str, scheduled: bool) -> ScanDefinition {
    let mut draft = ScanDraft { name: "Office".into(), targets: "127.0.10.1".into(), scheduled, ..Default::default() };
    match cadence.contains(' ') {
        true => (draft.cron, draft.zone) = (cadence.into(), "Europe/Berlin".into()),
        false => draft.interval = cadence.into(),
    }
    draft.check().unwrap()
}

fn scan(cadence: &str, now: Timestamp) -> Scan {
    Scan::new(ScanId(1), definition(cadence, true), "ada".into(), now)
}

fn at(minutes: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + minutes * MINUTE * 1_000)
}

#[test]
fn a_scan_is_due_once_for_each_slot_and_missed_ones_are_caught_up_once() {
    let mut scan = scan("10", at(0));
    assert_eq!((scan.next_due, scan.is_due(at(9))), (Some(at(10)), false));
    assert!(scan.is_due(at(10)) && !scan.is_due(at(10)));
    assert_eq!((scan.next_due, scan.last_due), (Some(at(20)), Some(at(10))));
    assert!(scan.is_due(at(57)) && !scan.is_due(at(57)), "three slots were missed");
    assert_eq!((scan.next_due, scan.last_due), (Some(at(60)), Some(at(20))));
    assert_eq!(scan.coming(3), [at(60), at(70), at(80)]);
}

#[test]
fn only_what_decides_over_the_next_run_moves_it() {
    let mut scan = scan("10", at(0));
    let renamed = ScanDraft { name: "Lab".into(), ..ScanDraft::from(&scan.definition) }.check().unwrap();
    scan.redefine(renamed, at(7));
    assert_eq!((scan.next_due, scan.definition.name().as_str()), (Some(at(10)), "Lab"));
    scan.redefine(definition("60", true), at(7));
    assert_eq!(scan.next_due, Some(at(67)));
    scan.redefine(definition("60", false), at(8));
    assert_eq!((scan.next_due, scan.is_due(at(500))), (None, false));
    scan.redefine(definition("60", true), at(500));
    assert_eq!(scan.next_due, Some(at(560)));
    scan.set_active(false, at(510));
    assert_eq!((scan.next_due, scan.is_due(at(900))), (None, false));
    scan.set_active(true, at(900));
    assert_eq!(scan.next_due, Some(at(960)));
}

#[test]
fn a_clock_that_was_years_ahead_for_a_while_stalls_nothing() {
    let mut scan = scan("1440", at(0));
    let year = 366 * 24 * 60;
    assert!(scan.is_due(at(year + 7)), "what seems missed is caught up once");
    assert!(scan.is_due(at(year + 1440)), "and the clock stays wrong for a day");
    assert!(!scan.is_due(at(600)));
    assert_eq!(scan.next_due, Some(at(1440)));
    assert!(scan.is_due(at(1440)) && !scan.is_due(at(1441)));
    assert_eq!(scan.next_due, Some(at(2880)));
}

#[derive(Clone, Debug)]
enum Step {
    /// The clock goes on, in seconds.
    Pass(u64),
    /// The clock is set, in seconds.
    Ahead(u64),
    Back(u64),
    Edit(&'static str),
    Toggle,
    Activate(bool),
    Restart,
}

fn steps() -> impl Strategy<Value = Step> {
    let span = || prop_oneof![0..90 * MINUTE, 0..30 * 3600u64, 0..400 * 24 * 3600u64];
    prop_oneof![
        5 => (0..12 * 3600u64).prop_map(Step::Pass),
        2 => span().prop_map(Step::Ahead),
        3 => span().prop_map(Step::Back),
        1 => proptest::sample::select(vec!["7", "60", "1440", "0 2 * * *", "30 * * * *", "45 2 * * 6,0"]).prop_map(Step::Edit),
        1 => Just(Step::Toggle),
        1 => any::<bool>().prop_map(Step::Activate),
        2 => Just(Step::Restart),
    ]
}

/// A scan with its clock, and what ran since it was last decided when it runs.
struct World {
    scan: Scan,
    now: Timestamp,
    ran: BTreeSet<Timestamp>,
}

impl World {
    fn slot_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.scan.running_cadence()?.first_after(self.scan.next_due?, time)
    }

    /// True when the clock stands behind the latest run by two slots or more.
    fn is_far_back(&self) -> bool {
        let second = self.slot_after(self.now).and_then(|first| self.slot_after(first));
        second.is_some_and(|second| self.scan.last_due.is_some_and(|last| second <= last))
    }

    /// What a wake-up does.
    fn look(&mut self) -> bool {
        let (shown, before) = (self.scan.next_due, self.scan.last_due);
        let is_far_back = self.is_far_back();
        let is_due = self.scan.is_due(self.now);
        if is_due {
            assert_eq!(self.scan.last_due, shown, "what was shown is what ran");
            assert_ne!(shown, before, "never the same slot twice running");
            assert!(self.ran.insert(shown.unwrap()), "{shown:?} ran twice");
        } else if is_far_back {
            self.ran.clear();
        }
        is_due
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now.plus(Duration::from_secs(seconds));
        let is_ahead = self.scan.last_due.is_none_or(|last| last <= self.now);
        let slots = std::iter::successors(self.slot_after(self.now), |slot| self.slot_after(*slot));
        let slots = slots.take_while(|slot| *slot <= end).count();
        let mut runs = 0;
        while let Some(due) = self.scan.next_due.filter(|due| *due <= end) {
            self.now = due;
            assert!(self.look());
            runs += 1;
        }
        self.now = end;
        self.look();
        assert!(runs == slots || !is_ahead && runs + 1 == slots, "{runs} runs in {slots} slots");
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => return self.pass(seconds),
            Step::Ahead(seconds) => self.now = self.now.plus(Duration::from_secs(seconds)),
            Step::Back(seconds) => self.now = self.now.minus(Duration::from_secs(seconds)),
            Step::Edit(cadence) => self.redefine(definition(cadence, self.scan.definition.scheduled)),
            Step::Toggle => {
                let draft = ScanDraft::from(&self.scan.definition);
                self.redefine(ScanDraft { scheduled: !draft.scheduled, ..draft }.check().unwrap());
            }
            Step::Activate(active) => {
                self.scan.set_active(active, self.now);
                self.ran.clear();
            }
            Step::Restart => self.scan = decode(&encode(&self.scan), 1 << 16).unwrap(),
        }
        self.look();
        assert!(!self.look(), "caught up once");
    }

    fn redefine(&mut self, definition: ScanDefinition) {
        self.scan.redefine(definition, self.now);
        self.ran.clear();
    }

    /// The next run stands within two slots of now, within one unless that one has had its run.
    fn check(&self) {
        let Some(first) = self.slot_after(self.now) else {
            assert!(self.scan.running_cadence().is_none() && self.scan.next_due.is_none());
            return;
        };
        let had_its_run = self.scan.last_due.is_some_and(|last| first <= last);
        let next = self.scan.next_due.unwrap();
        assert!(next == first || had_its_run && Some(next) == self.slot_after(first), "{next} at {}", self.now);
    }
}

fn cases() -> u32 {
    if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { 5_000 } else { 200 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_slot_runs_twice_and_none_is_waited_for_in_vain(
        cadence in proptest::sample::select(vec!["7", "60", "1440", "0 2 * * *", "30 * * * *"]),
        // Shortly before the two changes of the clock in 2026, or any time in it.
        start in prop_oneof![1_774_650_000u64..1_774_830_000, 1_792_790_000u64..1_792_970_000, 1_767_225_600u64..1_798_761_600],
        steps in proptest::collection::vec(steps(), 1..24),
    ) {
        let now = Timestamp::from_millis(start * 1_000);
        let mut world = World { scan: scan(cadence, now), now, ran: BTreeSet::new() };
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}
