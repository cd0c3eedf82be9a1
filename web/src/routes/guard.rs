//! Who gets past the door of a route.

use super::Access;
use crate::error::WebError;
use crate::session::bearer::{ByToken, UnknownToken};
use crate::session::{Caller, proof};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coordinator::tokens::Scope;

/// Lets in who may; tells others what they lack, and asks who typed the password too long ago for it.
pub(super) async fn hold(
    State((access, scope, needs_proof)): State<(Access, Option<Scope>, bool)>,
    request: Request,
    next: Next,
) -> Response {
    match may_pass(&request, access, scope) {
        Ok(()) if needs_proof => proof::require(request, next).await,
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// A token opens what its scopes name, and of that what its owner has the right to.
fn may_pass(request: &Request, access: Access, scope: Option<Scope>) -> Result<(), WebError> {
    let Access::Needs(right) = access else { return Ok(()) };
    let found = request.extensions();
    let Some(Caller(actor)) = found.get::<Caller>() else {
        let is_unknown = found.get::<UnknownToken>().is_some();
        return Err(if is_unknown { WebError::UnknownToken } else { WebError::SignedOut });
    };
    if let Some(by_token) = found.get::<ByToken>() {
        match scope {
            Some(scope) if by_token.reaches(scope) => {}
            Some(scope) => return Err(WebError::OutOfScope(scope)),
            None => return Err(WebError::Forbidden("tokens are for the API; sign in to see pages".to_owned())),
        }
    }
    actor.require(right).map_err(|error| WebError::Forbidden(error.to_string()))
}
