//! The four numbers of the overview, and what needs attention.

use super::UseCaseError;
use super::alerts::AlertPage;
use super::nodes::NodeStatus;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{AlertFilter, AlertSort, AlertState};
use crate::analysis::delta::Status;
use crate::store::tables::{NODES, OPEN_RUNS};
use crate::store::{Reads, StoreError};
use protocol::Timestamp;
use std::time::Duration;

/// The four numbers (SPEC W1), and what waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Nodes that are there.
    pub nodes_online: usize,
    /// Approved nodes.
    pub nodes_approved: usize,
    /// Nodes that wait for a decision.
    pub nodes_pending: usize,
    /// Runs started in the last 24 hours.
    pub runs_today: usize,
    /// Runs that have not ended.
    pub runs_open: usize,
    /// Networks whose latest report has changes.
    pub reports_with_changes: usize,
    /// Alerts that nobody has dealt with.
    pub alerts_open: usize,
}

/// What the navigation counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alerts that nobody has dealt with.
    pub alerts_open: usize,
    /// Runs that have not ended.
    pub runs_open: usize,
    /// Nodes that wait for a decision.
    pub nodes_pending: usize,
}

impl Coordinator {
    /// Counts what the navigation shows, on every page: it reads as little as it can.
    pub async fn counts(&self, actor: &Actor) -> Result<Counts, UseCaseError> {
        actor.require(Right::Read)?;
        let now = Timestamp::now();
        let alerts_open = self.open_alerts().await?;
        let counts = self.store().read(move |view| count(view, now)).await?;
        Ok(Counts { alerts_open, ..counts })
    }

    /// Counts what the overview shows.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview, UseCaseError> {
        let since = Timestamp::now().minus(Duration::from_secs(24 * 3600));
        let nodes = self.nodes(actor).await?;
        let (runs, scans) = (self.runs(actor, None).await?, self.scans(actor).await?);
        let count = AlertPage { sort: AlertSort::default(), after: None, limit: 0 };
        let alerts = self.alerts(actor, &AlertFilter::default(), &count).await?.counts;
        let is_online = |status: &NodeStatus| matches!(status, NodeStatus::Online | NodeStatus::Scanning);
        let latest = scans.iter().filter_map(|scan| scan.last_report.as_ref());
        Ok(Overview {
            nodes_online: nodes.iter().filter(|node| is_online(&node.status)).count(),
            nodes_approved: nodes.iter().filter(|node| node.record.approval().is_some()).count(),
            nodes_pending: nodes.iter().filter(|node| node.record.is_pending()).count(),
            runs_today: runs.iter().filter(|run| run.created >= since).count(),
            runs_open: runs.iter().filter(|run| !run.state.is_final()).count(),
            reports_with_changes: latest.filter(|report| report.status != Status::Stable).count(),
            alerts_open: alerts.of_state(AlertState::Open),
        })
    }
}

/// All but the alerts.
fn count(reads: &impl Reads, now: Timestamp) -> Result<Counts, StoreError> {
    let mut counts = Counts { runs_open: reads.iter(&OPEN_RUNS).unread().count(), ..Counts::default() };
    for row in reads.iter(&NODES) {
        let (_, node) = row?;
        counts.nodes_pending += usize::from(node.is_pending() && !node.is_stale(now));
    }
    Ok(counts)
}
