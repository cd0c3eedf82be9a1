//! `/settings/rules`: which open ports are worth an alert, and how bad each is; administrators change it.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::look::Badge;
use crate::page::choices::Choice;
use crate::page::{Head, Page, View};
use crate::query::Fields;
use crate::session::{self, Caller};
use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::analysis::alert::{Rule, Severity};
use coordinator::rules::{RuleError, port_of};
use coordinator::{Actor, Right};
use tower_sessions::Session;

#[derive(Template)]
#[template(path = "rules.html")]
pub(crate) struct Rules {
    pub(crate) rules: Vec<RuleRow>,
    pub(crate) may_edit: bool,
    pub(crate) form: RuleForm,
    /// Whether the form changes a rule that is there.
    pub(crate) is_change: bool,
    pub(crate) faults: Faults,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

/// One rule.
pub(crate) struct RuleRow {
    pub(crate) severity: Badge,
    /// `3389/tcp`
    pub(crate) port: String,
    pub(crate) name: String,
    /// The way to the form with this rule in it.
    pub(crate) edit: String,
}

/// What a person types to make or change a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct RuleForm {
    pub(crate) port: String,
    pub(crate) name: String,
    pub(crate) severity: String,
}

impl View for Rules {
    fn head(&self) -> Head {
        Head::settings(PATH, "Alert rules")
    }
}

const PATH: &str = "/settings/rules";

/// `GET /settings/rules`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Query(form): Query<RuleForm>,
) -> Result<Page<Rules>, WebError> {
    let told = session::told(&session).await?;
    Ok(Page(Rules { told, ..Rules::read(&app, &actor, form).await? }))
}

/// `POST /settings/rules`
pub(crate) async fn set(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(form): Form<RuleForm>,
) -> Result<Response, WebError> {
    let outcome = match form.read() {
        Ok((port, severity)) => {
            app.coordinator.set_rule(&actor, port, &form.name, severity).await.map_err(WebError::from)
        }
        Err(fault) => Err(fault),
    };
    let told = |rule: Rule| {
        let Rule { name, severity, protocol, port } = rule;
        format!("{port}/{protocol} ({name}) is {} from the next run of each scan on", severity.name())
    };
    answer(&app, &actor, &session, form, outcome.map(told)).await
}

/// `POST /settings/rules/remove`
pub(crate) async fn remove(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Form(form): Form<RuleForm>,
) -> Result<Response, WebError> {
    let outcome = match port_of(&form.port) {
        Ok(port) => app.coordinator.remove_rule(&actor, port).await.map_err(WebError::from),
        Err(error) => Err(WebError::field("port", error)),
    };
    let told = |rule: Rule| format!("the rule {} for {}/{} is removed", rule.name, rule.port, rule.protocol);
    answer(&app, &actor, &session, form, outcome.map(told)).await
}

/// `POST /settings/rules/reset`
pub(crate) async fn reset(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Response, WebError> {
    let outcome = app.coordinator.reset_rules(&actor).await.map_err(WebError::from);
    let told = |rules: Vec<Rule>| format!("the {} default rules are in force", rules.len());
    answer(&app, &actor, &session, RuleForm::default(), outcome.map(told)).await
}

async fn answer(
    app: &App,
    actor: &Actor,
    session: &Session,
    form: RuleForm,
    outcome: Result<String, WebError>,
) -> Result<Response, WebError> {
    match outcome {
        Ok(told) => {
            session::tell(session, told).await?;
            Ok(Redirect::to(&app.link(PATH)).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let page = Rules { faults: faults.into(), ..Rules::read(app, actor, form).await? };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

impl RuleForm {
    fn read(&self) -> Result<(coordinator::analysis::delta::PortId, Severity), WebError> {
        let port = port_of(&self.port).map_err(|error: RuleError| WebError::field("port", error))?;
        let severity = Severity::ALL.into_iter().find(|severity| severity.name() == self.severity);
        let severity =
            severity.ok_or_else(|| WebError::field("severity", "choose one of critical, high, medium and low"))?;
        Ok((port, severity))
    }
}

impl Rules {
    async fn read(app: &App, actor: &Actor, form: RuleForm) -> Result<Self, WebError> {
        let rules = app.coordinator.rules(actor).await?;
        let rows: Vec<RuleRow> = rules.iter().map(RuleRow::from).collect();
        Ok(Self {
            is_change: rows.iter().any(|row| row.port == form.port),
            rules: rows,
            may_edit: actor.role.may(Right::Administer),
            form,
            faults: Faults::default(),
            told: None,
        })
    }

    fn severity(&self) -> Choice<'_> {
        let chosen = if self.form.severity.is_empty() { Severity::High.name() } else { &self.form.severity };
        let severities = [("critical", "Critical"), ("high", "High"), ("medium", "Medium"), ("low", "Low")];
        Choice::of("severity", "Severity", severities, chosen)
    }
}

impl From<&Rule> for RuleRow {
    fn from(Rule { name, severity, protocol, port }: &Rule) -> Self {
        let port = format!("{port}/{protocol}");
        let fields = Fields::of([("port", &port), ("name", name.as_str()), ("severity", severity.name())]);
        Self { severity: (*severity).into(), edit: format!("{PATH}{fields}#rule"), port, name: name.to_string() }
    }
}
