//! What every member keeps of what was gossiped, so that it can be handed to those who missed it. Bounded.

use crate::envelope::{Envelope, Header, ReplayGuard, Verified};
use crate::identity::NodeId;
use crate::message::{Announcement, Beacon, Cancel, RosterHead};
use crate::task::{RunId, TaskId};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of open announcements that are kept; the oldest run's go first.
const MAX_OPEN_BYTES: usize = 64 << 20;

/// Tasks whose highest fence is remembered; the oldest run's go first.
const MAX_SEEN: usize = 65_536;

/// Tasks that one request says it has.
const MAX_HAVE: usize = 4_096;

/// Cancellations that are kept; those that run out first go first.
const MAX_CANCELLED: usize = 1_024;

/// How far announcement numbers may run ahead of what is known to be complete.
const MAX_AHEAD: usize = 4_096;

/// Latest beacon, open announcements, and what was seen before.
#[derive(Debug, Default)]
pub(super) struct Board {
    beacon: Option<(Verified<Beacon>, Envelope)>,
    open: BTreeMap<TaskId, Open>,
    open_bytes: usize,
    seen: BTreeMap<TaskId, Seen>,
    cancelled: BTreeMap<RunId, Cancelled>,
    /// The head of the highest epoch, and until when it is good.
    head: Option<(u64, Timestamp, Envelope)>,
    once: ReplayGuard,
    tally: Tally,
}

#[derive(Debug)]
struct Open {
    fence: u64,
    holder: NodeId,
    until: Timestamp,
    envelope: Envelope,
}

#[derive(Debug)]
struct Seen {
    fence: u64,
    holder: NodeId,
    until: Timestamp,
}

#[derive(Debug)]
struct Cancelled {
    until: Timestamp,
    envelope: Envelope,
}

/// Which announcements of one coordinator boot were heard: all up to `complete`, and those in `ahead`.
#[derive(Debug, Default)]
struct Tally {
    boot: u64,
    complete: u64,
    ahead: BTreeSet<u64>,
}

/// How a message relates to what was heard before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// Not heard before; act on it.
    First,
    /// The one that is kept; worth passing on, but nothing to act on.
    Repeat,
    /// Overtaken by something newer, or over.
    Outdated,
}

impl Novelty {
    fn of<T: Ord>(held: Option<T>, offered: T, is_kept: bool) -> Self {
        match held {
            Some(held) if held == offered && is_kept => Self::Repeat,
            Some(held) if held >= offered => Self::Outdated,
            Some(_) | None => Self::First,
        }
    }
}

impl Board {
    /// First when this beacon is newer than the one that is kept.
    pub(super) fn beacon(&mut self, beacon: &Verified<Beacon>, envelope: Envelope) -> Novelty {
        let order = |beacon: &Verified<Beacon>| (beacon.header().boot, beacon.message().counter);
        let held = self.beacon.as_ref().map(|(held, _)| order(held));
        let novelty = Novelty::of(held, order(beacon), self.beacon.is_some());
        if novelty == Novelty::First {
            self.beacon = Some((beacon.clone(), envelope));
        }
        novelty
    }

    /// The newest beacon.
    pub(super) fn latest_beacon(&self) -> Option<&(Verified<Beacon>, Envelope)> {
        self.beacon.as_ref()
    }

    /// First when neither this lease of the task nor a later one was heard of before.
    pub(super) fn announcement(&mut self, announced: &Verified<Announcement>, envelope: Envelope) -> Novelty {
        let (header, message) = (announced.header(), announced.message());
        self.tally.hear(header.boot, message.number);
        let (task, fence) = (message.task, message.fence);
        if self.cancelled.contains_key(&task.run) {
            return Novelty::Outdated;
        }
        let seen = self.seen.get(&task).map(|seen| seen.fence);
        let novelty = Novelty::of(seen, fence, self.open.contains_key(&task));
        if novelty == Novelty::First {
            self.open(header, message, envelope);
        }
        novelty
    }

    fn open(&mut self, header: &Header, message: &Announcement, envelope: Envelope) {
        let Announcement { task, fence, holder, .. } = *message;
        let until = header.issued.plus(header.time_to_live);
        self.seen.insert(task, Seen { fence, holder, until });
        if self.seen.len() > MAX_SEEN {
            self.seen.pop_first();
        }
        self.open_bytes += envelope.as_bytes().len();
        self.close(task);
        self.open.insert(task, Open { fence, holder, until, envelope });
        while self.open_bytes > MAX_OPEN_BYTES {
            let Some((_, oldest)) = self.open.pop_first() else { break };
            self.open_bytes = self.open_bytes.saturating_sub(oldest.envelope.as_bytes().len());
        }
    }

    /// The run's announcements are handed to nobody any more, and none is taken; the cancellation is.
    pub(super) fn cancel(&mut self, cancel: &Verified<Cancel>, envelope: Envelope) -> Novelty {
        let (header, run) = (cancel.header(), cancel.message().run);
        self.close_run(run);
        if self.cancelled.contains_key(&run) {
            return Novelty::Repeat;
        }
        if self.cancelled.len() >= MAX_CANCELLED {
            let first = self.cancelled.iter().min_by_key(|(_, cancelled)| cancelled.until).map(|(run, _)| *run);
            first.and_then(|run| self.cancelled.remove(&run));
        }
        self.cancelled.insert(run, Cancelled { until: header.issued.plus(header.time_to_live), envelope });
        Novelty::First
    }

    /// The runs that were cancelled not long ago.
    pub(super) fn cancelled(&self) -> impl Iterator<Item = RunId> {
        self.cancelled.keys().copied()
    }

    /// The open cancellations but those of `known` runs.
    pub(super) fn cancels_but(&self, known: &[RunId], now: Timestamp) -> Vec<Envelope> {
        let known: BTreeSet<RunId> = known.iter().copied().take(MAX_CANCELLED).collect();
        let open = self.cancelled.iter().filter(|(run, cancelled)| cancelled.until >= now && !known.contains(run));
        open.map(|(_, cancelled)| cancelled.envelope.clone()).collect()
    }

    /// Whether this head was heard before. The one of the highest epoch is kept.
    pub(super) fn head(&mut self, head: &Verified<RosterHead>, envelope: Envelope) -> Novelty {
        let (header, epoch) = (head.header(), head.message().epoch);
        if !self.once.admit(header) {
            return Novelty::Outdated;
        }
        if self.head.as_ref().is_none_or(|(held, ..)| *held <= epoch) {
            self.head = Some((epoch, header.issued.plus(header.time_to_live), envelope));
        }
        Novelty::First
    }

    /// The newest head, for someone who holds the roster of epoch `held`.
    pub(super) fn head_after(&self, held: u64, now: Timestamp) -> Option<Envelope> {
        let head = self.head.as_ref().filter(|(epoch, until, _)| *epoch > held && *until >= now);
        head.map(|(_, _, envelope)| envelope.clone())
    }

    /// This lease ended.
    pub(super) fn forget(&mut self, task: TaskId, fence: u64) {
        if self.open.get(&task).is_some_and(|open| open.fence <= fence) {
            self.close(task);
        }
    }

    fn close_run(&mut self, run: RunId) {
        let all = TaskId { run, index: 0 }..=TaskId { run, index: u32::MAX };
        let tasks: Vec<TaskId> = self.open.range(all).map(|(task, _)| *task).collect();
        tasks.into_iter().for_each(|task| self.close(task));
    }

    fn close(&mut self, task: TaskId) {
        if let Some(open) = self.open.remove(&task) {
            self.open_bytes = self.open_bytes.saturating_sub(open.envelope.as_bytes().len());
        }
    }

    /// Open announcements for `holder`, or for everyone, that are not in `have`, up to `budget` bytes; and whether some
    /// did not fit.
    pub(super) fn open_for(
        &self,
        holder: Option<&NodeId>,
        have: &[(TaskId, u64)],
        mut budget: usize,
        now: Timestamp,
    ) -> (Vec<Envelope>, bool) {
        let have: BTreeMap<TaskId, u64> = have.iter().copied().collect();
        let lacking = |task: &TaskId, open: &Open| have.get(task).is_none_or(|fence| *fence < open.fence);
        let mut found = Vec::new();
        for (task, open) in &self.open {
            if holder.is_some_and(|holder| open.holder != *holder) || open.until < now || !lacking(task, open) {
                continue;
            }
            match budget.checked_sub(open.envelope.as_bytes().len() + 8) {
                Some(rest) => budget = rest,
                None => return (found, true),
            }
            found.push(open.envelope.clone());
        }
        (found, false)
    }

    /// The newest tasks of `holder`, or of everyone, that were seen, with their highest fence.
    pub(super) fn have(&self, holder: Option<&NodeId>) -> Vec<(TaskId, u64)> {
        let those = self.seen.iter().rev().filter(|(_, seen)| holder.is_none_or(|holder| seen.holder == *holder));
        those.map(|(task, seen)| (*task, seen.fence)).take(MAX_HAVE).collect()
    }

    /// How many announcements the newest beacon counts, when some of them were not heard.
    pub(super) fn missing(&mut self) -> Option<u64> {
        let (beacon, _) = self.beacon.as_ref()?;
        self.tally.turn_to(beacon.header().boot);
        let announced = beacon.message().announced;
        (beacon.header().boot == self.tally.boot && announced > self.tally.complete).then_some(announced)
    }

    /// A neighbour has handed over what there was up to the announcement of this number.
    pub(super) fn caught_up(&mut self, boot: u64, announced: u64) {
        self.tally.turn_to(boot);
        if self.tally.boot == boot {
            self.tally.advance_to(announced);
        }
    }

    /// Drops what has run out.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let over: Vec<TaskId> = self.open.iter().filter(|(_, open)| open.until < now).map(|(task, _)| *task).collect();
        over.into_iter().for_each(|task| self.close(task));
        self.seen.retain(|_, seen| seen.until >= now);
        self.cancelled.retain(|_, cancelled| cancelled.until >= now);
    }
}

impl Tally {
    fn turn_to(&mut self, boot: u64) {
        if boot > self.boot {
            *self = Self { boot, ..Self::default() };
        }
    }

    fn hear(&mut self, boot: u64, number: u64) {
        self.turn_to(boot);
        if boot == self.boot && number > self.complete {
            self.ahead.insert(number);
            self.close_gaps();
            if self.ahead.len() > MAX_AHEAD {
                self.ahead.pop_last();
            }
        }
    }

    fn advance_to(&mut self, number: u64) {
        if number > self.complete {
            self.complete = number;
            self.ahead = self.ahead.split_off(&number.saturating_add(1));
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        while self.complete.checked_add(1).is_some_and(|next| self.ahead.remove(&next)) {
            self.complete += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Novelty::{First, Outdated, Repeat};
    use super::*;
    use crate::mesh::tests::kit;
    use std::time::Duration;

    fn announce(board: &mut Board, number: u64, index: u32, fence: u64) -> Novelty {
        let (verified, envelope) = kit::announcement(number, index, fence, 2);
        board.announcement(&verified, envelope)
    }

    fn cancel(board: &mut Board, run: u64, issued: Timestamp) -> Novelty {
        let envelope = kit::author(1).sign(&Cancel { run: RunId(run) }, 1, issued);
        let verified = envelope.verify(kit::mesh_id(), issued).unwrap();
        board.cancel(&verified, envelope)
    }

    fn beacon(board: &mut Board, counter: u64, announced: u64) -> Novelty {
        let message = Beacon { counter, roster_epoch: 1, roster_hash: [0; 32], announced, digest: 0 };
        let envelope = kit::author(1).sign(&message, 1, Timestamp::now());
        let verified = envelope.verify(kit::mesh_id(), Timestamp::now()).unwrap();
        board.beacon(&verified, envelope)
    }

    #[test]
    fn a_lease_is_new_once_and_never_after_a_later_one() {
        let mut board = Board::default();
        let heard = [(1, 0, 1), (1, 0, 1), (2, 0, 3), (3, 0, 2), (4, 1, 1)]
            .map(|(number, index, fence)| announce(&mut board, number, index, fence));
        assert_eq!(heard, [First, Repeat, First, Outdated, First]);
        assert_eq!(board.have(Some(&kit::id(2))), [(kit::task(1), 1), (kit::task(0), 3)]);
        assert_eq!(board.have(Some(&kit::id(3))), []);
    }

    #[test]
    fn only_open_unknown_leases_are_handed_out() {
        let mut board = Board::default();
        (0..4).for_each(|index| assert_eq!(announce(&mut board, u64::from(index) + 1, index, 2), First));
        let now = Timestamp::now();
        let hand = |board: &Board, have: &[(TaskId, u64)], budget| {
            let (found, more) = board.open_for(Some(&kit::id(2)), have, budget, now);
            (found.len(), more)
        };
        assert_eq!(hand(&board, &[], usize::MAX), (4, false));
        assert_eq!(hand(&board, &[(kit::task(0), 2), (kit::task(1), 1)], usize::MAX), (3, false));
        assert_eq!(board.open_for(Some(&kit::id(3)), &[], usize::MAX, now).0, []);
        assert_eq!(board.open_for(None, &board.have(None)[1..], usize::MAX, now).0.len(), 1, "everyone's but three");
        let one = kit::announcement(1, 0, 2, 2).1.as_bytes().len();
        assert_eq!(hand(&board, &[], 2 * one), (1, true));
        board.forget(kit::task(0), 1);
        assert_eq!(hand(&board, &[], usize::MAX), (4, false), "an older lease ended");
        board.forget(kit::task(0), 2);
        assert_eq!(hand(&board, &[], usize::MAX), (3, false));
        assert_eq!(announce(&mut board, 1, 0, 2), Outdated, "what ended does not come back");
        assert_eq!([cancel(&mut board, 1, now), cancel(&mut board, 1, now)], [First, Repeat]);
        assert_eq!((hand(&board, &[], usize::MAX), board.open_bytes), ((0, false), 0));
        assert_eq!(announce(&mut board, 5, 9, 1), Outdated, "what is cancelled is not begun");
    }

    #[test]
    fn open_cancellations_are_handed_to_those_who_missed_them() {
        let (mut board, now) = (Board::default(), Timestamp::now());
        (1..=3).for_each(|run| assert_eq!(cancel(&mut board, run, now), First));
        let handed = |board: &Board, known: &[u64], now| {
            let known: Vec<RunId> = known.iter().copied().map(RunId).collect();
            let read = |envelope: Envelope| envelope.verify::<Cancel>(kit::mesh_id(), now).unwrap().message().run.0;
            board.cancels_but(&known, now).into_iter().map(read).collect::<Vec<_>>()
        };
        assert_eq!((handed(&board, &[], now), handed(&board, &[1, 3], now)), (vec![1, 2, 3], vec![2]));
        assert_eq!(board.cancelled().collect::<Vec<_>>(), [1, 2, 3].map(RunId));
        let late = now.plus(Duration::from_secs(3_601));
        assert_eq!(handed(&board, &[], late), []);
        board.sweep(late);
        assert_eq!(board.cancelled().count(), 0);
        let earlier = |run: u64| now.minus(Duration::from_millis(2_000 - run));
        (1..=1_025).for_each(|run| assert_eq!(cancel(&mut board, run, earlier(run)), First));
        let kept: Vec<RunId> = board.cancelled().collect();
        assert_eq!((kept.len(), kept[0]), (MAX_CANCELLED, RunId(2)), "the oldest went");
    }

    #[test]
    fn what_has_run_out_is_swept() {
        let mut board = Board::default();
        announce(&mut board, 1, 0, 1);
        let late = Timestamp::now().plus(Duration::from_secs(2 * 3600));
        assert_eq!(board.open_for(Some(&kit::id(2)), &[], usize::MAX, late), (vec![], false));
        board.sweep(late);
        assert_eq!((board.open.len(), board.seen.len(), board.open_bytes), (0, 0, 0));
    }

    #[test]
    fn a_beacon_shows_what_was_missed_until_it_is_caught_up() {
        let mut board = Board::default();
        announce(&mut board, 1, 0, 1);
        announce(&mut board, 3, 1, 1);
        assert_eq!([1, 1, 0].map(|counter| beacon(&mut board, counter, 3)), [First, Repeat, Outdated]);
        assert_eq!(board.missing(), Some(3));
        announce(&mut board, 2, 2, 1);
        assert_eq!(board.missing(), None);
        beacon(&mut board, 2, 9);
        assert_eq!(board.missing(), Some(9));
        board.caught_up(kit::author(1).boot(), 9);
        assert_eq!(board.missing(), None);
    }
}
