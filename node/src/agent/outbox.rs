//! Answers to announced tasks, kept until a neighbour has taken them.

use protocol::mesh::LetterId;
use protocol::message::TaskAnswer;
use std::collections::{BTreeMap, VecDeque};

/// Answers kept; the lease runs out anyway when an answer never arrives.
const MOST: usize = 256;

/// Answers that wait, and answers on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<TaskAnswer>,
    sent: BTreeMap<LetterId, TaskAnswer>,
    blocked: bool,
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
    pub(super) fn next(&mut self) -> Option<TaskAnswer> {
        self.waiting.pop_front()
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

    /// A neighbour has it.
    pub(super) fn letter_taken(&mut self, id: LetterId) {
        self.sent.remove(&id);
    }

    /// It was lost; it goes out again.
    pub(super) fn letter_lost(&mut self, id: LetterId) {
        if let Some(answer) = self.sent.remove(&id) {
            self.push(answer);
        }
    }

    /// True when every answer is taken, or none can be sent now.
    pub(super) fn is_settled(&self) -> bool {
        self.blocked || self.waiting.is_empty() && self.sent.is_empty()
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
    fn a_lost_answer_goes_out_again_and_a_taken_one_does_not() {
        let mut outbox = Outbox::default();
        outbox.push(answer(1));
        outbox.push(answer(2));
        for id in [1, 2] {
            let answer = outbox.next().unwrap();
            outbox.sent(answer, LetterId(id));
        }
        outbox.letter_taken(LetterId(2));
        outbox.letter_lost(LetterId(1));
        outbox.letter_lost(LetterId(1));
        assert!(!outbox.is_settled());
        assert_eq!((outbox.next(), outbox.next()), (Some(answer(1)), None));
        assert!(outbox.is_settled());
    }

    #[test]
    fn too_many_answers_cost_the_oldest() {
        let mut outbox = Outbox::default();
        (0..300).for_each(|index| outbox.push(answer(index)));
        assert_eq!(std::iter::from_fn(|| outbox.next()).count(), MOST);
    }
}
