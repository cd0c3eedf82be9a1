//! `/alerts`: what is open and why, worst first; found by filters in the address, decided about one by one or together.

mod bulk;

pub(crate) use bulk::{decide, outcome_words};

use crate::App;
use crate::api::Params;
use crate::api::alerts::Which;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::filters::capital_text;
use crate::look::Badge;
use crate::page::choices::{Chips, Choice, Pager, words_of};
use crate::page::{Head, Page, Section, View};
use crate::query::Fields;
use crate::session::{self, Caller};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::analysis::alert::{Alert, AlertFilter, AlertSort, AlertState, Severity};
use coordinator::{Actor, AlertList, AlertPage, AlertView, Right};
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use std::collections::BTreeSet;
use tower_sessions::Session;

/// How many alerts a page shows when nothing else is asked for, at least and at most.
const ROWS: (usize, usize, usize) = (50, 10, 200);

#[derive(Template)]
#[template(path = "alerts.html")]
pub(crate) struct Alerts {
    /// What is asked for.
    pub(crate) fields: Fields,
    /// Numbers and names of networks.
    pub(crate) networks: Vec<(String, String)>,
    pub(crate) alerts: Vec<AlertRow>,
    /// Matching, on all pages.
    pub(crate) total: usize,
    /// Of every state and network.
    pub(crate) all: usize,
    /// Matching apart from severity, for each severity.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) pager: Pager,
    pub(crate) has_runs: bool,
    pub(crate) may_decide: bool,
    pub(crate) faults: Faults,
    /// Typed into a form that was not taken.
    pub(crate) comment: String,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// How many alerts of one severity there are, and the way to them.
pub(crate) struct Tally {
    pub(crate) severity: Badge,
    pub(crate) count: usize,
    pub(crate) path: String,
}

/// One alert in the list.
pub(crate) struct AlertRow {
    pub(crate) id: String,
    pub(crate) severity: Badge,
    pub(crate) what: String,
    pub(crate) host: String,
    /// What the host is called; may be empty.
    pub(crate) name: String,
    pub(crate) port: String,
    pub(crate) scan: ScanId,
    pub(crate) network: String,
    pub(crate) state: Badge,
    pub(crate) raised: RunId,
    pub(crate) opened: Timestamp,
    pub(crate) verified: RunId,
    pub(crate) verified_at: Timestamp,
    /// Whether the latest run that should have looked there did.
    pub(crate) is_verified: bool,
    pub(crate) is_chosen: bool,
}

impl View for Alerts {
    fn head(&self) -> Head {
        Head::top(Section::Alerts)
    }
}

const STATES: [(&str, &str); 6] = [
    ("", "Active"),
    ("open", "Open"),
    ("actioned", "Actioned"),
    ("ignored", "Ignored"),
    ("resolved", "Resolved"),
    ("all", "All"),
];
const SEVERITIES: [(&str, &str); 6] = [
    ("", "All"),
    ("critical", "Critical"),
    ("high", "High"),
    ("medium", "Medium"),
    ("low", "Low"),
    ("critical,high", "Critical and high"),
];
const VERIFIED: [(&str, &str); 3] = [("", "All"), ("true", "Verified"), ("false", "Not verified")];
const LABELS: [(&str, &str); 8] = [
    ("state", "State"),
    ("severity", "Severity"),
    ("scan", "Network"),
    ("address", "Host"),
    ("port", "Port"),
    ("rule", "Rule"),
    ("text", "Text"),
    ("verified", "Latest look"),
];

impl Alerts {
    const PATH: &'static str = "/alerts";

    fn choices(&self) -> [Choice<'_>; 4] {
        let networks = self.networks.iter().map(|(number, name)| (number.as_str(), name.as_str()));
        [
            Choice::of("state", "State", STATES, self.fields.get("state")),
            Choice::of("severity", "Severity", SEVERITIES, self.fields.get("severity")),
            Choice::of("scan", "Network", [("", "All")].into_iter().chain(networks), self.fields.get("scan")),
            Choice::of("verified", "Latest look", VERIFIED, self.fields.get("verified")),
        ]
    }

    fn chips(&self) -> Chips {
        let words = |name: &str, value: &str| match name {
            "state" => words_of(&STATES, value),
            "severity" => words_of(&SEVERITIES, value),
            "verified" => words_of(&VERIFIED, value),
            "scan" => self.networks.iter().find(|(number, _)| number == value).map_or(value, |(_, name)| name).into(),
            _ => value.to_owned(),
        };
        Chips::of(Self::PATH, &self.fields.clone().with("after", ""), &LABELS, words)
    }

    /// The list in another order, from its beginning.
    fn sorted(&self, sort: &str) -> String {
        format!("{}{}", Self::PATH, self.fields.clone().with("sort", sort).with("after", ""))
    }

    /// Which way the column of this order runs, when it is the order.
    fn direction(&self, sort: &str) -> Option<&'static str> {
        let chosen = Some(self.fields.get("sort")).filter(|sort| !sort.is_empty()).unwrap_or("severity");
        let word = if ["severity", "opened"].contains(&sort) { "descending" } else { "ascending" };
        (chosen == sort).then_some(word)
    }
}

/// `GET /alerts`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Params(which): Params<Which>,
) -> Result<Response, WebError> {
    let told = session::told(&session).await?;
    match Alerts::read(&app, &actor, &which).await {
        Ok(page) => Ok(Page(Alerts { told, ..page }).into_response()),
        Err(WebError::Invalid(faults)) => {
            let page = Alerts::nothing(&app, &actor, &which).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(Alerts { faults: faults.into(), ..page })).into_response())
        }
        Err(error) => Err(error),
    }
}

fn fields(which: &Which) -> Fields {
    let Which { state, severity, scan, address, port, rule, text, verified, sort, after, limit } = which;
    let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
    Fields::of([
        ("state", state),
        ("severity", severity),
        ("scan", scan),
        ("address", address),
        ("port", port),
        ("rule", rule),
        ("text", text),
        ("verified", verified),
        ("sort", sort),
        ("limit", &limit),
        ("after", after),
    ])
}

impl Alerts {
    /// The page without its list.
    async fn nothing(app: &App, actor: &Actor, which: &Which) -> Result<Self, WebError> {
        let scans = app.coordinator.scans(actor).await?;
        let any = AlertPage { sort: AlertSort::default(), after: None, limit: 0 };
        let all = app.coordinator.alerts(actor, &AlertFilter::any(), &any).await?.total;
        let network =
            |view: &coordinator::ScanView| (view.scan.id.to_string(), view.scan.definition.name().to_string());
        Ok(Self {
            fields: fields(which),
            networks: scans.iter().map(network).collect(),
            alerts: Vec::new(),
            total: 0,
            all,
            tallies: Vec::new(),
            pager: Pager::default(),
            has_runs: scans.iter().any(|scan| scan.last_report.is_some()),
            may_decide: actor.role.may(Right::Operate),
            faults: Faults::default(),
            comment: String::new(),
            told: None,
        })
    }

    async fn read(app: &App, actor: &Actor, which: &Which) -> Result<Self, WebError> {
        let (usual, least, most) = ROWS;
        let limit = Some(which.limit.unwrap_or(usual).clamp(least, most));
        let (filter, page) = Which { limit, ..which.clone() }.read()?;
        let AlertList { alerts, total, counts, next } = app.coordinator.alerts(actor, &filter, &page).await?;
        let fields = fields(which);
        let tally = |severity: Severity| {
            let states = if filter.states.is_empty() { AlertState::ALL.to_vec() } else { filter.states.clone() };
            let path = fields.clone().with("severity", severity.name()).with("after", "");
            let count = states.into_iter().map(|state| counts.of(state, severity)).sum();
            Tally { severity: severity.into(), count, path: format!("{}{path}", Self::PATH) }
        };
        let pager = Pager {
            first: (!which.after.is_empty()).then(|| format!("{}{}", Self::PATH, fields.clone().with("after", ""))),
            next: next.map(|key| format!("{}{}", Self::PATH, fields.clone().with("after", key))),
        };
        let tallies = Severity::ALL.into_iter().map(tally).filter(|tally| tally.count > 0).collect();
        let alerts = alerts.into_iter().map(AlertRow::of).collect();
        Ok(Self { alerts, total, tallies, pager, ..Self::nothing(app, actor, which).await? })
    }

    fn choose(&mut self, ids: &BTreeSet<String>) {
        self.alerts.iter_mut().for_each(|row| row.is_chosen = ids.contains(&row.id));
    }
}

impl AlertRow {
    fn of(AlertView { alert, network, is_verified }: AlertView) -> Self {
        let Alert { key, severity, state, raised, raised_at, verified, verified_at, host, .. } = alert;
        Self {
            id: key.to_string(),
            severity: severity.into(),
            what: capital_text(key.rule.as_str()),
            host: key.address.to_string(),
            name: host.into(),
            port: format!("{}/{}", key.port.port, key.port.protocol),
            scan: key.scan,
            network: network.into(),
            state: state.into(),
            raised,
            opened: raised_at,
            verified,
            verified_at,
            is_verified,
            is_chosen: false,
        }
    }
}
