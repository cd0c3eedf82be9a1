//! The places of the side navigation with their counts: part of every page, and by itself at `/navigation`, where pages
//! that are live fetch it anew.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::{Fragment, Head, Section, View};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Query, State};
use coordinator::Counts;

#[derive(Template)]
#[template(path = "partials/navigation.html")]
pub(crate) struct Navigation {
    pub(crate) section: Option<Section>,
    /// Whether the page is the first one of its section.
    pub(crate) is_top: bool,
    pub(crate) counts: Counts,
}

impl HtmlSafe for Navigation {}

impl View for Navigation {
    fn head(&self) -> Head {
        Head::default()
    }
}

/// Which page the navigation is for.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    section: String,
    top: String,
}

impl Navigation {
    /// Of a page.
    pub(crate) fn of(head: &Head, counts: Counts) -> Self {
        Self { section: head.section, is_top: head.crumbs.is_empty(), counts }
    }

    /// Where it is fetched anew.
    fn path(&self) -> String {
        let section = self.section.map(Section::word).unwrap_or_default();
        format!("/navigation{}", Fields::of([("section", section), ("top", if self.is_top { "1" } else { "" })]))
    }
}

/// `GET /navigation`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(Place { section, top }): Query<Place>,
) -> Result<Fragment<Navigation>, WebError> {
    let section = Section::ALL.into_iter().find(|known| known.word() == section);
    let counts = app.coordinator.counts(&actor).await?;
    Ok(Fragment(Navigation { section, is_top: !top.is_empty(), counts }))
}
