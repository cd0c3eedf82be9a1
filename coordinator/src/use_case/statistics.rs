//! What the coordinator counts, for those who watch it: nodes, runs, tasks, alerts, the mesh, the store.

use super::UseCaseError;
use super::alerts::{AlertCounts, AlertPage};
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{AlertFilter, AlertSort};
use crate::hub::MeshCounters;
use crate::run::{RunState, TaskState};
use crate::store::tables::{OPEN_RUNS, RUNS, SCANS, TASKS};
use crate::store::{Reads, StoreError, StoreSize, View};
use std::collections::BTreeMap;

/// Every word that [`NodeStatus::name`](crate::NodeStatus::name) has.
const NODE_STATES: [&str; 9] =
    ["pending", "denied", "revoked", "awaiting signature", "online", "scanning", "offline", "expired", "cloned"];

/// What there is at one moment. Every state is there, with zero when nothing is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Nodes by state.
    pub nodes: BTreeMap<&'static str, usize>,
    /// Active scans.
    pub scans: usize,
    /// Runs that are kept, by state.
    pub runs: BTreeMap<&'static str, usize>,
    /// Tasks of runs that have not ended, by state.
    pub open_tasks: BTreeMap<&'static str, usize>,
    /// Alerts by state and severity.
    pub alerts: AlertCounts,
    /// What the mesh passed on, lost and refused since the coordinator started.
    pub mesh: MeshCounters,
    /// How large the store is.
    pub store: StoreSize,
}

/// Work that there is in the store.
struct Work {
    scans: usize,
    runs: BTreeMap<&'static str, usize>,
    open_tasks: BTreeMap<&'static str, usize>,
}

impl Work {
    fn read(view: &View) -> Result<Self, StoreError> {
        let mut work = Self {
            scans: 0,
            runs: RunState::ALL.map(|state| (state.name(), 0)).into(),
            open_tasks: TaskState::ALL.map(|state| (state.name(), 0)).into(),
        };
        for row in view.iter(&SCANS) {
            work.scans += usize::from(row?.1.active);
        }
        for row in view.iter(&RUNS) {
            *work.runs.entry(row?.1.state.name()).or_default() += 1;
        }
        for row in view.iter(&OPEN_RUNS) {
            for row in view.within(&TASKS, &row?.1) {
                *work.open_tasks.entry(row?.1.state.name()).or_default() += 1;
            }
        }
        Ok(work)
    }
}

impl Coordinator {
    /// Counts everything.
    pub async fn statistics(&self, actor: &Actor) -> Result<Statistics, UseCaseError> {
        actor.require(Right::Read)?;
        let mut nodes: BTreeMap<&'static str, usize> = NODE_STATES.map(|state| (state, 0)).into();
        for node in self.nodes(actor).await? {
            *nodes.entry(node.status.name()).or_default() += 1;
        }
        let count = AlertPage { sort: AlertSort::default(), after: None, limit: 0 };
        let alerts = self.alerts(actor, &AlertFilter::any(), &count).await?.counts;
        let Work { scans, runs, open_tasks } = self.store().read(Work::read).await?;
        let (mesh, store) = (self.mesh_counters(actor).await?, self.store().size().await?);
        Ok(Statistics { nodes, scans, runs, open_tasks, alerts, mesh, store })
    }
}
