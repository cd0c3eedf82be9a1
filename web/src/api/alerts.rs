//! Alerts: what is open and why.

use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Query, State};
use coordinator::analysis::alert::{self, AlertKey, AlertState, Severity};
use protocol::Protocol;
use protocol::task::{RunId, ScanId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// The network.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// The host.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// `tcp`, `udp` or `sctp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// The rule that it matches.
    pub rule: String,
    /// `critical`, `high`, `medium` or `low`.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// `open`, `actioned`, `ignored` or `resolved`.
    #[schema(value_type = String)]
    pub state: AlertState,
    /// The run that raised it.
    #[schema(value_type = u64)]
    pub raised: RunId,
    /// The latest run that looked there.
    #[schema(value_type = u64)]
    pub verified: RunId,
}

/// Which alerts.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Also those that are over.
    #[serde(default)]
    resolved: bool,
}

impl From<alert::Alert> for Alert {
    fn from(alert: alert::Alert) -> Self {
        let alert::Alert { key, severity, state, raised, verified, expected: _ } = alert;
        let AlertKey { scan, address, port, rule } = key;
        let (protocol, port) = (port.protocol, port.port);
        Self { scan, address, protocol, port, rule: rule.into(), severity, state, raised, verified }
    }
}

/// Alerts, worst first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(Which), responses((status = 200, body = Vec<Alert>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(Which { resolved }): Query<Which>,
) -> Result<Json<Vec<Alert>>, WebError> {
    let alerts = app.coordinator.alerts(&actor, resolved).await?;
    Ok(Json(alerts.into_iter().map(Alert::from).collect()))
}
