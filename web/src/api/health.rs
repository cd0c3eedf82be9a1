//! `/healthz` and `/readyz`: for whatever watches the watcher.

use crate::App;
use crate::error::WebError;
use axum::extract::State;

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// It takes changes, so new work makes sense.
pub(crate) async fn ready(State(app): State<App>) -> Result<&'static str, WebError> {
    if app.stop.is_cancelled() {
        return Err(WebError::Busy("the coordinator is stopping".to_owned()));
    }
    match app.coordinator.ready().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => Err(WebError::Busy(error.to_string())),
    }
}
