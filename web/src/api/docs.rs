//! `/api/docs`: the description of the API as a page.

use super::description;
use crate::filters;
use crate::page::{Head, Page, View};
use crate::routes::{self, Route};
use askama::Template;
use coordinator::tokens::Scope;
use std::collections::BTreeMap;

/// What programs can ask, by area.
#[derive(Template)]
#[template(path = "docs.html")]
pub(crate) struct Docs {
    areas: BTreeMap<String, Vec<Line>>,
    scopes: [Scope; 5],
}

/// One operation.
struct Line {
    method: String,
    path: &'static str,
    summary: String,
    scope: Option<Scope>,
}

impl View for Docs {
    fn head(&self) -> Head {
        Head { title: "API".to_owned(), ..Head::default() }
    }
}

/// `GET /api/docs`
pub(crate) async fn show() -> Page<Docs> {
    Page(Docs::of_table())
}

impl Docs {
    /// What the table of routes offers to programs.
    pub(crate) fn of_table() -> Self {
        let mut document = super::description();
        let mut areas: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for Route { method, path, scope, .. } in routes::api_table() {
            let item = document.paths.paths.get_mut(path);
            let Some(operation) = item.and_then(|item| description::operation(item, &method)) else { continue };
            let area = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
            let summary = operation.summary.clone().unwrap_or_default();
            areas.entry(area).or_default().push(Line { method: method.to_string(), path, summary, scope });
        }
        Self { areas, scopes: Scope::ALL }
    }
}
