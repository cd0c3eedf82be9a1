//! A failure as a page for people or as a problem body (RFC 9457) for programs, with the words of both in one place.

use crate::filters;
use crate::page::{Head, View};
use askama::Template;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coordinator::scan::DraftError;
use coordinator::tokens::Scope;
use coordinator::{StoreError, UseCaseError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tower_sessions::session::Error as SessionError;
use utoipa::ToSchema;

/// Why a request was not served; each says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// Nothing has this address.
    #[error("nothing is here; check the address or start from the overview")]
    NoSuchPage,
    /// The address is right, but the thing is not there.
    #[error("{0}")]
    NotFound(String),
    /// Nobody is signed in.
    #[error("sign in first")]
    SignedOut,
    /// Somebody shows a token that opens nothing.
    #[error(
        "this token is unknown, over or revoked; make a new one on the page /profile/tokens or with `portdrift tokens create`"
    )]
    UnknownToken,
    /// The token is good, but not for this.
    #[error("this token does not open {0}; make one with that scope")]
    OutOfScope(Scope),
    /// Known, but without the right.
    #[error("{0}")]
    Forbidden(String),
    /// The password was typed too long ago for this act, by somebody who cannot be asked for it here.
    #[error(
        "this needs the password again, which was typed more than 10 minutes ago; confirm it at /auth/confirm and repeat the request"
    )]
    Unproven,
    /// Some fields make no sense.
    #[error("{}", .0.iter().map(|(field, fault)| format!("{field}: {fault}")).collect::<Vec<_>>().join("; "))]
    Invalid(BTreeMap<&'static str, String>),
    /// The whole request cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The body has more bytes than the address takes.
    #[error("the body is larger than this address takes")]
    TooLarge,
    /// The body is no JSON by its own word.
    #[error("send JSON, and say so: Content-Type: application/json")]
    NoJson,
    /// It cannot be done in the present state; the text says why.
    #[error("{0}")]
    Conflict(String),
    /// Not now; the text says why.
    #[error("{0}")]
    Busy(String),
    /// Too many requests, or wrong passwords.
    #[error("too many requests; wait {0} s and try again")]
    SlowDown(u64),
    /// A fault of ours, logged where it was met.
    #[error("something failed inside; the log of the coordinator has the details under this request id")]
    Internal,
}

impl WebError {
    /// One field makes no sense.
    pub(crate) fn field(field: &'static str, fault: impl ToString) -> Self {
        Self::Invalid(BTreeMap::from([(field, fault.to_string())]))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPage | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::SignedOut | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::OutOfScope(_) | Self::Forbidden(_) | Self::Unproven => StatusCode::FORBIDDEN,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::SlowDown(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<UseCaseError> for WebError {
    fn from(error: UseCaseError) -> Self {
        match error {
            UseCaseError::Forbidden(error) => Self::Forbidden(error.to_string()),
            UseCaseError::NotFound(..) => Self::NotFound(error.to_string()),
            UseCaseError::Draft(DraftError(faults)) => {
                Self::Invalid(faults.into_iter().map(|(field, fault)| (field.name(), fault.to_string())).collect())
            }
            UseCaseError::Account(error) => Self::field(error.field(), error),
            UseCaseError::Invalid { field, reason } => Self::field(field, reason),
            UseCaseError::AlreadyRunning(_) | UseCaseError::Conflict(_) => Self::Conflict(error.to_string()),
            UseCaseError::Schedule(error) => {
                tracing::error!(%error, "the scheduler failed while a request was served");
                Self::Internal
            }
            UseCaseError::Store(error @ (StoreError::DiskLow(_) | StoreError::DiskFull(_))) => {
                tracing::warn!(%error, "a request was refused for lack of room");
                Self::Busy(error.to_string())
            }
            UseCaseError::Store(error) => {
                tracing::error!(%error, "the store failed while a request was served");
                Self::Internal
            }
        }
    }
}

impl From<JsonRejection> for WebError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => return Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => return Self::NoJson,
            _ => {}
        }
        Self::Unreadable(format!("the body is not the JSON that belongs here: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for WebError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Unreadable(format!("what stands behind the ? cannot be read: {}", rejection.body_text()))
    }
}

impl From<SessionError> for WebError {
    fn from(error: SessionError) -> Self {
        tracing::error!(%error, "a session could not be read or kept");
        Self::Internal
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let detail = self.to_string();
        let mut problem = Problem { detail, ..Problem::of(self.status()) };
        let mut response = problem.status_code().into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        if let Self::Invalid(faults) = self {
            problem.faults = faults.into_iter().map(|(field, fault)| (field.to_owned(), fault)).collect();
        }
        response.extensions_mut().insert(problem);
        response
    }
}

impl WebError {
    /// What programs read: how to be let in (RFC 6750), or when to come back (RFC 9110, section 10.2.3).
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let challenge = |text| Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(text)));
        match self {
            Self::SignedOut => challenge("Bearer realm=\"portdrift\""),
            Self::UnknownToken => challenge("Bearer realm=\"portdrift\", error=\"invalid_token\""),
            Self::OutOfScope(_) => challenge("Bearer realm=\"portdrift\", error=\"insufficient_scope\""),
            Self::SlowDown(seconds) => Some((header::RETRY_AFTER, HeaderValue::from(*seconds))),
            Self::NoSuchPage
            | Self::NotFound(_)
            | Self::Forbidden(_)
            | Self::Unproven
            | Self::Invalid(_)
            | Self::Unreadable(_)
            | Self::TooLarge
            | Self::NoJson
            | Self::Conflict(_)
            | Self::Busy(_)
            | Self::Internal => None,
        }
    }
}

/// A failure for programs: RFC 9457, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The kind of failure, in a few words.
    pub title: String,
    /// What failed and what to do.
    pub detail: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, String>,
    /// Stands in the log beside the cause.
    #[serde(default)]
    pub request_id: String,
}

impl Problem {
    /// The usual words for `status`, for failures that the frameworks below notice.
    pub(crate) fn of(status: StatusCode) -> Self {
        let (title, detail) = words(status);
        Self {
            status: status.as_u16(),
            title: title.to_owned(),
            detail: detail.to_owned(),
            faults: BTreeMap::new(),
            request_id: String::new(),
        }
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem as a body for programs.
    pub(crate) fn into_json(self) -> Response {
        let mut response = (self.status_code(), Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The problem as a page for people.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) problem: Problem,
}

impl View for ErrorPage {
    fn head(&self) -> Head {
        Head { title: self.problem.title.clone(), ..Head::default() }
    }
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("Not signed in", "sign in first"),
        403 => ("Not allowed", "the request came from another site or its sender lacks the right for it"),
        404 => ("Not found", "nothing is here; check the address or start from the overview"),
        405 => ("Not possible here", "this address does not take that method"),
        409 => ("Not possible now", "the thing has changed in between; load the page again"),
        413 => ("Too large", "the request is larger than this address takes"),
        415 => ("Wrong kind of content", "send a form to a page and JSON to the API"),
        421 => ("Wrong host name", "this name is not one of ours; add it to the allowed hosts in the settings file"),
        422 | 400 => ("Not understood", "the request could not be read; check its fields"),
        429 => ("Too many requests", "wait a little and try again"),
        503 => ("Not ready", "the coordinator is starting or stopping; try again in a moment"),
        _ => ("Something failed", "the log of the coordinator has the details under this request id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_title_and_says_what_to_do() {
        for code in [400u16, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 500, 503] {
            let problem = Problem::of(StatusCode::from_u16(code).unwrap());
            assert_eq!(problem.status, code);
            assert!(!problem.title.is_empty() && !problem.detail.is_empty());
        }
    }
}
