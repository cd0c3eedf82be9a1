//! `/alerts`: what is open and why, worst first, page by page.

use crate::App;
use crate::api::Params;
use crate::error::WebError;
use crate::filters;
use crate::filters::capital_text;
use crate::look::Badge;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::analysis::alert::{Alert, AlertFilter, AlertKey, AlertSort};
use coordinator::{AlertPage, AlertView};
use protocol::task::{RunId, ScanId};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "alerts.html")]
pub(crate) struct Alerts {
    pub(crate) alerts: Vec<AlertRow>,
    /// On all pages.
    pub(crate) total: usize,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    pub(crate) has_runs: bool,
}

/// One alert in the list.
pub(crate) struct AlertRow {
    pub(crate) severity: Badge,
    pub(crate) what: String,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) scan: ScanId,
    pub(crate) network: String,
    pub(crate) state: Badge,
    pub(crate) raised: RunId,
    pub(crate) verified: RunId,
    /// Whether the latest run that should have looked there did.
    pub(crate) is_verified: bool,
}

impl View for Alerts {
    fn head(&self) -> Head {
        Head::top(Section::Alerts)
    }
}

/// How many alerts a page shows.
const PAGE: usize = 100;

/// Where a page begins.
#[derive(Deserialize)]
pub(crate) struct Start {
    /// After this alert's id.
    after: Option<String>,
}

/// `GET /alerts`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(Start { after }): Params<Start>,
) -> Result<Page<Alerts>, WebError> {
    let after = after.map(|id| id.parse::<AlertKey>()).transpose().map_err(|error| WebError::field("after", error))?;
    let page = AlertPage { sort: AlertSort::default(), after, limit: PAGE };
    let list = app.coordinator.alerts(&actor, &AlertFilter::default(), &page).await?;
    let has_runs = app.coordinator.scans(&actor).await?.iter().any(|scan| scan.last_report.is_some());
    let next = list.next.map(|key| key.to_string());
    Ok(Page(Alerts { alerts: list.alerts.into_iter().map(AlertRow::of).collect(), total: list.total, next, has_runs }))
}

impl AlertRow {
    fn of(AlertView { alert, network, is_verified }: AlertView) -> Self {
        let Alert { key, severity, state, raised, verified, .. } = alert;
        Self {
            severity: severity.into(),
            what: capital_text(key.rule.as_str()),
            host: key.address.to_string(),
            port: format!("{}/{}", key.port.port, key.port.protocol),
            scan: key.scan,
            network: network.into(),
            state: state.into(),
            raised,
            verified,
            is_verified,
        }
    }
}
