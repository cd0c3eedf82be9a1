//! Who is asking: a user signed in through a browser, or an account of this machine on the local socket.

use crate::error::WebError;
use crate::{App, origin};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use coordinator::{Actor, SignedIn};
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::Error as SessionError;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

pub(crate) mod bearer;
mod local;
mod store;

pub use local::LocalPeer;
pub(crate) use local::identify_local;
use store::CoordinatorStore;

/// A session that was not used for so long is over.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// A session is over so long after its start, used or not.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Use is noted at most so often.
const TOUCH: Duration = Duration::from_secs(60);

const LOGIN: &str = "login";
/// What came of the last form, until the next page has shown it.
const OUTCOME: &str = "outcome";

/// What a session remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Login {
    user: String,
    /// Of the user when they signed in; a higher one ends the session.
    generation: u64,
    started: Timestamp,
    used: Timestamp,
}

impl Login {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.started) >= LONGEST || now.since(self.used) >= IDLE
    }
}

/// The person or program behind a request; handlers that name it are never reached without one.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Actor);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        parts.extensions.get::<Self>().cloned().ok_or(WebError::SignedOut)
    }
}

/// The cookie and what stands behind it.
pub(crate) fn layer(app: &App, is_tls: bool) -> SessionManagerLayer<CoordinatorStore> {
    let base_path = &app.settings.base_path;
    // Browsers take `__Host-` only for the path `/`.
    let name = match (is_tls, base_path.is_empty()) {
        (true, true) => "__Host-session",
        (true, false) => "__Secure-session",
        (false, _) => "session",
    };
    let path = if base_path.is_empty() { "/".to_owned() } else { base_path.clone() };
    let idle = tower_sessions::cookie::time::Duration::try_from(IDLE).unwrap_or_default();
    SessionManagerLayer::new(CoordinatorStore::new(app.coordinator.sessions()))
        .with_name(name)
        .with_secure(is_tls)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path(path)
        .with_expiry(Expiry::OnInactivity(idle))
}

/// Finds out who is asking and notes it on the request, and on the answer for the frame of pages.
pub(crate) async fn identify(State(app): State<App>, session: Session, mut request: Request, next: Next) -> Response {
    let from = origin::noted(request.extensions());
    let caller = caller(&app, &session).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a session could not be read");
        None
    });
    let caller = caller.map(|Caller(actor)| Caller(actor.coming_from(from)));
    if let Some(caller) = caller.clone() {
        request.extensions_mut().insert(caller);
    }
    let mut response = next.run(request).await;
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    response
}

/// The user of a session that is not over; notes that it was used.
async fn caller(app: &App, session: &Session) -> Result<Option<Caller>, SessionError> {
    let now = Timestamp::now();
    let Some(login) = session.get::<Login>(LOGIN).await? else { return Ok(None) };
    let Some(caller) = belongs_to(app, &login, now).await else {
        session.flush().await?;
        return Ok(None);
    };
    if now.since(login.used) >= TOUCH {
        session.insert(LOGIN, Login { used: now, ..login }).await?;
    }
    Ok(Some(caller))
}

/// The user of a session as it stands in the store now, without counting as use.
pub(crate) async fn peek(app: &App, session: &Session) -> Result<Option<Caller>, SessionError> {
    session.load().await?;
    let Some(login) = session.get::<Login>(LOGIN).await? else { return Ok(None) };
    Ok(belongs_to(app, &login, Timestamp::now()).await)
}

async fn belongs_to(app: &App, login: &Login, now: Timestamp) -> Option<Caller> {
    if login.is_over(now) {
        return None;
    }
    let signed_in = SignedIn { name: login.user.clone(), generation: login.generation };
    match app.coordinator.actor_of(&signed_in).await {
        Ok(actor) => actor.map(Caller),
        Err(error) => {
            tracing::error!(%error, "the user of a session could not be read");
            None
        }
    }
}

/// Opens a session for `user`, under a new id.
pub(crate) async fn open(session: &Session, user: SignedIn) -> Result<(), SessionError> {
    let now = Timestamp::now();
    session.cycle_id().await?;
    let SignedIn { name, generation } = user;
    let login = Login { user: name, generation, started: now, used: now };
    session.insert(LOGIN, login).await
}

/// Keeps what came of a form for the page that its sender is led to.
pub(crate) async fn tell(session: &Session, outcome: String) -> Result<(), SessionError> {
    session.insert(OUTCOME, outcome).await
}

/// What came of the form before this page; only once.
pub(crate) async fn told(session: &Session) -> Result<Option<String>, SessionError> {
    let outcome = session.get(OUTCOME).await?;
    if outcome.is_some() {
        session.remove::<String>(OUTCOME).await?;
    }
    Ok(outcome)
}

/// Ends the session; its cookie is taken back.
pub(crate) async fn close(session: &Session) -> Result<(), SessionError> {
    session.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_and_at_the_latest_after_half_a_day() {
        let start = Timestamp::from_millis(1_000_000);
        let login =
            |used: Duration| Login { user: "ada".into(), generation: 1, started: start, used: start.plus(used) };
        let minutes = |count: u64| Duration::from_secs(count * 60);
        assert!(!login(minutes(0)).is_over(start.plus(minutes(29))));
        assert!(login(minutes(0)).is_over(start.plus(minutes(30))));
        assert!(!login(minutes(700)).is_over(start.plus(minutes(719))));
        assert!(login(minutes(719)).is_over(start.plus(minutes(720))));
    }
}
