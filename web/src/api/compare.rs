//! Any two runs of a scan against each other.

use super::reports::{Change, Note};
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Query, State};
use coordinator::analysis::delta;
use protocol::task::{RunId, ScanId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What one run found otherwise than another one of the same scan. Only what both settled is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// The network.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// The run that counts as the earlier one.
    #[schema(value_type = u64)]
    pub from: RunId,
    /// The run that counts as the later one.
    #[schema(value_type = u64)]
    pub to: RunId,
    /// Hosts that the earlier run saw.
    pub hosts_before: u64,
    /// Hosts that the later run saw.
    pub hosts_after: u64,
    /// What changed, by address, port and kind.
    pub changes: Vec<Change>,
    /// What looks like a change and counts as none.
    pub notes: Vec<Note>,
    /// Lines beyond the limit, which are not listed.
    pub left_out: u64,
    /// Addresses that both asked.
    pub shared_addresses: u64,
    /// Cells that only the later run looked at.
    pub newly_covered_cells: u64,
    /// Cells that only the earlier run looked at.
    pub no_longer_covered_cells: u64,
}

/// Which two runs.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Their scan.
    #[param(value_type = u64)]
    scan: ScanId,
    /// The run that counts as the earlier one.
    #[param(value_type = u64)]
    from: RunId,
    /// The run that counts as the later one.
    #[param(value_type = u64)]
    to: RunId,
}

impl From<coordinator::Comparison> for Comparison {
    fn from(comparison: coordinator::Comparison) -> Self {
        let coordinator::Comparison {
            scan,
            from,
            to,
            changes,
            notes,
            left_out,
            hosts: (hosts_before, hosts_after),
            shared_addresses,
            newly_covered_cells,
            no_longer_covered_cells,
        } = comparison;
        let note = |delta::Note { kind, change }| Note { kind, change: Change::from(change) };
        Self {
            scan,
            from,
            to,
            hosts_before,
            hosts_after,
            changes: changes.into_iter().map(Change::from).collect(),
            notes: notes.into_iter().map(note).collect(),
            left_out,
            shared_addresses,
            newly_covered_cells,
            no_longer_covered_cells,
        }
    }
}

/// Two runs of a scan, compared as a report compares.
#[utoipa::path(get, path = "/api/v1/compare", tag = "reports", params(Which), responses((status = 200, body = Comparison)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(Which { scan, from, to }): Query<Which>,
) -> Result<Json<Comparison>, WebError> {
    Ok(Json(app.coordinator.compare_runs(&actor, scan, from, to).await?.into()))
}
