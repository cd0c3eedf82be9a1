//! Answers to announced tasks, kept until the coordinator has them.

use crate::timing::Timing;
use protocol::mesh::LetterId;
use protocol::message::TaskAnswer;
use std::collections::{BTreeMap, VecDeque};
use tokio::time::Instant;

/// Answers kept; the lease runs out anyway when an answer never arrives.
const MOST: usize = 256;

/// Losses in a row after which a node that stops does not wait for its answers.
const HOPELESS: u32 = 3;

/// Answers that wait, and answers on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<TaskAnswer>,
    sent: BTreeMap<LetterId, TaskAnswer>,
    blocked: bool,
    /// Letters lost in a row, and until when nothing is sent after the last of them.
    losses: u32,
    rests: Option<Instant>,
}

impl Outbox {
    /// Adds an answer; the oldest one makes room when there are too many.
    pub(super) fn push(&mut self, answer: TaskAnswer) {
        if self.waiting.len() >= MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back(answer);
    }

    /// The next answer to send.
    pub(super) fn next(&mut self, now: Instant) -> Option<TaskAnswer> {
        self.rests.take_if(|rests| *rests <= now);
        if self.rests.is_some() { None } else { self.waiting.pop_front() }
    }

    /// When [`Self::next`] goes on after a loss.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.rests.filter(|_| !self.waiting.is_empty())
    }

    /// A way is open again.
    pub(super) fn hurry(&mut self) {
        (self.losses, self.rests) = (0, None);
    }

    /// It is on its way.
    pub(super) fn sent(&mut self, answer: TaskAnswer, id: LetterId) {
        self.blocked = false;
        self.sent.insert(id, answer);
    }

    /// No way is open.
    pub(super) fn unsent(&mut self, answer: TaskAnswer) {
        self.blocked = true;
        self.waiting.push_front(answer);
    }

    /// The coordinator has it.
    pub(super) fn letter_taken(&mut self, id: LetterId) {
        if self.sent.remove(&id).is_some() {
            self.losses = 0;
        }
    }

    /// It was lost; it goes out again after a while, since what loses one letter at once loses the next one too.
    pub(super) fn letter_lost(&mut self, id: LetterId, timing: &Timing, now: Instant) {
        let Some(answer) = self.sent.remove(&id) else { return };
        self.push(answer);
        if self.rests.is_none() {
            self.losses = self.losses.saturating_add(1);
            self.rests = Some(now + timing.retry_after(self.losses));
        }
    }

    /// True when every answer is taken, or none can be sent now.
    pub(super) fn is_settled(&self) -> bool {
        self.blocked || self.sent.is_empty() && (self.waiting.is_empty() || self.losses >= HOPELESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::Answer;
    use protocol::task::{RunId, TaskId};

    fn answer(index: u32) -> TaskAnswer {
        TaskAnswer { task: TaskId { run: RunId(1), index }, fence: 1, answer: Answer::Taken }
    }

    #[test]
    fn a_lost_answer_goes_out_again_after_a_while_and_a_taken_one_does_not() {
        let (mut outbox, timing, now) = (Outbox::default(), Timing::default(), Instant::now());
        for index in 1..=3 {
            outbox.push(answer(index));
            let answer = outbox.next(now).unwrap();
            outbox.sent(answer, LetterId(index.into()));
        }
        outbox.letter_taken(LetterId(2));
        for id in [1, 1, 3] {
            outbox.letter_lost(LetterId(id), &timing, now);
        }
        assert_eq!((outbox.next(now), outbox.is_settled()), (None, false));
        let later = outbox.wake_at().unwrap();
        assert!(later <= now + timing.retry_first, "two lost together are one loss");
        assert_eq!([0; 3].map(|_| outbox.next(later)), [Some(answer(1)), Some(answer(3)), None]);
        assert!(outbox.is_settled());
    }

    #[test]
    fn waits_grow_with_each_loss_until_one_is_taken_or_a_way_opens() {
        let (mut outbox, timing, mut now) = (Outbox::default(), Timing::default(), Instant::now());
        outbox.push(answer(1));
        let mut lose = |outbox: &mut Outbox, id: u64| {
            let answer = outbox.next(now).unwrap();
            outbox.sent(answer, LetterId(id));
            outbox.letter_lost(LetterId(id), &timing, now);
            let wait = outbox.wake_at().unwrap() - now;
            now += wait;
            wait
        };
        assert!((1..=9).map(|id| lose(&mut outbox, id)).last().unwrap() >= timing.retry_most / 2);
        assert!(outbox.is_settled(), "a node that stops does not wait for this one");
        outbox.hurry();
        assert!(!outbox.is_settled());
        assert!(lose(&mut outbox, 10) <= timing.retry_first);
    }

    #[test]
    fn too_many_answers_cost_the_oldest() {
        let mut outbox = Outbox::default();
        (0..300).for_each(|index| outbox.push(answer(index)));
        assert_eq!(std::iter::from_fn(|| outbox.next(Instant::now())).count(), MOST);
    }
}
