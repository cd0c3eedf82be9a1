//! Passing on what removed runs say of hosts: a version moves to the next run that is kept, unless a later version stands
//! there or before.

use crate::history::{Version, reported_runs, versions};
use crate::store::tables::{HISTORY, RUN_LOOKS};
use crate::store::{Draft, Reads, Store, StoreError, View};
use protocol::task::{RunId, ScanId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;

/// What becomes of a version of a run that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// No run that is kept sees it.
    Drop(RunId),
    /// The second run sees it first among those that are kept.
    Move(RunId, RunId),
}

/// The steps for one host: `written` are the runs that wrote its versions, `reported` those whose versions count, and
/// `retired` those that go.
fn steps(written: &[RunId], reported: &BTreeSet<RunId>, retired: &BTreeSet<RunId>) -> Vec<Step> {
    let counting: BTreeSet<RunId> = written.iter().copied().filter(|run| reported.contains(run)).collect();
    let after = |run: RunId| (Bound::Excluded(run), Bound::Unbounded);
    let step = |run: RunId| {
        if !reported.contains(&run) {
            return Some(Step::Drop(run));
        }
        let heir = *reported.range(after(run)).find(|run| !retired.contains(run))?;
        let next = counting.range(after(run)).next();
        Some(if next.is_some_and(|next| *next <= heir) { Step::Drop(run) } else { Step::Move(run, heir) })
    };
    written.iter().copied().filter(|run| retired.contains(run)).filter_map(step).collect()
}

/// A change of one host's rows.
struct Write {
    address: IpAddr,
    from: RunId,
    to: Option<(RunId, Version)>,
}

/// Rewrites the versions of all hosts of a scan for the removal of `retired`, `piece` rows at a time. Every other run
/// reads the same before, after and in between.
pub(super) async fn fold(
    store: &Store,
    scan: ScanId,
    retired: &BTreeSet<RunId>,
    piece: usize,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let gone = retired.clone();
        let (writes, last) = store.read(move |view| writes(view, scan, &gone, after, piece)).await?;
        if !writes.is_empty() {
            store.update(move |draft| apply(draft, scan, &writes)).await?;
        }
        after = last;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn apply(draft: &mut Draft, scan: ScanId, writes: &[Write]) -> Result<(), StoreError> {
    let mut handed_on: BTreeMap<RunId, Vec<IpAddr>> = BTreeMap::new();
    for Write { address, from, to } in writes {
        draft.remove(&HISTORY, &(scan, *address, *from))?;
        if let Some((heir, version)) = to {
            draft.put(&HISTORY, &(scan, *address, *heir), version)?;
            handed_on.entry(*heir).or_default().push(*address);
        }
    }
    for (heir, hosts) in handed_on {
        if let Some(mut look) = draft.get(&RUN_LOOKS, &heir)? {
            look.versions = look.versions.union(&hosts.into_iter().collect());
            draft.put(&RUN_LOOKS, &heir, &look)?;
        }
    }
    Ok(())
}

/// The changes of hosts after the address `after`, about `piece` of them, and the last address; none when it was the
/// last of all.
fn writes(
    view: &View,
    scan: ScanId,
    retired: &BTreeSet<RunId>,
    after: Option<IpAddr>,
    piece: usize,
) -> Result<(Vec<Write>, Option<IpAddr>), StoreError> {
    let reported = reported_runs(view, scan, RunId(u64::MAX - 1))?;
    let mut writes = Vec::new();
    for host in versions(view, scan, after) {
        let host = host?;
        let written: Vec<RunId> = host.runs().collect();
        let mut is_first = true;
        for run in written.iter().copied() {
            let step = steps(&written, &reported, retired).into_iter().find(|step| step.of(run));
            let stays = !matches!(step, Some(Step::Drop(_)));
            // That a host is not there needs no word before it was first there.
            let is_idle = stays && is_first && reported.contains(&run) && host.written(run)? == Some(None);
            if stays && reported.contains(&run) && !is_idle {
                is_first = false;
            }
            let to = match step {
                _ if is_idle => None,
                Some(Step::Move(_, heir)) => host.written(run)?.map(|version| (heir, version)),
                Some(Step::Drop(_)) => None,
                None => continue,
            };
            writes.push(Write { address: host.address, from: run, to });
        }
        if writes.len() >= piece {
            return Ok((writes, Some(host.address)));
        }
    }
    Ok((writes, None))
}

impl Step {
    fn of(self, run: RunId) -> bool {
        match self {
            Self::Drop(of) | Self::Move(of, _) => of == run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(numbers: &[u64]) -> BTreeSet<RunId> {
        numbers.iter().copied().map(RunId).collect()
    }

    #[test]
    fn a_version_passes_to_the_next_run_that_is_kept_or_to_nobody() {
        let told = |written: &[u64], reported: &[u64], retired: &[u64]| {
            let written: Vec<RunId> = written.iter().copied().map(RunId).collect();
            steps(&written, &runs(reported), &runs(retired))
        };
        let (drop, to) = (|run| Step::Drop(RunId(run)), |from, heir| Step::Move(RunId(from), RunId(heir)));
        assert_eq!(told(&[1], &[1, 2, 3], &[1]), [to(1, 2)]);
        assert_eq!(told(&[1], &[1, 2, 3], &[1, 2]), [to(1, 3)]);
        assert_eq!(told(&[1, 2], &[1, 2, 3], &[1]), [drop(1)], "2 has a word of its own");
        assert_eq!(told(&[1, 2], &[1, 2, 3], &[1, 2]), [drop(1), to(2, 3)]);
        assert_eq!(told(&[1, 3], &[1, 2, 3], &[1]), [to(1, 2)], "2 still sees it");
        assert_eq!(told(&[1, 2], &[1, 3], &[1, 2]), [to(1, 3), drop(2)], "2 ended without a report");
        assert_eq!(told(&[2], &[1, 2], &[1]), []);
        assert_eq!(told(&[2], &[1, 2], &[2]), [], "the latest is never removed");
    }
}
