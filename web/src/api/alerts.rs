//! Alerts: what is open and why, and what people decided about it.

pub(super) mod matching;

pub use matching::Matching;
pub(crate) use matching::Which;

use super::{Body, Params};
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::analysis::alert::{
    self, Action, AlertKey, AlertState, By, Deed, Evidence, Refusal, Resolution, Severity,
};
use coordinator::analysis::delta::PortId;
use coordinator::{AlertCounts, AlertSelection, AlertView, BulkOutcome};
use protocol::observation::Service;
use protocol::task::{RunId, ScanId};
use protocol::{Protocol, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Scan, address, port, protocol and rule in one word, such as `3-192.0.2.7-22-tcp-SSH`.
    pub id: String,
    /// The network.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// The network's name.
    pub network: String,
    /// The host.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// What the host was called when this was raised; may be empty.
    pub host: String,
    /// `tcp`, `udp` or `sctp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// What answered there when this was raised.
    #[schema(value_type = Option<Object>)]
    pub service: Option<Service>,
    /// The rule that it matches, or `new port`, or `service change`.
    pub rule: String,
    /// `critical`, `high`, `medium` or `low`.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// `open`, `actioned`, `ignored` or `resolved`.
    #[schema(value_type = String)]
    pub state: AlertState,
    /// The run that raised it, or raised it again.
    #[schema(value_type = u64)]
    pub raised: RunId,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    pub opened: Timestamp,
    /// When something last happened to it.
    #[schema(value_type = String, format = DateTime)]
    pub changed: Timestamp,
    /// The latest run that looked there.
    #[schema(value_type = u64)]
    pub verified: RunId,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    pub verified_at: Timestamp,
    /// False when a later run should have looked there and did not: not verified since then.
    pub is_verified: bool,
    /// How it ended, while it is resolved.
    pub resolved: Option<Resolved>,
}

/// How an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The run that saw it, or whose report was accepted.
    #[schema(value_type = u64)]
    pub run: RunId,
    /// `port-closed`, `host-gone`, `service-back`, `accepted` or `rule-changed`.
    #[schema(value_type = String)]
    pub evidence: Evidence,
}

/// An alert with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertDetail {
    /// As in lists.
    #[serde(flatten)]
    pub alert: Alert,
    /// For a changed service: what was there before.
    #[schema(value_type = Option<Object>)]
    pub expected: Option<Service>,
    /// The latest things that happened to it, oldest first.
    pub steps: Vec<Step>,
    /// How many older ones are no longer kept.
    pub folded_steps: u32,
}

/// One thing that happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `{"run": 7}` or `{"person": "ada"}`.
    #[schema(value_type = Object)]
    pub by: By,
    /// `raised`, `raised-again`, `actioned`, `ignored`, `{"regraded": …}`, `{"resolved": …}` or `{"undone": …}`.
    #[schema(value_type = Value)]
    pub what: Deed,
    /// What the person said; may be empty.
    pub comment: String,
}

/// A page of alerts, and the true numbers of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertList {
    /// The page.
    pub alerts: Vec<Alert>,
    /// How many match, on all pages.
    pub total: usize,
    /// How many there are of each state and severity, whatever `state` and `severity` were asked for.
    #[schema(value_type = Object)]
    pub counts: BTreeMap<String, BTreeMap<String, usize>>,
    /// The next page begins after this one: pass it as `after`. Absent on the last page.
    pub next: Option<String>,
}

/// What a person says about a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Comment {
    /// At most 500 characters; may be empty.
    pub comment: String,
}

/// A decision about several alerts: either these, or all that match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// `action`, `ignore` or `reopen`.
    #[schema(value_type = String)]
    pub action: Action,
    /// The ids of these.
    #[serde(default)]
    pub ids: Option<Vec<String>>,
    /// All that match.
    #[serde(default)]
    pub matching: Option<Matching>,
    /// At most 500 characters; may be empty.
    #[serde(default)]
    pub comment: String,
}

/// What came of a decision about several alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// How many were selected.
    pub selected: usize,
    /// How many stand otherwise now.
    pub changed: usize,
    /// How many stood so already.
    pub unchanged: usize,
    /// How many could not be decided about.
    pub refused: usize,
    /// Why, for the first of them.
    pub refusals: Vec<RefusedAlert>,
}

/// An alert that could not be decided about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedAlert {
    /// Which.
    pub id: String,
    /// Why.
    pub reason: String,
}

impl From<AlertView> for Alert {
    fn from(view: AlertView) -> Self {
        AlertDetail::from(view).alert
    }
}

impl From<AlertView> for AlertDetail {
    fn from(AlertView { alert, network, is_verified }: AlertView) -> Self {
        let changed = alert.changed();
        let alert::Alert {
            key,
            severity,
            state,
            before: _,
            raised,
            raised_at: opened,
            verified,
            verified_at,
            host,
            service,
            expected,
            resolution,
            trail,
        } = alert;
        let id = key.to_string();
        let AlertKey { scan, address, port: PortId { protocol, port }, rule } = key;
        let resolved = resolution.map(|Resolution { at, run, evidence }| Resolved { at, run, evidence });
        let (network, host, rule) = (network.into(), host.into(), rule.into());
        let alert = Alert {
            id,
            scan,
            network,
            address,
            host,
            protocol,
            port,
            service,
            rule,
            severity,
            state,
            raised,
            opened,
            changed,
            verified,
            verified_at,
            is_verified,
            resolved,
        };
        let alert::Trail { folded, steps } = trail;
        let step = |alert::Step { at, by, what, comment }| Step { at, by, what, comment: comment.into() };
        Self { alert, expected, steps: steps.into_iter().map(step).collect(), folded_steps: folded }
    }
}

impl From<BulkOutcome> for Outcome {
    fn from(outcome: BulkOutcome) -> Self {
        let BulkOutcome { selected, changed, unchanged, refused, refusals } = outcome;
        let refusal =
            |(key, reason): (AlertKey, Refusal)| RefusedAlert { id: key.to_string(), reason: reason.to_string() };
        Self { selected, changed, unchanged, refused, refusals: refusals.into_iter().map(refusal).collect() }
    }
}

pub(super) fn counted(counts: &AlertCounts) -> BTreeMap<String, BTreeMap<String, usize>> {
    let of = |state| Severity::ALL.map(|severity| (severity.name().to_owned(), counts.of(state, severity)));
    AlertState::ALL.map(|state| (state.name().to_owned(), of(state).into())).into()
}

/// An id that nothing can have is one that is not there.
fn key(id: &str) -> Result<AlertKey, WebError> {
    let bad = |error| WebError::NotFound(format!("{error}; `portdrift alerts list --quiet` prints them"));
    id.parse().map_err(bad)
}

/// A page of alerts, the worst first; by default those that are open or actioned.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(Which), responses((status = 200, body = AlertList)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
) -> Result<Json<AlertList>, WebError> {
    let (filter, page) = which.read()?;
    let coordinator::AlertList { alerts, total, counts, next } = app.coordinator.alerts(&actor, &filter, &page).await?;
    let alerts = alerts.into_iter().map(Alert::from).collect();
    Ok(Json(AlertList { alerts, total, counts: counted(&counts), next: next.map(|key| key.to_string()) }))
}

/// One alert with its history.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = AlertDetail)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<AlertDetail>, WebError> {
    Ok(Json(app.coordinator.alert(&actor, &key(&id)?).await?.into()))
}

/// Decides about one alert: `action`, `ignore`, or `reopen` to undo either.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/{action}", tag = "alerts", params(("id" = String, Path), ("action" = String, Path)), request_body = Comment, responses((status = 200, body = AlertDetail)))]
pub(crate) async fn decide(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((id, action)): Path<(String, String)>,
    Body(Comment { comment }): Body<Comment>,
) -> Result<Json<AlertDetail>, WebError> {
    let action = Action::ALL.into_iter().find(|known| known.name() == action).ok_or(WebError::NoSuchPage)?;
    Ok(Json(app.coordinator.decide_alert(&actor, &key(&id)?, action, &comment).await?.into()))
}

/// Decides about several alerts at once.
#[utoipa::path(post, path = "/api/v1/alerts/bulk", tag = "alerts", request_body = Bulk, responses((status = 200, body = Outcome)))]
pub(crate) async fn decide_all(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(Bulk { action, ids, matching, comment }): Body<Bulk>,
) -> Result<Json<Outcome>, WebError> {
    let which = match (ids, matching) {
        (Some(ids), None) => AlertSelection::Keys(ids.iter().map(|id| key(id)).collect::<Result<_, _>>()?),
        (None, Some(matching)) => AlertSelection::Matching(matching.filter()?.into()),
        (Some(_), Some(_)) | (None, None) => {
            return Err(WebError::field("ids", "give either ids or matching, to say which alerts are meant"));
        }
    };
    Ok(Json(app.coordinator.decide_alerts(&actor, which, action, &comment).await?.into()))
}
