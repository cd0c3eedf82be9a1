//! `/settings/general`: every setting in force and where it comes from; the owner changes them in the file.

use crate::App;
use crate::error::WebError;
use crate::page::{Head, Page, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::config::{Configuration, Entry};

const PATH: &str = "/settings/general";

#[derive(Template)]
#[template(path = "general.html")]
pub(crate) struct General {
    /// The configuration file, if there is one.
    pub(crate) file: Option<String>,
    pub(crate) sections: Vec<Section>,
    /// SHA-256 of the certificate, when TLS is spoken.
    pub(crate) certificate: Option<String>,
}

/// What is configured about one thing.
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
}

/// One setting.
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: String,
    pub(crate) follows_reload: bool,
}

impl View for General {
    fn head(&self) -> Head {
        Head::settings(PATH, "General")
    }
}

/// `GET /settings/general`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<General>, WebError> {
    let configuration = app.coordinator.configuration(&actor)?;
    Ok(Page(General {
        file: configuration.file().map(|file| file.display().to_string()),
        sections: sections(&configuration),
        certificate: app.certificates.as_ref().map(|certificates| certificates.fingerprint()),
    }))
}

fn sections(configuration: &Configuration) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for Entry { key, value, origin, is_reloadable } in configuration.entries() {
        let (name, key) = key.split_once('.').unwrap_or(("", &key));
        let row = Row { key: key.to_owned(), value, origin: origin.to_string(), follows_reload: is_reloadable };
        match sections.last_mut().filter(|section| section.name == name) {
            Some(section) => section.rows.push(row),
            None => sections.push(Section { name: name.to_owned(), rows: vec![row] }),
        }
    }
    sections
}
