//! `/settings/retention`: how long runs are kept, by default and for single scans; administrators change it.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::{Head, Page, View};
use crate::query::Fields;
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::retention::{MAX_DAYS, MAX_RUNS, MIN_RUNS, Retention};
use coordinator::{Actor, Right, ScanRetention};
use protocol::Timestamp;
use protocol::task::ScanId;
use std::collections::BTreeMap;
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "retention.html")]
pub(crate) struct RetentionPage {
    /// The default limits in words.
    pub(crate) default: String,
    pub(crate) scans: Vec<Row>,
    pub(crate) may_edit: bool,
    pub(crate) form: RetentionForm,
    /// The name of the scan that the form is about; `None`: the default.
    pub(crate) edited: Option<String>,
    /// Whether that scan has limits of its own.
    pub(crate) has_own: bool,
    pub(crate) faults: Faults,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// One scan.
pub(crate) struct Row {
    pub(crate) scan: ScanId,
    pub(crate) name: String,
    /// Its limits in words.
    pub(crate) kept: String,
    pub(crate) has_own: bool,
    pub(crate) runs: u64,
    pub(crate) oldest: Option<Timestamp>,
    /// The way to the form with this scan in it.
    pub(crate) edit: String,
}

/// What a person types; empty limits are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct RetentionForm {
    /// The scan's number; empty for the default.
    pub(crate) scan: String,
    pub(crate) runs: String,
    pub(crate) days: String,
}

impl View for RetentionPage {
    fn head(&self) -> Head {
        Head::settings(PATH, "Retention")
    }
}

const PATH: &str = "/settings/retention";

/// Which scan the form is to be about.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    scan: String,
}

/// `GET /settings/retention`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Query(Wanted { scan }): Query<Wanted>,
) -> Result<Page<RetentionPage>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(RetentionPage { told, ..RetentionPage::read(&app, &actor, &scan, None).await? }))
}

/// `POST /settings/retention`
pub(crate) async fn set(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(form): Form<RetentionForm>,
) -> Result<Response, WebError> {
    let outcome = match form.read() {
        Ok((None, retention)) => {
            let set = app.coordinator.set_retention(&actor, retention).await;
            set.map(|set| format!("kept by default: {}", set.words())).map_err(WebError::from)
        }
        Ok((Some(scan), retention)) => {
            let set = app.coordinator.set_scan_retention(&actor, scan, Some(retention)).await;
            set.map(|set| format!("kept of {}: {}", set.name, retention.words())).map_err(WebError::from)
        }
        Err(fault) => Err(fault),
    };
    answer(&app, &actor, &session, form, outcome).await
}

/// `POST /settings/retention/reset`
pub(crate) async fn reset(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(Wanted { scan }): Form<Wanted>,
) -> Result<Response, WebError> {
    let form = RetentionForm { scan, ..RetentionForm::default() };
    let outcome = match form.scan() {
        Ok(Some(scan)) => {
            let reset = app.coordinator.set_scan_retention(&actor, scan, None).await;
            reset.map(|set| format!("the default limits hold for {} again", set.name)).map_err(WebError::from)
        }
        Ok(None) | Err(_) => Err(WebError::field("scan", "name the scan by its number")),
    };
    answer(&app, &actor, &session, form, outcome).await
}

async fn answer(
    app: &App,
    actor: &Actor,
    session: &Session,
    form: RetentionForm,
    outcome: Result<String, WebError>,
) -> Result<Response, WebError> {
    match outcome {
        Ok(told) => {
            session::tell(session, told).await?;
            Ok(Redirect::to(&app.link(PATH)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let scan = form.scan.clone();
            let page =
                RetentionPage { faults: faults.into(), ..RetentionPage::read(app, actor, &scan, Some(form)).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

impl RetentionForm {
    fn of(scan: &str, Retention { runs, days }: Retention) -> Self {
        let text = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        Self { scan: scan.to_owned(), runs: text(runs), days: text(days) }
    }

    fn scan(&self) -> Result<Option<ScanId>, WebError> {
        match self.scan.trim() {
            "" => Ok(None),
            scan => scan.parse().map(Some).map_err(|_| WebError::field("scan", "that is no number of a scan")),
        }
    }

    fn read(&self) -> Result<(Option<ScanId>, Retention), WebError> {
        let mut faults: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut limit = |field: &'static str, text: &str, words: String| match text.trim() {
            "" => None,
            typed => typed.parse().map_err(|_| drop(faults.insert(field, words))).ok(),
        };
        let runs = limit("runs", &self.runs, format!("write a number from {MIN_RUNS} to {MAX_RUNS}, or nothing"));
        let days = limit("days", &self.days, format!("write a number from 1 to {MAX_DAYS}, or nothing"));
        let scan = self.scan()?;
        if faults.is_empty() { Ok((scan, Retention { runs, days })) } else { Err(WebError::Invalid(faults)) }
    }
}

impl RetentionPage {
    /// The page with the form about `scan`, filled with what is in force or with what was `typed`.
    async fn read(app: &App, actor: &Actor, scan: &str, typed: Option<RetentionForm>) -> Result<Self, WebError> {
        let view = app.coordinator.retention(actor).await?;
        let edited = view.scans.iter().find(|of| of.scan.to_string() == scan);
        let in_force = edited.and_then(|of| of.own).unwrap_or(view.default);
        let number = edited.map(|of| of.scan.to_string()).unwrap_or_default();
        Ok(Self {
            default: view.default.words(),
            scans: view.scans.iter().map(|of| Row::new(of, view.default)).collect(),
            may_edit: actor.role.may(Right::Administer),
            form: typed.unwrap_or_else(|| RetentionForm::of(&number, in_force)),
            edited: edited.map(|of| of.name.to_string()),
            has_own: edited.is_some_and(|of| of.own.is_some()),
            faults: Faults::default(),
            told: None,
        })
    }
}

impl Row {
    fn new(of: &ScanRetention, default: Retention) -> Self {
        let ScanRetention { scan, name, own, runs, oldest } = of;
        let edit = format!("{PATH}{}#limits", Fields::of([("scan", scan.to_string().as_str())]));
        let (kept, has_own) = (own.unwrap_or(default).words(), own.is_some());
        Self { scan: *scan, name: name.to_string(), kept, has_own, runs: *runs, oldest: *oldest, edit }
    }
}
