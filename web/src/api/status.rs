//! Status: what the coordinator says of itself.

use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use protocol::Fingerprint;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use utoipa::ToSchema;

/// How the coordinator is at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Where browsers find the dashboard.
    pub dashboard: String,
    /// The mesh, by its key.
    #[schema(value_type = String)]
    pub mesh: Fingerprint,
    /// The coordinator's own key.
    #[schema(value_type = String)]
    pub fingerprint: Fingerprint,
    /// Where nodes reach it.
    #[schema(value_type = Vec<String>)]
    pub mesh_addresses: Vec<SocketAddr>,
    /// Where nodes ask to join.
    #[schema(value_type = Vec<String>)]
    pub enrolment_addresses: Vec<SocketAddr>,
    /// Why no new work is begun; absent while it is.
    pub refusal: Option<String>,
}

/// How the coordinator is.
#[utoipa::path(get, path = "/api/v1/status", tag = "status", responses((status = 200, body = Status)))]
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Status>, WebError> {
    let coordinator::Status { uptime, mesh, key, mesh_addresses, enrolment_addresses, refusal } =
        app.coordinator.status(&actor).await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: uptime.as_secs(),
        dashboard: app.settings.address.clone(),
        mesh: mesh.fingerprint(),
        fingerprint: key.fingerprint(),
        mesh_addresses,
        enrolment_addresses,
        refusal,
    }))
}
