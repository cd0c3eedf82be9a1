//! Alert rules: which open ports are worth an alert.

use super::Body;
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::analysis::alert::{self, Severity};
use coordinator::analysis::delta::PortId;
use coordinator::rules::port_of;
use protocol::Protocol;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An open port that is worth an alert. There is at most one rule for a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// `tcp`, `udp` or `sctp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// What people call it.
    pub name: String,
    /// `critical`, `high`, `medium` or `low`.
    #[schema(value_type = String)]
    pub severity: Severity,
}

/// What the rule of a port is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRule {
    /// 1 to 64 characters.
    pub name: String,
    /// `critical`, `high`, `medium` or `low`.
    #[schema(value_type = String)]
    pub severity: Severity,
}

impl From<alert::Rule> for Rule {
    fn from(rule: alert::Rule) -> Self {
        let alert::Rule { name, severity, protocol, port } = rule;
        Self { protocol, port, name: name.into(), severity }
    }
}

fn port(protocol: &str, port: &str) -> Result<PortId, WebError> {
    port_of(&format!("{port}/{protocol}")).map_err(|error| WebError::field("port", error))
}

/// The rules in force, the worst first.
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules", responses((status = 200, body = Vec<Rule>)))]
pub(crate) async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<Rule>>, WebError> {
    Ok(Json(app.coordinator.rules(&actor).await?.into_iter().map(Rule::from).collect()))
}

/// Makes the rule of a port, or replaces it; it counts from the next run of each scan on.
#[utoipa::path(put, path = "/api/v1/rules/{protocol}/{port}", tag = "rules", params(("protocol" = String, Path), ("port" = u16, Path)), request_body = SetRule, responses((status = 200, body = Rule)))]
pub(crate) async fn set(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((protocol, number)): Path<(String, String)>,
    Body(SetRule { name, severity }): Body<SetRule>,
) -> Result<Json<Rule>, WebError> {
    Ok(Json(app.coordinator.set_rule(&actor, port(&protocol, &number)?, &name, severity).await?.into()))
}

/// Removes the rule of a port; its alerts end with the next run that sees the port.
#[utoipa::path(delete, path = "/api/v1/rules/{protocol}/{port}", tag = "rules", params(("protocol" = String, Path), ("port" = u16, Path)), responses((status = 200, body = Rule)))]
pub(crate) async fn remove(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((protocol, number)): Path<(String, String)>,
) -> Result<Json<Rule>, WebError> {
    Ok(Json(app.coordinator.remove_rule(&actor, port(&protocol, &number)?).await?.into()))
}

/// Takes every edit back: the default rules are in force again.
#[utoipa::path(post, path = "/api/v1/rules/reset", tag = "rules", responses((status = 200, body = Vec<Rule>)))]
pub(crate) async fn reset(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Vec<Rule>>, WebError> {
    Ok(Json(app.coordinator.reset_rules(&actor).await?.into_iter().map(Rule::from).collect()))
}
