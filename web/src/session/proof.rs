//! Asking for the password again before a dangerous act, when it was not typed for a while. The act is asked for first,
//! and done once the password is right: what was typed travels through the question and back.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Page, View};
use crate::query::percent_encoded;
use crate::throttle::Attempt;
use askama::Template;
use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coordinator::SignedIn;
use protocol::Timestamp;
use tower_sessions::Session;

/// The field of the question.
const FIELD: &str = "confirm-password";

/// When who is signed in has typed the password last. Programs and the local socket have none and are not asked.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(super) at: Timestamp,
    pub(super) user: SignedIn,
    pub(super) app: App,
    pub(super) session: Session,
}

/// The question.
#[derive(Clone, Default, Template)]
#[template(path = "confirm.html")]
pub(crate) struct Confirm {
    /// Where the answer goes: where the act was asked for.
    pub(crate) action: String,
    /// What was typed there.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) fault: Option<String>,
}

impl View for Confirm {
    fn head(&self) -> Head {
        Head { title: "Confirm that it is you".to_owned(), ..Head::default() }
    }
}

/// Lets a request pass whose sender has typed the password lately; asks others first.
pub(crate) async fn require(request: Request, next: Next) -> Response {
    let now = Timestamp::now();
    match request.extensions().get::<Proof>().cloned() {
        Some(proof) if now.since(proof.at) >= proof.app.proof_lasts => {
            proof.ask(request, next, now).await.unwrap_or_else(IntoResponse::into_response)
        }
        Some(_) | None => next.run(request).await,
    }
}

impl Proof {
    /// Whose session it is.
    pub(crate) fn user(&self) -> &SignedIn {
        &self.user
    }

    async fn ask(self, request: Request, next: Next, now: Timestamp) -> Result<Response, WebError> {
        let (parts, body) = request.into_parts();
        let form = Form::<Vec<(String, String)>>::from_request(Request::from_parts(parts.clone(), body), &()).await;
        // A program with a cookie cannot be shown a question.
        let Ok(Form(mut fields)) = form else { return Err(WebError::Unproven) };
        let action = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let typed = fields.iter().position(|(name, _)| name == FIELD).map(|place| fields.remove(place).1);
        let question = Confirm { action, fields, fault: None };
        let Some(password) = typed else {
            return Ok((StatusCode::FORBIDDEN, Page(question)).into_response());
        };
        if let Some(fault) = self.fault_of(&password, now).await? {
            let status = StatusCode::FORBIDDEN;
            return Ok((status, Page(Confirm { fault: Some(fault), ..question })).into_response());
        }
        super::renew(&self.session, self.user, true).await?;
        let body: Vec<String> = question.fields.iter().map(encoded).collect();
        let mut request = Request::from_parts(parts, Body::from(body.join("&")));
        request.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(next.run(request).await)
    }

    /// What is wrong with the password; `None` when it is right.
    async fn fault_of(&self, password: &str, now: Timestamp) -> Result<Option<String>, WebError> {
        let attempt = Attempt::of_session(&self.user.name);
        if let Some(wait) = self.app.throttle.wait(&attempt, now) {
            return Ok(Some(format!("too many attempts; wait {} s and try again", wait.as_secs().max(1))));
        }
        if self.app.coordinator.prove(&self.user, password).await? {
            self.app.throttle.succeeded(&attempt);
            return Ok(None);
        }
        self.app.throttle.failed(&attempt, now);
        Ok(Some("this is not your password; check it and try again".to_owned()))
    }
}

fn encoded((name, value): &(String, String)) -> String {
    format!("{}={}", percent_encoded(name), percent_encoded(value))
}
