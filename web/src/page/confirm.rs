//! `/auth/confirm`: typing the password again, for who cannot be asked in the middle of an act.

use crate::App;
use crate::page::Page;
use crate::page::login::own_path;
use crate::session::proof::Confirm;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Redirect;
use serde::Deserialize;

/// Where to go afterwards.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Next {
    next: String,
}

/// `GET /auth/confirm`
pub(crate) async fn show(Query(Next { next }): Query<Next>) -> Page<Confirm> {
    let fields = vec![("next".to_owned(), next)];
    Page(Confirm { action: "/auth/confirm".to_owned(), fields, fault: None })
}

/// `POST /auth/confirm`; reached by who has typed the password lately.
pub(crate) async fn done(State(app): State<App>, Form(Next { next }): Form<Next>) -> Redirect {
    Redirect::to(&app.link(own_path(&next)))
}
