//! Tasks that lost their holder: which nodes may take them, and when waiting ends.

use super::crew::{Candidate, Crew, Standing};
use super::{Dispatch, OpenRun, is_first};
use crate::run::{TaskRecord, TaskState, UncoveredReason};
use protocol::Timestamp;
use protocol::text::Text;
use std::time::Duration;

/// How long a second look may wait for a node to be there.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

/// True when `candidate`, if it is there, may be given `task` of the run.
pub(super) fn may_take(open: &OpenRun, candidate: &Candidate, task: &TaskRecord) -> bool {
    candidate.may_scan(open.run.definition.site(), &task.targets)
        && !task.refused.contains(&candidate.node)
        && !open.is_declined_by(candidate.node)
}

impl Dispatch {
    /// Waiting tasks that end now, since no node will take them: failed with the reason, or to be cut anew.
    pub fn given_up(&self, crew: &Crew, now: Timestamp, second: Patience) -> Vec<TaskRecord> {
        let waiting = self.tasks.values().filter(|task| task.state == TaskState::Waiting);
        waiting.filter_map(|task| self.give_up(crew, task, now, second)).collect()
    }

    fn give_up(
        &self,
        crew: &Crew,
        task: &TaskRecord,
        now: Timestamp,
        Patience(second): Patience,
    ) -> Option<TaskRecord> {
        let open = self.runs.get(&task.id.run)?;
        let site = open.run.definition.site();
        let mut standing = None;
        let (mut is_covered, mut is_refused) = (false, false);
        for candidate in crew.of_site(site) {
            is_refused |= task.targets.minus(&candidate.approved).is_empty();
            is_covered |= candidate.may_scan(site, &task.targets);
            if may_take(open, candidate, task) {
                standing = standing.min(Some(candidate.standing)).or(Some(candidate.standing));
            }
        }
        let mut given_up = task.clone();
        match standing {
            Some(Standing::Online) => return None,
            Some(Standing::Expected) if is_first(task) => return None,
            Some(Standing::Expected | Standing::Away) if !is_first(task) && now.since(task.waits_since()) <= second => {
                return None;
            }
            Some(Standing::Expected | Standing::Away) => {
                let words = told("no other node that may scan it is there", task);
                given_up.fail(UncoveredReason::NodeOffline, words, now);
            }
            None if !is_covered && is_first(task) && open.may_cut_anew(&task.targets) => given_up.cut_anew(now),
            None if is_covered || is_refused => {
                let words = told("every node that may scan it refused", task);
                given_up.fail(UncoveredReason::Refused, words, now);
            }
            None => {
                given_up.fail(UncoveredReason::NoRange, "no approved node covers it any more".into(), now);
            }
        }
        Some(given_up)
    }
}

/// What ended the waiting, and what ended the latest attempt.
fn told(what: &str, task: &TaskRecord) -> Text {
    match task.holder.filter(|_| !task.reason.is_empty()) {
        Some(node) => Text::new(&format!("{what}; the last, {node}, said: {}", task.reason)),
        None => Text::new(what),
    }
}
