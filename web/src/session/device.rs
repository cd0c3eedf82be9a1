//! Browsers in which somebody has signed in before. Their wrong passwords are counted apart, so that a stranger who
//! guesses elsewhere does not lock the person out.

use super::{SessionError, Visitor, cookie_place};
use crate::App;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use coordinator::StoreError;
use coordinator::sessions::Sessions;
use data_encoding::BASE32_NOPAD;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tower_sessions::session_store::Error;

/// A browser that was not used to sign in for so long is forgotten.
const KEPT: Duration = Duration::from_secs(180 * 24 * 3600);
/// What the key of a browser begins with.
const PREFIX: &[u8] = b"device/";

/// What is kept of a browser, under the hash of what its cookie holds.
#[derive(Serialize, Deserialize)]
struct Row {
    user: String,
    seen: Timestamp,
}

fn key(text: &str) -> Vec<u8> {
    let hash = Sha256::new().chain_update(b"portdrift/1/device").chain_update(text.as_bytes()).finalize();
    [PREFIX, hash.as_slice()].concat()
}

/// What the cookie of a browser holds.
fn shown<'a>(app: &App, headers: &'a HeaderMap, is_tls: bool) -> Option<&'a str> {
    let (prefix, _) = cookie_place(app, is_tls);
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.strip_prefix(prefix) == Some("device")).map(|(_, value)| value)
}

/// The key of the browser, when this user has signed in with it before.
pub(crate) async fn known(
    app: &App,
    visitor: &Visitor,
    headers: &HeaderMap,
    user: &str,
    now: Timestamp,
) -> Option<Vec<u8>> {
    let key = key(shown(app, headers, visitor.is_tls)?);
    let kept = app.coordinator.sessions().get(&key).await.ok()??;
    let row: Row = serde_json::from_slice(&kept).ok()?;
    (row.user == user && now.since(row.seen) < KEPT).then_some(key)
}

/// The cookie for a browser, on its way out.
#[derive(Clone)]
pub(crate) struct BrowserCookie(HeaderValue);

/// Sends the cookie behind that of the session.
pub(crate) async fn send_cookie(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(BrowserCookie(cookie)) = response.extensions_mut().remove() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Remembers that this user has signed in with this browser; gives the cookie that says so from now on.
pub(crate) async fn remember(
    app: &App,
    visitor: &Visitor,
    user: &str,
    now: Timestamp,
) -> Result<BrowserCookie, SessionError> {
    let failed = |error: &dyn std::fmt::Display| SessionError::from(Error::Backend(error.to_string()));
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| failed(&error))?;
    let text = BASE32_NOPAD.encode(&secret).to_lowercase();
    let row = serde_json::to_vec(&Row { user: user.to_owned(), seen: now }).map_err(|error| failed(&error))?;
    app.coordinator.sessions().put(&key(&text), row).await.map_err(|error| failed(&error))?;
    let secure = if visitor.is_tls { "; Secure" } else { "" };
    let ((prefix, path), age) = (cookie_place(app, visitor.is_tls), KEPT.as_secs());
    let cookie = format!("{prefix}device={text}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).map(BrowserCookie).map_err(|error| failed(&error))
}

/// Forgets a browser: it gets a new cookie, or has guessed too often.
pub(crate) async fn forget(app: &App, key: &[u8]) -> Result<(), SessionError> {
    let removed = app.coordinator.sessions().remove(key).await;
    removed.map_err(|error| SessionError::from(Error::Backend(error.to_string())))
}

/// Forgets browsers that were not seen for long.
pub(super) async fn sweep(sessions: &Sessions, now: Timestamp) -> Result<(), StoreError> {
    for (key, bytes) in sessions.all(PREFIX).await? {
        if serde_json::from_slice::<Row>(&bytes).map_or(true, |row| now.since(row.seen) >= KEPT) {
            sessions.remove(&key).await?;
        }
    }
    Ok(())
}
