//! Programs that show a token: in the `Authorization` header and nowhere else, for the API and nothing else.

use super::Caller;
use crate::{App, origin, session};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use coordinator::Bearer;
use coordinator::tokens::{Scope, TokenKey};
use std::collections::BTreeSet;
use tower_sessions::Session;

/// How the caller came in, when it was by a token; noted on the request beside the [`Caller`].
#[derive(Clone, Debug)]
pub(crate) struct ByToken {
    /// Which token.
    pub(crate) key: TokenKey,
    scopes: BTreeSet<Scope>,
}

/// Noted on a request whose token opens nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnknownToken;

impl ByToken {
    /// By this token, which opens these areas.
    pub(crate) fn new(key: TokenKey, scopes: BTreeSet<Scope>) -> Self {
        Self { key, scopes }
    }

    /// Whether the token opens this area.
    pub(crate) fn reaches(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// What a request shows as a token; `None` when it shows none.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Finds out who is asking, as [`session::identify`] does. Who shows a token is its owner or nobody: a session that
/// comes with it does not count.
pub(crate) async fn identify(State(app): State<App>, session: Session, mut request: Request, next: Next) -> Response {
    let Some(shown) = shown(request.headers()) else {
        return session::identify(State(app), session, request, next).await;
    };
    let bearer = app.coordinator.bearer_of(shown).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the owner of a token could not be read");
        None
    });
    let from = origin::noted(request.extensions());
    match bearer {
        Some(Bearer { actor, scopes, key }) => {
            request.extensions_mut().insert(Caller(actor.coming_from(from)));
            request.extensions_mut().insert(ByToken::new(key, scopes));
        }
        None => {
            request.extensions_mut().insert(UnknownToken);
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_in_the_header_behind_its_scheme() {
        let found = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            shown(&headers).map(str::to_owned)
        };
        assert_eq!(found("Bearer pdt_1"), Some("pdt_1".to_owned()));
        assert_eq!(found("bearer  pdt_1 "), Some("pdt_1".to_owned()));
        assert_eq!(found("Bearer "), Some(String::new()));
        for none in ["Basic cGR0XzE6", "pdt_1", "Bearer"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(shown(&HeaderMap::new()), None);
    }
}
