//! Runs read back: their hosts, and any two of them compared.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::history::{Comparison, PastRun, RunLook, compare};
use crate::store::Reads;
use crate::store::tables::SCANS;
use protocol::observation::HostObservation;
use protocol::task::{RunId, ScanId};
use std::net::IpAddr;

impl Coordinator {
    /// The hosts that a run found up, in address order, as far as it looked; none before it has a report.
    ///
    /// Names, link address and operating system that it did not look for are those known at that time; `seen` is when
    /// the host was first found like this.
    pub async fn run_hosts(&self, actor: &Actor, run: RunId) -> Result<Vec<HostObservation>, UseCaseError> {
        self.run_hosts_page(actor, run, None, usize::MAX).await
    }

    /// As [`run_hosts`](Self::run_hosts), but at most `limit` of them, after the address `after`.
    pub async fn run_hosts_page(
        &self,
        actor: &Actor,
        run: RunId,
        after: Option<IpAddr>,
        limit: usize,
    ) -> Result<Vec<HostObservation>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = move |view: &crate::store::View| match PastRun::read(view, run)? {
            Some(past) => past.hosts(view, after, limit).map(Some),
            None => Ok(None),
        };
        self.store().read(read).await?.ok_or_else(|| UseCaseError::no_run(run))
    }

    /// What the run `to` of a scan found otherwise than its run `from`, by the rules of a report.
    pub async fn compare_runs(
        &self,
        actor: &Actor,
        scan: ScanId,
        from: RunId,
        to: RunId,
    ) -> Result<Comparison, UseCaseError> {
        actor.require(Right::Read)?;
        self.store().read(move |view| Ok(compared(view, scan, from, to))).await?
    }
}

fn compared(reads: &impl Reads, scan: ScanId, from: RunId, to: RunId) -> Result<Comparison, UseCaseError> {
    if !reads.contains(&SCANS, &scan)? {
        return Err(UseCaseError::no_scan(scan));
    }
    let (before, after) = (look(reads, scan, "from", from)?, look(reads, scan, "to", to)?);
    Ok(compare(reads, scan, (from, &before), (to, &after))?)
}

/// What a run looked at that is to be compared with another one of the scan.
fn look(reads: &impl Reads, scan: ScanId, field: &'static str, id: RunId) -> Result<RunLook, UseCaseError> {
    let PastRun { run, look } = PastRun::read(reads, id)?.ok_or_else(|| UseCaseError::no_run(id))?;
    if run.scan != scan {
        let reason = format!(
            "run {id} is of scan {}, not of scan {scan}; `portdrift runs list --scan {scan}` shows its runs",
            run.scan
        );
        return Err(UseCaseError::Invalid { field, reason });
    }
    if !run.state.is_final() {
        let reason = format!("run {id} has not ended; wait for it (`portdrift runs watch {id}`)");
        return Err(UseCaseError::Conflict(reason));
    }
    look.ok_or_else(|| {
        let state = run.state.name();
        UseCaseError::Conflict(format!(
            "run {id} ended as {state}, without a report; `portdrift reports list --scan {scan}` shows runs that have one"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, NOW, SCAN, TARGETS, host};
    use crate::run::{Run, RunState};
    use crate::store::tables::RUNS;

    async fn refusal(fixture: &Fixture, scan: ScanId, from: RunId, to: RunId) -> String {
        let read = move |view: &crate::store::View| Ok(compared(view, scan, from, to));
        fixture.store.read(read).await.unwrap().expect_err("these cannot be compared").to_string()
    }

    #[tokio::test]
    async fn runs_that_cannot_be_compared_are_refused_with_what_to_do() {
        let fixture = Fixture::new().await;
        let good = fixture.finished_run(TARGETS, vec![host("10.9.0.1", &[80])]).await;
        let open = fixture.looked_once(TARGETS, vec![]).await;
        let change = move |draft: &mut crate::store::Draft| {
            let run = draft.get(&RUNS, &open)?.unwrap();
            let failed = Run { id: RunId(8), state: RunState::Failed, ended: Some(NOW), ..run.clone() };
            draft.put(&RUNS, &failed.id, &failed)?;
            draft.put(&RUNS, &RunId(9), &Run { id: RunId(9), scan: ScanId(2), ..run })
        };
        fixture.store.update::<_, crate::StoreError>(change).await.unwrap();
        let cases = [(2, good, good), (1, good, RunId(7)), (1, open, good), (1, good, RunId(8)), (1, RunId(9), good)];
        let mut refusals = Vec::new();
        for (scan, from, to) in cases {
            refusals.push(refusal(&fixture, ScanId(scan), from, to).await);
        }
        insta::assert_snapshot!(refusals.join("\n"), @"
        there is no scan 2; `portdrift scans list` shows what there is
        there is no run 7; `portdrift runs list` shows what there is
        run 2 has not ended; wait for it (`portdrift runs watch 2`)
        run 8 ended as failed, without a report; `portdrift reports list --scan 1` shows runs that have one
        from: run 9 is of scan 2, not of scan 1; `portdrift runs list --scan 1` shows its runs
        ");
        let read = move |view: &crate::store::View| Ok(compared(view, SCAN, good, good).unwrap());
        assert_eq!(fixture.store.read(read).await.unwrap().changes, []);
    }
}
