//! `/profile/security`: where one is signed in, and ending all of it but here.

use super::Parts;
use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Page, View};
use crate::session::{self, Caller, OpenSession};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Redirect;
use tower_sessions::Session;

const PATH: &str = "/profile/security";

#[derive(Template)]
#[template(path = "profile_security.html")]
pub(crate) struct Security {
    pub(crate) sessions: Vec<OpenSession>,
    /// What came of the last form.
    pub(crate) told: Option<String>,
}

impl View for Security {
    fn head(&self) -> Head {
        Head { title: "Sessions".to_owned(), ..Head::default() }
    }
}

impl Security {
    fn parts(&self) -> Parts {
        Parts::at(PATH)
    }
}

/// `GET /profile/security`
pub(crate) async fn show(
    State(app): State<App>,
    session: Session,
    proof: Option<Extension<session::proof::Proof>>,
) -> Result<Page<Security>, WebError> {
    let told = session::told(&session).await?;
    let sessions = match proof {
        Some(Extension(proof)) => session::list(&app, &session, proof.user()).await?,
        None => Vec::new(),
    };
    Ok(Page(Security { sessions, told }))
}

/// `POST /profile/security/others`
pub(crate) async fn end_others(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
) -> Result<Redirect, WebError> {
    let user = app.coordinator.end_other_sessions(&actor).await?;
    session::renew(&session, user, false).await?;
    session::tell(&session, "every other session has ended".to_owned()).await?;
    Ok(Redirect::to(&app.link(PATH)))
}
