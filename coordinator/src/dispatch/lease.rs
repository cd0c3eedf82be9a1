//! Who holds which task until when. Deadlines live in memory: after a restart every lease gets a time of grace.

use protocol::task::TaskId;
use protocol::{NodeId, Timestamp};
use std::collections::BTreeMap;
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
pub struct LeaseBook(BTreeMap<TaskId, Lease>);

impl LeaseBook {
    /// Notes a lease given or taken over after a restart.
    pub fn grant(&mut self, task: TaskId, holder: NodeId, fence: u64, deadline: Timestamp) {
        self.0.insert(task, Lease { holder, boot: None, fence, deadline });
    }

    /// The holder says that it works on the task.
    pub fn renew(&mut self, task: TaskId, holder: NodeId, boot: u64, fence: u64, deadline: Timestamp) -> Renewal {
        match self.0.get_mut(&task) {
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
        let held = self.0.get(&task).is_some_and(|lease| lease.fence == fence);
        if held {
            self.0.remove(&task);
        }
        held
    }

    /// The lease of a task.
    pub fn get(&self, task: TaskId) -> Option<&Lease> {
        self.0.get(&task)
    }

    /// How many tasks a node holds.
    pub fn load(&self, node: NodeId) -> usize {
        self.0.values().filter(|lease| lease.holder == node).count()
    }

    /// Tasks whose lease ran out before `now`, and those of a holder that came back as another boot.
    pub fn overdue(&self, now: Timestamp, boots: &BTreeMap<NodeId, u64>) -> Vec<(TaskId, Lease)> {
        let forgotten = |lease: &Lease| match (lease.boot, boots.get(&lease.holder)) {
            (Some(then), Some(is)) => *is > then,
            _ => false,
        };
        let over = |lease: &Lease| lease.deadline < now || forgotten(lease);
        self.0.iter().filter(|(_, lease)| over(lease)).map(|(task, lease)| (*task, *lease)).collect()
    }

    /// Moves every deadline out to at least `now + grace`.
    pub fn extend_all(&mut self, now: Timestamp, grace: Duration) {
        for lease in self.0.values_mut() {
            lease.deadline = lease.deadline.max(now.plus(grace));
        }
    }

    /// Every lease in force.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskId, &Lease)> {
        self.0.iter()
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
        book.grant(TASK, node(1), 4, at(45));
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
        book.grant(TASK, node(1), 1, at(45));
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
        book.grant(TASK, node(1), 1, at(45));
        assert_eq!(book.renew(TASK, node(1), 7, 1, at(60)), Renewal::Renewed);
        assert_eq!(book.renew(TASK, node(1), 8, 1, at(60)), Renewal::Renewed);
        assert!(book.overdue(at(1), &BTreeMap::from([(node(1), 8)])).is_empty());
    }

    #[test]
    fn a_restart_gives_every_lease_its_grace() {
        let mut book = LeaseBook::default();
        book.grant(TASK, node(1), 1, at(5));
        book.extend_all(at(10), Duration::from_secs(90));
        assert!(book.overdue(at(99), &BTreeMap::new()).is_empty());
        assert_eq!(book.load(node(1)), 1);
    }
}
