//! Deciding about several alerts at once: those that are ticked, or all that match the filters.

use super::{Alerts, fields};
use crate::App;
use crate::api::Params;
use crate::api::alerts::Which;
use crate::error::WebError;
use crate::page::Page;
use crate::session::{self, Caller};
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::analysis::alert::{Action, AlertKey};
use coordinator::{Actor, AlertSelection, BulkOutcome};
use std::collections::BTreeSet;
use tower_sessions::Session;

/// What was ticked and typed.
#[derive(Debug, Default)]
struct Decision {
    action: String,
    ids: BTreeSet<String>,
    is_all: bool,
    comment: String,
}

impl From<Vec<(String, String)>> for Decision {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut decision = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "action" => decision.action = value,
                "id" => decision.ids.extend([value]),
                "all" => decision.is_all = true,
                "comment" => decision.comment = value,
                _ => {}
            }
        }
        decision
    }
}

/// `POST /alerts`: the address holds the filters, the form the rest.
pub(crate) async fn decide(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Params(which): Params<Which>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let decision = Decision::from(pairs);
    match decision.take(&app, &actor, &which).await {
        Ok(told) => {
            session::tell(&session, told).await?;
            Ok(Redirect::to(&app.link(&format!("{}{}", Alerts::PATH, fields(&which)))).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            let mut page = Alerts::read(&app, &actor, &which).await?;
            page.choose(&decision.ids);
            let page = Alerts { faults: faults.into(), comment: decision.comment, ..page };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

impl Decision {
    async fn take(&self, app: &App, actor: &Actor, which: &Which) -> Result<String, WebError> {
        let action = Action::ALL.into_iter().find(|action| action.name() == self.action);
        let action = action.ok_or_else(|| WebError::field("action", "choose what to do: action, ignore or reopen"))?;
        let selection = match (self.is_all, self.ids.is_empty()) {
            (true, _) => AlertSelection::Matching(Box::new(which.clone().read()?.0)),
            (false, true) => {
                return Err(WebError::field("chosen", "tick the alerts that are meant, or all that match"));
            }
            (false, false) => {
                let keys = self.ids.iter().map(|id| id.parse::<AlertKey>()).collect::<Result<_, _>>();
                AlertSelection::Keys(keys.map_err(|error| WebError::field("chosen", error))?)
            }
        };
        let outcome = app.coordinator.decide_alerts(actor, selection, action, &self.comment).await?;
        Ok(outcome_words(action, &outcome))
    }
}

/// `3 alerts ignored, 1 stood so already. 1 could not be changed: …`
pub(crate) fn outcome_words(action: Action, outcome: &BulkOutcome) -> String {
    let BulkOutcome { selected: _, changed, unchanged, refused, refusals } = outcome;
    let deed = match action {
        Action::Action => "marked actioned",
        Action::Ignore => "ignored",
        Action::Reopen => "reopened",
    };
    let mut words = format!("{changed} {} {deed}", if *changed == 1 { "alert" } else { "alerts" });
    if *unchanged > 0 {
        words.push_str(&format!(", {unchanged} stood so already"));
    }
    if let Some((key, reason)) = refusals.first() {
        words.push_str(&format!(". {refused} could not be changed, such as {key}: {reason}"));
    }
    words
}
