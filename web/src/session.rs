//! Who is asking: a user signed in through a browser, or an account of this machine on the local socket.

use crate::error::WebError;
use crate::{App, origin};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use coordinator::{Actor, Profile, SignedIn};
use protocol::Timestamp;
use protocol::text::Text;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::Error as SessionError;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

pub(crate) mod bearer;
pub(crate) mod device;
mod local;
pub(crate) mod proof;
mod store;
mod visitor;

pub use local::LocalPeer;
pub(crate) use local::identify_local;
use proof::Proof;
use store::CoordinatorStore;
pub(crate) use visitor::Visitor;

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
    /// When the password was typed last.
    proven: Timestamp,
    /// From where.
    address: Option<IpAddr>,
    /// With which browser, as it says.
    agent: Text,
}

impl Login {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.started) >= LONGEST || now.since(self.used) >= IDLE
    }

    fn signed_in(&self) -> SignedIn {
        SignedIn { name: self.user.clone(), generation: self.generation }
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

/// What the names of our cookies begin with, and the path they are for.
fn cookie_place(app: &App, is_tls: bool) -> (&'static str, &str) {
    // Browsers take `__Host-` only for the path `/`.
    match (is_tls, app.settings.base_path.as_str()) {
        (true, "") => ("__Host-", "/"),
        (true, base_path) => ("__Secure-", base_path),
        (false, "") => ("", "/"),
        (false, base_path) => ("", base_path),
    }
}

/// The cookie and what stands behind it.
pub(crate) fn layer(app: &App, is_tls: bool) -> SessionManagerLayer<CoordinatorStore> {
    let (prefix, path) = cookie_place(app, is_tls);
    let idle = tower_sessions::cookie::time::Duration::try_from(IDLE).unwrap_or_default();
    SessionManagerLayer::new(CoordinatorStore::new(app.coordinator.sessions()))
        .with_name(format!("{prefix}session"))
        .with_secure(is_tls)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path(path.to_owned())
        .with_expiry(Expiry::OnInactivity(idle))
}

/// Finds out who is asking and notes it on the request, and on the answer for the frame of pages.
pub(crate) async fn identify(State(app): State<App>, session: Session, mut request: Request, next: Next) -> Response {
    let from = origin::noted(request.extensions());
    let visit = visit(&app, &session).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a session could not be read");
        None
    });
    let Some((login, profile)) = visit else { return next.run(request).await };
    let caller = Caller(profile.actor().coming_from(from));
    request.extensions_mut().insert(caller.clone());
    request.extensions_mut().insert(profile.clone());
    request.extensions_mut().insert(Proof { at: login.proven, user: login.signed_in(), app, session });
    let mut response = next.run(request).await;
    response.extensions_mut().insert(caller);
    // Unless the request has changed it.
    if response.extensions().get::<Profile>().is_none() {
        response.extensions_mut().insert(profile);
    }
    response
}

/// The user of a session that is not over; notes that it was used.
async fn visit(app: &App, session: &Session) -> Result<Option<(Login, Profile)>, SessionError> {
    let now = Timestamp::now();
    let Some(login) = session.get::<Login>(LOGIN).await? else { return Ok(None) };
    let Some(profile) = belongs_to(app, &login, now).await else {
        session.flush().await?;
        return Ok(None);
    };
    if now.since(login.used) >= TOUCH {
        session.insert(LOGIN, Login { used: now, ..login.clone() }).await?;
    }
    Ok(Some((login, profile)))
}

/// The user of a session as it stands in the store now, without counting as use.
pub(crate) async fn peek(app: &App, session: &Session) -> Result<Option<Caller>, SessionError> {
    session.load().await?;
    let Some(login) = session.get::<Login>(LOGIN).await? else { return Ok(None) };
    Ok(belongs_to(app, &login, Timestamp::now()).await.map(|profile| Caller(profile.actor())))
}

async fn belongs_to(app: &App, login: &Login, now: Timestamp) -> Option<Profile> {
    if login.is_over(now) {
        return None;
    }
    app.coordinator.profile_of(&login.signed_in()).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the user of a session could not be read");
        None
    })
}

/// Opens a session for `user`, under a new id.
pub(crate) async fn open(session: &Session, user: SignedIn, visitor: &Visitor) -> Result<(), SessionError> {
    let now = Timestamp::now();
    session.cycle_id().await?;
    let SignedIn { name, generation } = user;
    let (address, agent) = (visitor.address(), visitor.agent.clone());
    let login = Login { user: name, generation, started: now, used: now, proven: now, address, agent };
    session.insert(LOGIN, login).await
}

/// Goes on under a new id: the password was typed again, or the user's other sessions end.
pub(crate) async fn renew(session: &Session, user: SignedIn, proven: bool) -> Result<(), SessionError> {
    let now = Timestamp::now();
    let Some(login) = session.get::<Login>(LOGIN).await? else { return Ok(()) };
    session.cycle_id().await?;
    let proven = if proven { now } else { login.proven };
    session.insert(LOGIN, Login { generation: user.generation, used: now, proven, ..login }).await
}

/// One session of a user.
#[derive(Clone, Debug)]
pub(crate) struct OpenSession {
    pub(crate) started: Timestamp,
    pub(crate) used: Timestamp,
    /// An address; empty when it is not known.
    pub(crate) address: String,
    pub(crate) agent: Text,
    /// Whether the one who asks is in it.
    pub(crate) is_this: bool,
}

/// The sessions of who asks, the one used last first.
pub(crate) async fn list(app: &App, session: &Session, user: &SignedIn) -> Result<Vec<OpenSession>, SessionError> {
    let now = Timestamp::now();
    let store = CoordinatorStore::new(app.coordinator.sessions());
    let this = session.id().map(|id| store::key(&id));
    let mut open = Vec::new();
    for (key, data) in store.all(now).await? {
        let login = data.get(LOGIN).and_then(|login| serde_json::from_value::<Login>(login.clone()).ok());
        let Some(login) = login.filter(|login| login.signed_in() == *user && !login.is_over(now)) else { continue };
        let Login { started, used, address, agent, .. } = login;
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        open.push(OpenSession { started, used, address, agent, is_this: this.as_ref() == Some(&key) });
    }
    open.sort_by_key(|session| (!session.is_this, std::cmp::Reverse(session.used)));
    Ok(open)
}

/// Where sessions are kept, for a test that does what a request does.
#[cfg(test)]
pub(crate) fn store_of(app: &App) -> CoordinatorStore {
    CoordinatorStore::new(app.coordinator.sessions())
}

/// Removes what is over: sessions, and browsers that were not seen for long.
pub(crate) async fn sweep(app: &App, now: Timestamp) -> Result<(), SessionError> {
    CoordinatorStore::new(app.coordinator.sessions()).sweep(now).await.map_err(SessionError::from)
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
        let login = |used: Duration| Login {
            user: "ada".into(),
            generation: 1,
            started: start,
            used: start.plus(used),
            proven: start,
            address: None,
            agent: Text::default(),
        };
        let minutes = |count: u64| Duration::from_secs(count * 60);
        assert!(!login(minutes(0)).is_over(start.plus(minutes(29))));
        assert!(login(minutes(0)).is_over(start.plus(minutes(30))));
        assert!(!login(minutes(700)).is_over(start.plus(minutes(719))));
        assert!(login(minutes(719)).is_over(start.plus(minutes(720))));
    }
}
