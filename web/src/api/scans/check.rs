//! What a definition would come to, before it is saved.

use super::NewScan;
use crate::App;
use crate::api::Body;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Query, State};
use coordinator::Reach;
use coordinator::scan::FieldError;
use protocol::task::ScanId;
use protocol::{TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a definition asks for, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanCheck {
    /// Addresses to scan.
    #[schema(value_type = u64)]
    pub addresses: u128,
    /// Ports of each; absent for the engine's own set.
    pub ports: Option<u32>,
    /// Addresses that no approved node of the site has in its ranges.
    #[schema(value_type = String)]
    pub uncovered: TargetSet,
    /// How many those are.
    #[schema(value_type = u64)]
    pub uncovered_addresses: u128,
    /// The next three runs by itself.
    #[schema(value_type = Vec<String>, format = DateTime)]
    pub next_runs: Vec<Timestamp>,
}

impl From<Reach> for ScanCheck {
    fn from(reach: Reach) -> Self {
        let Reach { addresses, ports, uncovered, coming, name_taken: _ } = reach;
        Self { addresses, ports, uncovered_addresses: uncovered.count(), uncovered, next_runs: coming }
    }
}

/// In place of which scan.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct InPlaceOf {
    scan: Option<ScanId>,
}

/// Checks a definition as saving would, and saves nothing. A body and no query, since a thousand targets may come.
#[utoipa::path(post, path = "/api/v1/scans/check", tag = "scans", params(("scan" = Option<u64>, Query, description = "The scan that it is to replace")), request_body = NewScan, responses((status = 200, body = ScanCheck)))]
pub(crate) async fn check(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(InPlaceOf { scan }): Query<InPlaceOf>,
    Body(new): Body<NewScan>,
) -> Result<Json<ScanCheck>, WebError> {
    let reach = app.coordinator.check_scan(&actor, &new.into(), scan).await?;
    match reach.name_taken {
        Some(other) => Err(WebError::field("name", FieldError::NameTaken(other))),
        None => Ok(Json(reach.into())),
    }
}
