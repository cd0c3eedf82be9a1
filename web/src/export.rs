//! Reports as files for other programs: one as CSV, JSON or nmap XML, all of a network as a ZIP archive (SPEC R9).
//!
//! Columns and keys stand in the files of this folder, and tests hold them: [`csv`], [`json`], [`xml`], [`archive`].
//! New ones may be added at the end; those that are there keep their names and meanings within one `format`.

mod archive;
pub(crate) mod audit;
mod csv;
mod entry;
mod json;
#[cfg(test)]
mod tests;
mod xml;

pub(crate) use json::Document;

use crate::App;
use crate::api::Params;
use crate::error::WebError;
use crate::page::report;
use crate::session::Caller;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coordinator::Actor;
use futures::StreamExt;
use protocol::task::{RunId, ScanId};
use std::io;
use std::str::FromStr;
use tokio_util::io::ReaderStream;
use tower_sessions::Session;

/// The most characters of a network's name in a file name.
const MAX_SLUG: usize = 40;

/// What one report can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A flat table.
    Csv,
    /// A document with everything.
    Json,
    /// The run behind the report, as nmap would write it.
    Xml,
}

impl Format {
    const ALL: [Self; 3] = [Self::Csv, Self::Json, Self::Xml];

    /// The ending of its files, and its name.
    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Xml => "xml",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

impl FromStr for Format {
    type Err = WebError;

    fn from_str(text: &str) -> Result<Self, WebError> {
        let found = Self::ALL.into_iter().find(|format| format.ending() == text);
        found.ok_or_else(|| WebError::field("format", "there is no such format; write csv, json or xml"))
    }
}

/// `GET /reports/{run}` is a page; `/reports/{run}.csv`, `.json` and `.xml` are files.
pub(crate) async fn page_or_file(
    State(app): State<App>,
    Caller(actor): Caller,
    session: Session,
    Path(name): Path<String>,
    Params(filter): Params<report::Filter>,
) -> Result<Response, WebError> {
    let run = |text: &str| text.parse::<RunId>().map_err(|_| WebError::NoSuchPage);
    match name.split_once('.') {
        None => report::show(&app, &actor, &session, run(&name)?, filter).await,
        Some((number, ending)) => {
            let format = ending.parse().map_err(|_| WebError::NoSuchPage)?;
            file(&app, &actor, run(number)?, format).await
        }
    }
}

/// `GET /networks/{scan}/reports.zip`
pub(crate) async fn of_network(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Response, WebError> {
    zip(&app, &actor, scan).await
}

/// One report as a file.
pub(crate) async fn file(app: &App, actor: &Actor, run: RunId, format: Format) -> Result<Response, WebError> {
    let _held = app.exports.try_acquire().map_err(|_| {
        WebError::Busy("other reports are being written as files; try again when they are done".to_owned())
    })?;
    let report = app.coordinator.report_in_context(actor, run).await?;
    let name =
        format!("portdrift-{}-report-{run}.{}", network_name(&report.network, report.report.scan), format.ending());
    let bytes = match format {
        Format::Csv => blocking(move || written(|out| csv::write(&report, out))).await?,
        Format::Json => blocking(move || written(|out| json::write(&report, out))).await?,
        Format::Xml => {
            let scanned = app.coordinator.run_as_scanned(actor, run).await?;
            blocking(move || written(|out| xml::write(scanned, out))).await?
        }
    };
    Ok(attachment(&name, format.content_type(), bytes))
}

/// All reports of a network as one archive.
pub(crate) async fn zip(app: &App, actor: &Actor, scan: ScanId) -> Result<Response, WebError> {
    let permit = app.archives.clone().try_acquire_owned().map_err(|_| {
        WebError::Busy("other archives are being made or read; try again when they are done".to_owned())
    })?;
    let archive = archive::make(&app.coordinator, actor, scan).await?;
    let file = tokio::fs::File::from_std(archive.file);
    let parts = ReaderStream::new(file).map(move |part| {
        let _held = &permit; // as long as the file takes room on the disk
        part
    });
    let mut response =
        attachment(&format!("portdrift-{}-reports.zip", archive.name), "application/zip", Body::from_stream(parts));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(archive.size_bytes));
    Ok(response)
}

/// A file that the browser keeps under this name.
pub(crate) fn attachment(name: &str, content_type: &'static str, body: impl Into<Body>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body.into())
        .into_response()
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes)?;
    Ok(bytes)
}

/// Does what would hold up other requests where it holds up none.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, WebError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
    done.map_err(|error| {
        tracing::error!(%error, "an export could not be written");
        WebError::Internal
    })
}

/// A network in a file name: what is left of its name, in `[a-z0-9-]`, or its number when nothing is.
fn network_name(name: &protocol::text::Text, scan: ScanId) -> String {
    let slug = slug(name.as_str());
    if slug.is_empty() { format!("scan{scan}") } else { slug }
}

fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars().map(|character| character.to_ascii_lowercase()) {
        if slug.len() == MAX_SLUG {
            break;
        }
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}
