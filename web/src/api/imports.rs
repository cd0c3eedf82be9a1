//! Documents of other scanners: taken as runs.

use crate::App;
use crate::api::runs::RunSummary;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::RequestExt as _;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use coordinator::{Actor, Imported};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use protocol::TargetSet;
use protocol::task::ScanId;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::io::{StreamReader, SyncIoBridge};
use utoipa::{IntoParams, ToSchema};

/// How a document is to be taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Whether what it proves to be gone is gone; otherwise that stays unconfirmed, and resolves no alert.
    #[serde(default)]
    authoritative: bool,
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// Its run; follow it to its report.
    pub run: RunSummary,
    /// Hosts that were taken.
    pub hosts: u32,
    /// Addresses of hosts that the scan does not want; nothing of them was kept.
    #[schema(value_type = String)]
    pub outside: TargetSet,
    /// How many those are.
    pub outside_count: u64,
    /// Why the document does not speak for all that it asked; absent when it does.
    pub shortfall: Option<String>,
}

impl From<Imported> for Import {
    fn from(imported: Imported) -> Self {
        let Imported { run, hosts, outside, shortfall } = imported;
        Self {
            run: run.into(),
            hosts,
            outside_count: u64::try_from(outside.count()).unwrap_or(u64::MAX),
            outside,
            shortfall: shortfall.map(String::from),
        }
    }
}

/// Makes a run out of an nmap XML document, which is the body, at most 256 MiB; masscan's dialect is read too.
#[utoipa::path(
    post, path = "/api/v1/scans/{scan}/import", tag = "scans", params(("scan" = u64, Path), How),
    request_body(content = String, content_type = "application/xml"), responses((status = 202, body = Import))
)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Query(How { authoritative }): Query<How>,
    request: Request,
) -> Result<(StatusCode, Json<Import>), WebError> {
    let body = request.into_limited_body().into_data_stream().map_err(io::Error::other);
    let parts = Arc::new(Mutex::new(awaited(body, app.import_silence).fuse().boxed()));
    let imported = import(&app, &actor, scan, authoritative, read_on(&parts)).await;
    if imported.is_err() {
        // Whoever still sends does not look for an answer, and would find the connection closed.
        let mut rest = read_on(&parts);
        while let Some(Ok(_)) = rest.next().await {}
    }
    Ok((StatusCode::ACCEPTED, Json(imported?.into())))
}

async fn import(
    app: &App,
    actor: &Actor,
    scan: ScanId,
    authoritative: bool,
    parts: impl Stream<Item = io::Result<Bytes>> + Unpin + Send + 'static,
) -> Result<Imported, WebError> {
    let _held = app
        .imports
        .try_acquire()
        .map_err(|_| WebError::Busy("other documents are being read; import this one when they are done".to_owned()))?;
    Ok(app.coordinator.import(actor, scan, SyncIoBridge::new(StreamReader::new(parts)), authoritative).await?)
}

/// What is left of a stream that others read from as well.
fn read_on<T>(parts: &Arc<Mutex<BoxStream<'static, T>>>) -> impl Stream<Item = T> + Unpin + Send + use<T> {
    let parts = Arc::clone(parts);
    stream::poll_fn(move |context| parts.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context))
}

/// The parts of a body, which fails when its sender says nothing for `silence`: else it would be waited for for ever.
fn awaited<T>(
    parts: impl Stream<Item = io::Result<T>> + Unpin,
    silence: Duration,
) -> impl Stream<Item = io::Result<T>> {
    stream::unfold(Some(parts), move |parts| async move {
        let mut parts = parts?;
        match tokio::time::timeout(silence, parts.next()).await {
            Ok(part) => Some((part?, Some(parts))),
            Err(_) => {
                let words = format!("its sender fell silent for {} s; send it again", silence.as_secs());
                Some((Err(io::Error::new(io::ErrorKind::TimedOut, words)), None))
            }
        }
    })
}
