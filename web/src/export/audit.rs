//! The record of who did what as a file: `csv` or `json`, newest first.
//!
//! CSV as all our tables (RFC 4180, quoted, harmless cells) with the columns `number`, `at`, `actor`, `from`, `action`,
//! `subject`; JSON as an array of objects with the same keys. Both are written page by page, as the reader takes them.

use super::{attachment, csv};
use crate::App;
use crate::api::Params;
use crate::api::audit::{Entry, Which};
use crate::error::WebError;
use crate::session::Caller;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use coordinator::{Actor, AuditFilter, AuditPage, Coordinator, MAX_AUDIT};
use futures::Stream;
use std::io;

const COLUMNS: [&str; 6] = ["number", "at", "actor", "from", "action", "subject"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

/// `GET /settings/audit.csv`
pub(crate) async fn as_csv(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
) -> Result<Response, WebError> {
    let body = Body::from_stream(pages(&app, actor, &which, Form::Csv)?);
    Ok(attachment("portdrift-audit.csv", "text/csv; charset=utf-8; header=present", body))
}

/// `GET /settings/audit.json`
pub(crate) async fn as_json(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
) -> Result<Response, WebError> {
    let body = Body::from_stream(pages(&app, actor, &which, Form::Json)?);
    Ok(attachment("portdrift-audit.json", "application/json", body))
}

/// Where the next page begins.
enum Next {
    First,
    Below(u64),
    Over,
}

struct Pages {
    coordinator: Coordinator,
    actor: Actor,
    filter: AuditFilter,
    form: Form,
    next: Next,
    /// Whether an entry was written.
    has_entries: bool,
}

fn pages(
    app: &App,
    actor: Actor,
    which: &Which,
    form: Form,
) -> Result<impl Stream<Item = io::Result<Bytes>> + use<>, WebError> {
    let (filter, _) = which.read()?;
    let pages =
        Pages { coordinator: app.coordinator.clone(), actor, filter, form, next: Next::First, has_entries: false };
    Ok(futures::stream::unfold(pages, |mut pages| async move {
        let page = pages.write().await?;
        if page.is_err() {
            pages.next = Next::Over;
        }
        Some((page, pages))
    }))
}

impl Pages {
    /// The next part of the file; `None` after its end.
    async fn write(&mut self) -> Option<io::Result<Bytes>> {
        let (before, is_first) = match self.next {
            Next::First => (None, true),
            Next::Below(number) => (Some(number), false),
            Next::Over => return None,
        };
        let page = AuditPage { before, limit: MAX_AUDIT };
        let list = match self.coordinator.audit(&self.actor, &self.filter, page).await {
            Ok(list) => list,
            Err(error) => {
                tracing::error!(%error, "the audit log could not be read while it was exported");
                return Some(Err(io::Error::other("the audit log could not be read")));
            }
        };
        self.next = list.next.map_or(Next::Over, Next::Below);
        let entries: Vec<Entry> = list.entries.into_iter().map(Entry::of).collect();
        let text = match self.form {
            Form::Csv => rows(&entries, is_first),
            Form::Json => self.objects(&entries, is_first),
        };
        self.has_entries |= !entries.is_empty();
        Some(text.map(Bytes::from))
    }

    fn objects(&self, entries: &[Entry], is_first: bool) -> io::Result<Vec<u8>> {
        let mut text = if is_first { b"[".to_vec() } else { Vec::new() };
        for (index, entry) in entries.iter().enumerate() {
            text.extend_from_slice(if index > 0 || self.has_entries { b",\n" } else { b"\n" });
            serde_json::to_writer(&mut text, entry)?;
        }
        if matches!(self.next, Next::Over) {
            text.extend_from_slice(b"\n]\n");
        }
        Ok(text)
    }
}

fn rows(entries: &[Entry], is_first: bool) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let columns: &[&str] = if is_first { &COLUMNS } else { &[] };
    let mut table = csv::table(&mut text, columns)?;
    for Entry { number, at, actor, from, action, subject } in entries {
        let cells = [number.to_string(), at.to_string(), actor.clone(), from.clone(), action.clone(), subject.clone()];
        csv::row(&mut table, cells)?;
    }
    table.flush()?;
    drop(table);
    Ok(text)
}
