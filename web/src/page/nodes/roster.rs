//! What the nodes page says of the roster: what waits for the mesh key, when it ends, and the alarm of two truths.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::session::{self, Caller};
use askama::Template;
use axum::extract::State;
use axum::response::Redirect;
use coordinator::RosterView;
use coordinator::registry::ending::Ending;
use protocol::Timestamp;
use tower_sessions::Session;

/// Notices above the list; nothing when all is well.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "partials/roster.html")]
pub(crate) struct RosterNotices {
    /// What the roster changes that waits for a signature.
    pub(crate) awaited: Option<Vec<String>>,
    /// When the roster ends, when that is near.
    pub(crate) ends: Option<Timestamp>,
    pub(crate) alarm: Option<TwoTruths>,
    /// When the store was restored, while the nodes are still waited for.
    pub(crate) restored: Option<Timestamp>,
    pub(crate) may_approve: bool,
}

impl askama::filters::HtmlSafe for RosterNotices {}

/// Two rosters of one epoch.
#[derive(Clone, Debug)]
pub(crate) struct TwoTruths {
    pub(crate) epoch: u64,
    pub(crate) from: String,
    pub(crate) at: Timestamp,
}

impl RosterNotices {
    pub(crate) fn of(view: &RosterView, may_approve: bool) -> Self {
        let changes = |awaited: &coordinator::AwaitedRoster| awaited.changes.iter().map(ToString::to_string).collect();
        // One that is signed here is renewed in time.
        let is_near = |ending: Ending| !view.signs_here || ending >= Ending::Week;
        Self {
            awaited: view.awaited.as_ref().map(changes),
            ends: view.ending.filter(|ending| is_near(*ending)).map(|_| view.roster.not_after),
            alarm: view.alarm.as_ref().map(|alarm| TwoTruths {
                epoch: alarm.epoch,
                from: alarm.from.to_string(),
                at: alarm.at,
            }),
            restored: view.restored,
            may_approve,
        }
    }
}

/// `POST /nodes/alarm/acknowledge`
pub(crate) async fn acknowledge(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Redirect, WebError> {
    app.coordinator.acknowledge_alarm(&actor).await?;
    session::tell(&session, "the alarm is acknowledged; the audit log keeps it".to_owned()).await?;
    Ok(Redirect::to(&app.link("/nodes")))
}
