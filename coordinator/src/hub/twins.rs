//! Whether one key speaks from two machines: a copied data folder, a cloned disk, or a stolen key (SECURITY-DESIGN N8).
//!
//! A node numbers what it signs by its starts and, within one, by message. So two different messages with one number
//! have two writers, and so has a message that was signed long after one with a higher number was heard. Neither comes of
//! a restart, a new address, a late or a repeated letter: only the key itself can make such a message.

use super::Hub;
use super::letters::Release;
use crate::audit;
use crate::events::Event;
use crate::registry::NodeRecord;
use crate::store::tables::NODES;
use crate::store::{Reads, StoreError};
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
    /// A key that was just seen twice, until somebody takes care of it.
    found: Option<NodeId>,
}

#[derive(Debug, Default)]
struct Heard {
    boot: u64,
    /// The latest messages of this boot: number, and a piece of the signature.
    marks: BTreeMap<u64, u64>,
    /// Boot and number of a message, and when it was first heard; both rise.
    steps: VecDeque<((u64, u64), Timestamp)>,
}

/// What tells two messages with one number apart.
pub(super) fn mark_of(envelope: &Envelope) -> u64 {
    envelope.as_bytes().last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail))
}

impl Twins {
    /// Notes a proven message in time; true when it proves that another machine uses the sender's key as well.
    pub(super) fn hear(&mut self, header: &Header, mark: u64, now: Timestamp) -> bool {
        let heard = self.nodes.entry(header.sender).or_default();
        let proves = heard.contradicts(header, mark);
        if proves {
            self.found = Some(header.sender);
        }
        heard.note(header, mark, now);
        proves
    }

    /// A key that was just proven to be on two machines, each time.
    pub(super) fn take_found(&mut self) -> Option<NodeId> {
        self.found.take()
    }

    /// Our own clock was set: what was heard before cannot be compared with what comes.
    pub(super) fn clock_was_set(&mut self) {
        self.nodes.values_mut().for_each(|heard| heard.steps.clear());
    }

    /// Forgets what was heard of whoever is no member any more, or is trusted again: that begins anew.
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
    /// True from the first proof that two machines use this key until a person trusts it again.
    pub(super) fn is_cloned(&self, node: &NodeId) -> bool {
        self.members.get(node).is_some_and(|member| member.cloned.is_some())
    }

    /// One key on two machines: neither is trusted with a task until a person says so.
    pub(super) async fn on_twins(&mut self, node: NodeId, now: Timestamp) {
        if self.is_cloned(&node) {
            return;
        }
        tracing::error!(node.id = %node, "two machines use the key of one node; revoke it, and enrol each machine anew");
        if let Some(member) = self.members.get_mut(&node) {
            // Whether or not it can be written down.
            member.cloned = Some(now);
        }
        let noted = self.store.update(move |draft| {
            if let Some(record) = draft.get(&NODES, &node)? {
                draft.put(&NODES, &node, &NodeRecord { cloned: Some(now), ..record })?;
            }
            let subject = format!("{node}: its key is used on two machines");
            audit::note(draft, &audit::mesh(), "node cloned", &subject, now)
        });
        let noted: Result<(), StoreError> = noted.await;
        if let Err(error) = noted {
            tracing::error!(%error, "the alarm of a cloned key could not be kept; it is raised again when it is seen again");
        }
        self.events.publish(Event::Node { node });
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
