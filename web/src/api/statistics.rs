//! Statistics: what there is of everything, in numbers. `/metrics` tells the same to a monitoring system.

use super::alerts::counted;
use super::counters::MeshCounts;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use coordinator::StoreSize;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What there is at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Statistics {
    /// Nodes by state.
    pub nodes: BTreeMap<String, usize>,
    /// Active scans.
    pub scans: usize,
    /// Runs that are kept, by state.
    pub runs: BTreeMap<String, usize>,
    /// Tasks of runs that have not ended, by state.
    pub open_tasks: BTreeMap<String, usize>,
    /// Alerts by state and severity.
    pub alerts: BTreeMap<String, BTreeMap<String, usize>>,
    /// What the mesh passed on, lost and refused.
    pub mesh: MeshCounts,
    /// How large the store is.
    pub store: Store,
}

/// How large the store is, and what its disk has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Store {
    /// How many changes there were since the store was made.
    pub changes: u64,
    /// Rows of the index.
    pub rows: u64,
    /// The journal's files.
    pub journal_bytes: u64,
    /// The index's files.
    pub index_bytes: u64,
    /// What the disk has left; 0 when it does not tell.
    pub disk_free_bytes: u64,
    /// What the disk holds in all; 0 when it does not tell.
    pub disk_bytes: u64,
}

fn named(counts: BTreeMap<&'static str, usize>) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(state, count)| (state.to_owned(), count)).collect()
}

impl From<coordinator::Statistics> for Statistics {
    fn from(statistics: coordinator::Statistics) -> Self {
        let coordinator::Statistics { nodes, scans, runs, open_tasks, alerts, mesh, store } = statistics;
        let StoreSize { sequence, rows, journal_bytes, index_bytes, free_bytes, disk_bytes } = store;
        Self {
            nodes: named(nodes),
            scans,
            runs: named(runs),
            open_tasks: named(open_tasks),
            alerts: counted(&alerts),
            mesh: mesh.into(),
            store: Store {
                changes: sequence,
                rows,
                journal_bytes,
                index_bytes,
                disk_free_bytes: free_bytes,
                disk_bytes,
            },
        }
    }
}

/// What there is of everything, in numbers.
#[utoipa::path(get, path = "/api/v1/statistics", tag = "statistics", responses((status = 200, body = Statistics)))]
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Statistics>, WebError> {
    Ok(Json(app.coordinator.statistics(&actor).await?.into()))
}
