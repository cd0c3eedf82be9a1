//! `/alerts`: what is open and why, worst first.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::capital_text;
use crate::look::Badge;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::analysis::alert::Alert;
use protocol::task::RunId;
use protocol::task::ScanId;
use std::collections::BTreeMap;

#[derive(Template)]
#[template(path = "alerts.html")]
pub(crate) struct Alerts {
    pub(crate) alerts: Vec<AlertRow>,
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
}

impl View for Alerts {
    fn head(&self) -> Head {
        Head::top(Section::Alerts)
    }
}

/// `GET /alerts`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<Alerts>, WebError> {
    let (alerts, scans) = (app.coordinator.alerts(&actor, false).await?, app.coordinator.scans(&actor).await?);
    let has_runs = scans.iter().any(|scan| scan.last_report.is_some());
    let names: BTreeMap<ScanId, String> =
        scans.into_iter().map(|scan| (scan.scan.id, scan.scan.definition.name().to_string())).collect();
    Ok(Page(Alerts { alerts: alerts.into_iter().map(|alert| AlertRow::of(alert, &names)).collect(), has_runs }))
}

impl AlertRow {
    fn of(alert: Alert, names: &BTreeMap<ScanId, String>) -> Self {
        let Alert { key, severity, state, raised, verified, expected: _ } = alert;
        Self {
            severity: severity.into(),
            what: capital_text(key.rule.as_str()),
            host: key.address.to_string(),
            port: format!("{}/{}", key.port.port, key.port.protocol),
            scan: key.scan,
            network: names.get(&key.scan).cloned().unwrap_or_else(|| format!("scan {}", key.scan)),
            state: state.into(),
            raised,
            verified,
        }
    }
}
