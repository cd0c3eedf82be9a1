//! `/alerts/{id}`: what is there, why it is rated so, what happened to it; and deciding about it.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::filters::capital_text;
use crate::look::Badge;
use crate::page::alerts::outcome_words;
use crate::page::report::service_words;
use crate::page::{Head, Page, Section, View};
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::analysis::alert::{Action, Alert, AlertKey, AlertState, By, Rule, Step, rule_for};
use coordinator::{Actor, AlertSelection, AlertView, Right};
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "alert.html")]
pub(crate) struct AlertPage {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) severity: Badge,
    pub(crate) state: Badge,
    pub(crate) host: String,
    /// What the host is called; may be empty.
    pub(crate) name: String,
    pub(crate) port: String,
    pub(crate) scan: ScanId,
    pub(crate) network: String,
    /// Why the severity is what it is.
    pub(crate) why: String,
    /// What answered when it was raised; may be empty.
    pub(crate) service: String,
    /// For a changed service: what was there before.
    pub(crate) expected: Option<String>,
    pub(crate) raised: RunId,
    pub(crate) opened: Timestamp,
    pub(crate) verified: RunId,
    pub(crate) verified_at: Timestamp,
    pub(crate) is_verified: bool,
    /// The latest first.
    pub(crate) steps: Vec<StepRow>,
    /// How many older steps are no longer kept.
    pub(crate) folded: u32,
    /// What can be decided: value and words.
    pub(crate) actions: Vec<(&'static str, &'static str)>,
    pub(crate) comment: String,
    pub(crate) faults: Faults,
    pub(crate) told: Option<String>,
}

/// One thing that happened to an alert.
pub(crate) struct StepRow {
    pub(crate) at: Timestamp,
    /// The run that did it, when it was none of the people.
    pub(crate) run: Option<RunId>,
    pub(crate) person: String,
    pub(crate) words: String,
    pub(crate) comment: String,
}

impl View for AlertPage {
    fn head(&self) -> Head {
        Head::below(Section::Alerts, format!("{} on {}", self.what, self.host))
    }
}

/// What a person decides.
#[derive(serde::Deserialize)]
pub(crate) struct Decision {
    action: String,
    #[serde(default)]
    comment: String,
}

/// `GET /alerts/{id}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path(id): Path<String>,
) -> Result<Page<AlertPage>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(AlertPage { told, ..AlertPage::read(&app, &actor, &key(&id)?).await? }))
}

/// `POST /alerts/{id}`
pub(crate) async fn decide(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path(id): Path<String>,
    Form(Decision { action, comment }): Form<Decision>,
) -> Result<Response, WebError> {
    let key = key(&id)?;
    let known = Action::ALL.into_iter().find(|known| known.name() == action);
    let outcome = match known {
        None => Err(WebError::field("action", "choose what to do: action, ignore or reopen")),
        Some(action) => {
            let one = AlertSelection::Keys(vec![key.clone()]);
            let outcome = app.coordinator.decide_alerts(&actor, one, action, &comment).await;
            outcome.map(|outcome| outcome_words(action, &outcome)).map_err(WebError::from)
        }
    };
    match outcome {
        Ok(told) => {
            session::tell(&session, told).await?;
            Ok(Redirect::to(&app.link(&format!("/alerts/{key}"))).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = AlertPage::read(&app, &actor, &key).await?;
            let page = AlertPage { comment, faults: faults.into(), ..page };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

/// An id that nothing can have is one that is not there.
fn key(id: &str) -> Result<AlertKey, WebError> {
    id.parse().map_err(|error| WebError::NotFound(format!("{error}; the list of alerts links to each of them")))
}

impl AlertPage {
    async fn read(app: &App, actor: &Actor, key: &AlertKey) -> Result<Self, WebError> {
        let view = app.coordinator.alert(actor, key).await?;
        let rules = app.coordinator.rules(actor).await?;
        Ok(Self::of(view, &rules, actor.role.may(Right::Operate)))
    }

    fn of(AlertView { alert, network, is_verified }: AlertView, rules: &[Rule], may_decide: bool) -> Self {
        let (why, actions) = (why(&alert, rules), if may_decide { actions(&alert) } else { Vec::new() });
        let key = &alert.key;
        Self {
            id: key.to_string(),
            what: capital_text(key.rule.as_str()),
            severity: alert.severity.into(),
            state: alert.state.into(),
            host: key.address.to_string(),
            port: format!("{}/{}", key.port.port, key.port.protocol),
            scan: key.scan,
            network: network.into(),
            why,
            service: alert.service.as_ref().map(service_words).unwrap_or_default(),
            expected: alert.expected.as_ref().map(service_words),
            name: alert.host.into(),
            raised: alert.raised,
            opened: alert.raised_at,
            verified: alert.verified,
            verified_at: alert.verified_at,
            is_verified,
            steps: alert.trail.steps.into_iter().rev().map(StepRow::from).collect(),
            folded: alert.trail.folded,
            actions,
            comment: String::new(),
            faults: Faults::default(),
            told: None,
        }
    }
}

impl From<Step> for StepRow {
    fn from(Step { at, by, what, comment }: Step) -> Self {
        let (run, person) = match by {
            By::Run(run) => (Some(run), String::new()),
            By::Person(name) => (None, name.into()),
        };
        Self { at, run, person, words: what.words(), comment: comment.into() }
    }
}

fn actions(alert: &Alert) -> Vec<(&'static str, &'static str)> {
    let (action, ignore, reopen) = (("action", "Mark actioned"), ("ignore", "Ignore"), ("reopen", "Reopen"));
    match alert.state {
        AlertState::Open => vec![action, ignore],
        AlertState::Actioned => vec![ignore, reopen],
        AlertState::Ignored => vec![action, reopen],
        AlertState::Resolved => vec![],
    }
}

fn why(alert: &Alert, rules: &[Rule]) -> String {
    let (key, severity) = (&alert.key, alert.severity.name());
    let port = format!("{}/{}", key.port.port, key.port.protocol);
    if alert.expected.is_some() {
        return format!("Another service answers at {port} than before. Without a rule for it that is {severity}.");
    }
    match rule_for(rules, key.port) {
        Some(rule) if rule.name == key.rule && rule.severity == alert.severity => {
            format!("The rule {} says that an open {port} is {severity}.", rule.name)
        }
        Some(rule) => format!(
            "It was {severity} when it was last rated. The rule {} for {port} has changed since and counts from the next run on.",
            rule.name
        ),
        None => format!("No rule names {port}. A port that was not open before is {severity}."),
    }
}
