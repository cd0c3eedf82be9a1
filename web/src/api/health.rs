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
    if app.stop.is_cancelled() || !app.coordinator.is_ready().await {
        return Err(WebError::Busy("the coordinator is stopping, or its store failed; its log says which".to_owned()));
    }
    Ok("ready\n")
}
