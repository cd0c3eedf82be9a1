//! Whether one key speaks from two machines: a copied data folder, a cloned disk, or a stolen key (SECURITY-DESIGN N8).
//!
//! A node numbers what it signs by its starts and, within one, by message. So two different messages with one number
//! have two writers, and so has a message that was signed long after one with a higher number was heard. Neither comes of
//! a restart, a new address, a late or a repeated letter: only the key itself can make such a message.

use super::Hub;
use super::letters::Release;
use crate::audit;
use crate::events::Event;
use crate::presence::TWIN_ALARM;
use protocol::envelope::{Envelope, Header, MAX_CLOCK_LEAD};
use protocol::{NodeId, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The latest messages of a node that are told apart.
const MARKS: usize = 1_024;

/// How often the progress of a node's numbers is noted, and how many notes are kept.
const STEP_EVERY: Duration = Duration::from_secs(10);
const STEPS: usize = 32;

/// What was heard of each node's numbers.
#[derive(Debug, Default)]
pub(super) struct Twins {
    nodes: BTreeMap<NodeId, Heard>,
    /// A key that was seen twice, until somebody takes care of it.
    found: Option<NodeId>,
}

#[derive(Debug, Default)]
struct Heard {
    boot: u64,
    /// The latest messages of this boot: number, and a piece of the signature.
    marks: BTreeMap<u64, u64>,
    /// Boot and number of a message, and when it was first heard; both rise.
    steps: VecDeque<((u64, u64), Timestamp)>,
    seen_twice: Option<Timestamp>,
}

/// What tells two messages with one number apart.
pub(super) fn mark_of(envelope: &Envelope) -> u64 {
    envelope.as_bytes().last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail))
}

impl Twins {
    /// Notes a proven message in time; true when it proves that another machine uses the sender's key as well.
    pub(super) fn hear(&mut self, header: &Header, mark: u64, now: Timestamp) -> bool {
        let is_alarmed = self.alarm(&header.sender, now).is_some();
        let heard = self.nodes.entry(header.sender).or_default();
        let proves = heard.contradicts(header, mark);
        if proves {
            heard.seen_twice = Some(now);
        }
        if proves && !is_alarmed {
            self.found = Some(header.sender);
        }
        heard.note(header, mark, now);
        proves
    }

    /// A key for which the alarm has begun, once.
    pub(super) fn take_found(&mut self) -> Option<NodeId> {
        self.found.take()
    }

    /// When the key was last seen on two machines, if that was not long ago.
    pub(super) fn alarm(&self, node: &NodeId, now: Timestamp) -> Option<Timestamp> {
        self.nodes.get(node).and_then(|heard| heard.seen_twice).filter(|seen| now.since(*seen) < TWIN_ALARM)
    }

    /// Our own clock was set: what was heard before cannot be compared with what comes.
    pub(super) fn clock_was_set(&mut self, now: Timestamp) {
        for heard in self.nodes.values_mut() {
            heard.steps.clear();
            heard.seen_twice = heard.seen_twice.map(|seen| seen.min(now));
        }
    }

    /// Forgets whoever is no member any more.
    pub(super) fn keep(&mut self, is_member: impl Fn(&NodeId) -> bool) {
        self.nodes.retain(|node, _| is_member(node));
    }
}

impl Heard {
    fn contradicts(&self, header: &Header, mark: u64) -> bool {
        let known = self.marks.get(&header.sequence).filter(|_| header.boot == self.boot);
        let order = (header.boot, header.sequence);
        // Whoever wrote both wrote this one first, and its clock leads ours by what is believed at most.
        let is_late = |heard_at: Timestamp| header.issued > heard_at.plus(MAX_CLOCK_LEAD);
        let later = self.steps.iter().find(|(step, _)| *step > order);
        match known {
            Some(known) => *known != mark,
            None => later.is_some_and(|(_, heard_at)| is_late(*heard_at)),
        }
    }

    fn note(&mut self, header: &Header, mark: u64, now: Timestamp) {
        let order = (header.boot, header.sequence);
        if header.boot > self.boot {
            (self.boot, self.marks) = (header.boot, BTreeMap::new());
        }
        if header.boot == self.boot {
            self.marks.entry(header.sequence).or_insert(mark);
            if self.marks.len() > MARKS {
                self.marks.pop_first();
            }
        }
        let is_step = |((boot, number), at): &((u64, u64), Timestamp)| {
            order.0 > *boot || order > (*boot, *number) && now.since(*at) >= STEP_EVERY
        };
        if self.steps.back().is_none_or(is_step) {
            self.steps.push_back((order, now));
            if self.steps.len() > STEPS {
                self.steps.pop_front();
            }
        }
    }
}

impl Hub {
    /// One key on two machines: neither is trusted with a task until the key was not seen twice for a while.
    pub(super) async fn on_twins(&mut self, node: NodeId, now: Timestamp) {
        tracing::error!(node.id = %node, "two machines use the key of one node; revoke it, and enrol each machine anew");
        self.presences.seen_twice(&node, now);
        self.events.publish(Event::Node { node });
        let noted = self.store.update(move |draft| {
            audit::note(draft, &audit::mesh(), "node cloned", &format!("{node}: its key is used on two machines"), now)
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, "the alarm of a cloned key could not be kept in the audit log");
        }
        for (task, fence) in self.work.held_by(node) {
            let why = Release::Lost("the key of its node is used on two machines".into());
            if let Err(error) = self.release(task, fence, why, now).await {
                tracing::error!(%error, task.id = %task, "a lease of a cloned key could not be taken back");
            }
        }
        self.look_around(now);
        self.go_on(now).await;
    }
}

#[cfg(test)]
mod tests;
