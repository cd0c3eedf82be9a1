//! Who holds which task until when. Deadlines live in memory: after a restart every lease gets a time of grace.

use protocol::task::TaskId;
use protocol::{NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One task in the hands of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub holder: NodeId,
    /// The holder's boot when it last renewed; a holder that is heard with a higher one has forgotten the task.
    pub boot: Option<u64>,
    /// Number of this lease.
    pub fence: u64,
    /// What the task weighs, in milliseconds of work.
    pub weight: u64,
    /// When it runs out without renewal.
    pub deadline: Timestamp,
}

/// What a holder's word on a lease comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It holds on.
    Renewed,
    /// It is not the holder of this number any more.
    Lost,
}

/// The leases in force.
#[derive(Debug, Default)]
pub struct LeaseBook {
    leases: BTreeMap<TaskId, Lease>,
    /// The same by holder, so that a look at one node costs nothing for the others.
    held: BTreeMap<NodeId, BTreeSet<TaskId>>,
}

impl LeaseBook {
    /// Notes a lease given or taken over after a restart.
    pub fn grant(&mut self, task: TaskId, holder: NodeId, fence: u64, weight: u64, deadline: Timestamp) {
        if let Some(before) = self.leases.insert(task, Lease { holder, boot: None, fence, weight, deadline }) {
            self.forget_holder(task, before.holder);
        }
        self.held.entry(holder).or_default().insert(task);
    }

    /// The holder says that it works on the task.
    pub fn renew(&mut self, task: TaskId, holder: NodeId, boot: u64, fence: u64, deadline: Timestamp) -> Renewal {
        match self.leases.get_mut(&task) {
            // A holder that started again and still names this number has not forgotten it: its result is on disk.
            Some(lease)
                if lease.holder == holder && lease.fence == fence && lease.boot.is_none_or(|then| then <= boot) =>
            {
                lease.boot = Some(boot);
                lease.deadline = lease.deadline.max(deadline);
                Renewal::Renewed
            }
            _ => Renewal::Lost,
        }
    }

    /// Ends a lease; true when it was in force.
    pub fn end(&mut self, task: TaskId, fence: u64) -> bool {
        match self.leases.get(&task) {
            Some(lease) if lease.fence == fence => {
                let holder = lease.holder;
                self.leases.remove(&task);
                self.forget_holder(task, holder);
                true
            }
            Some(_) | None => false,
        }
    }

    fn forget_holder(&mut self, task: TaskId, holder: NodeId) {
        if let Some(held) = self.held.get_mut(&holder) {
            held.remove(&task);
            if held.is_empty() {
                self.held.remove(&holder);
            }
        }
    }

    /// The lease of a task.
    pub fn get(&self, task: TaskId) -> Option<&Lease> {
        self.leases.get(&task)
    }

    /// The tasks that a node holds, with the numbers of their leases.
    pub fn held_by(&self, node: NodeId) -> Vec<(TaskId, u64)> {
        let held = self.held.get(&node).into_iter().flatten();
        held.filter_map(|task| Some((*task, self.leases.get(task)?.fence))).collect()
    }

    /// How many tasks a node holds, and what they weigh.
    pub fn load(&self, node: NodeId) -> (usize, u64) {
        let held = self.held.get(&node).into_iter().flatten().filter_map(|task| self.leases.get(task));
        held.fold((0, 0), |(count, weight), lease| (count + 1, weight.saturating_add(lease.weight)))
    }

    /// Tasks whose lease ran out before `now`, and those of a holder that came back as another boot.
    pub fn overdue(&self, now: Timestamp, boots: &BTreeMap<NodeId, u64>) -> Vec<(TaskId, Lease)> {
        let forgotten = |lease: &Lease| match (lease.boot, boots.get(&lease.holder)) {
            (Some(then), Some(is)) => *is > then,
            _ => false,
        };
        let over = |lease: &Lease| lease.deadline < now || forgotten(lease);
        self.leases.iter().filter(|(_, lease)| over(lease)).map(|(task, lease)| (*task, *lease)).collect()
    }

    /// Gives every lease the same time from `now` on: after a restart, or when the clock was set forward or back.
    pub fn renew_all(&mut self, now: Timestamp, grace: Duration) {
        for lease in self.leases.values_mut() {
            lease.deadline = now.plus(grace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::task::RunId;

    const TASK: TaskId = TaskId { run: RunId(1), index: 0 };

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn only_the_holder_renews_and_only_its_number() {
        let mut book = LeaseBook::default();
        book.grant(TASK, node(1), 4, 10, at(45));
        assert_eq!(book.renew(TASK, node(2), 1, 4, at(60)), Renewal::Lost);
        assert_eq!(book.renew(TASK, node(1), 1, 3, at(60)), Renewal::Lost);
        assert_eq!(book.renew(TASK, node(1), 1, 4, at(60)), Renewal::Renewed);
        assert!(book.overdue(at(60), &BTreeMap::new()).is_empty());
        assert_eq!(book.overdue(at(61), &BTreeMap::new()).len(), 1);
        assert!(!book.end(TASK, 3));
        assert!(book.end(TASK, 4));
        assert_eq!(book.renew(TASK, node(1), 1, 4, at(99)), Renewal::Lost);
    }

    #[test]
    fn a_holder_that_restarted_has_lost_its_task() {
        let mut book = LeaseBook::default();
        book.grant(TASK, node(1), 1, 10, at(45));
        let boots = |boot| BTreeMap::from([(node(1), boot)]);
        assert!(book.overdue(at(1), &boots(9)).is_empty(), "its boot is not known yet");
        assert_eq!(book.renew(TASK, node(1), 7, 1, at(60)), Renewal::Renewed);
        assert!(book.overdue(at(1), &boots(7)).is_empty());
        assert_eq!(book.overdue(at(1), &boots(8)).len(), 1);
        assert_eq!(book.renew(TASK, node(1), 6, 1, at(60)), Renewal::Lost, "an older boot");
    }

    #[test]
    fn a_holder_that_restarted_and_names_its_task_keeps_it() {
        let mut book = LeaseBook::default();
        book.grant(TASK, node(1), 1, 10, at(45));
        assert_eq!(book.renew(TASK, node(1), 7, 1, at(60)), Renewal::Renewed);
        assert_eq!(book.renew(TASK, node(1), 8, 1, at(60)), Renewal::Renewed);
        assert!(book.overdue(at(1), &BTreeMap::from([(node(1), 8)])).is_empty());
    }

    #[test]
    fn a_restart_gives_every_lease_its_grace_and_a_clock_set_back_takes_what_is_too_much() {
        let mut book = LeaseBook::default();
        book.grant(TASK, node(1), 1, 10, at(5));
        book.renew_all(at(10), Duration::from_secs(90));
        assert!(book.overdue(at(99), &BTreeMap::new()).is_empty());
        book.renew_all(at(1), Duration::from_secs(9));
        assert_eq!(book.overdue(at(11), &BTreeMap::new()).len(), 1);
    }

    #[test]
    fn what_a_node_holds_is_counted_as_leases_come_and_go() {
        let mut book = LeaseBook::default();
        let task = |index| TaskId { index, ..TASK };
        book.grant(task(0), node(1), 1, 10, at(5));
        book.grant(task(1), node(1), 1, 7, at(5));
        assert_eq!((book.load(node(1)), book.load(node(2))), ((2, 17), (0, 0)));
        assert_eq!((book.held_by(node(1)), book.held_by(node(2))), (vec![(task(0), 1), (task(1), 1)], vec![]));
        book.grant(task(0), node(2), 2, 10, at(5));
        assert!(book.end(task(1), 1));
        assert_eq!((book.load(node(1)), book.load(node(2))), ((0, 0), (1, 10)));
        assert!(book.held.len() == 1, "nothing is kept of a node without tasks");
    }
}
