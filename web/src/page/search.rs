//! `/search`: hosts, alerts, networks and nodes that fit what was typed; an exact address goes straight to the host.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::capital_text;
use crate::look::Badge;
use crate::page::hosts::HostRow;
use crate::page::{Head, Page, View, nodes};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::host::HostFilter;
use coordinator::search::Field;
use coordinator::{AlertView, Hits, NodeView, ScanView, SearchHits};

#[derive(Template)]
#[template(path = "search.html")]
pub(crate) struct Search {
    /// As typed.
    pub(crate) text: String,
    /// Why it was not understood.
    pub(crate) fault: Option<String>,
    pub(crate) groups: Vec<Group>,
}

/// Hits of one kind.
pub(crate) struct Group {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) hits: Vec<Hit>,
    /// Whether there are, or may be, more.
    pub(crate) has_more: bool,
}

/// One thing that was found.
pub(crate) struct Hit {
    pub(crate) path: String,
    pub(crate) title: String,
    /// Whether the title is an address.
    pub(crate) is_mono: bool,
    /// What else there is to say.
    pub(crate) words: String,
    pub(crate) badge: Option<Badge>,
}

/// What was typed.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    q: String,
}

impl View for Search {
    fn head(&self) -> Head {
        Head { title: "Search".to_owned(), ..Head::default() }
    }
}

impl Search {
    fn fields() -> String {
        Field::ALL.map(Field::name).join(", ")
    }
}

/// `GET /search`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(Asked { q }): Query<Asked>,
) -> Result<Response, WebError> {
    let empty = |fault| Search { text: q.clone(), fault, groups: Vec::new() };
    if q.trim().is_empty() {
        return Ok(Page(empty(None)).into_response());
    }
    match app.coordinator.search(&actor, &q).await.map_err(WebError::from) {
        Ok(SearchHits { exact: Some(host), .. }) => {
            Ok(Redirect::to(&app.link(&format!("/hosts/{host}"))).into_response())
        }
        Ok(hits) => Ok(Page(Search { groups: groups(hits), ..empty(None) }).into_response()),
        Err(WebError::Invalid(faults)) => {
            let fault = faults.into_values().collect::<Vec<_>>().join("; ");
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(empty(Some(fault)))).into_response())
        }
        Err(error) => Err(error),
    }
}

/// Those with hits.
fn groups(SearchHits { exact: _, hosts, alerts, networks, nodes }: SearchHits) -> Vec<Group> {
    let all = [
        group("hosts", "Hosts", hosts, |host| {
            let row = HostRow::of(host, &HostFilter::default());
            let ports: Vec<&str> = row.ports.iter().map(|port| port.number.as_str()).collect();
            let parts = [row.name, row.network, ports.join(", ")];
            Hit {
                path: format!("/hosts/{}", row.id),
                title: row.address,
                is_mono: true,
                words: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · "),
                badge: row.worst,
            }
        }),
        group("alerts", "Alerts", alerts, alert),
        group("networks", "Networks", networks, network),
        group("nodes", "Nodes", nodes, node),
    ];
    all.into_iter().filter(|group| !group.hits.is_empty()).collect()
}

fn group<T>(id: &'static str, title: &'static str, hits: Hits<T>, hit: impl Fn(T) -> Hit) -> Group {
    Group { id, title, hits: hits.shown.into_iter().map(hit).collect(), has_more: hits.has_more }
}

fn alert(AlertView { alert, network, .. }: AlertView) -> Hit {
    let key = &alert.key;
    Hit {
        path: format!("/alerts/{key}"),
        title: format!("{} on {}", capital_text(key.rule.as_str()), key.address),
        is_mono: false,
        words: format!("{}/{} · {network} · {}", key.port.port, key.port.protocol, alert.state.name()),
        badge: Some(alert.severity.into()),
    }
}

fn network(view: ScanView) -> Hit {
    let definition = &view.scan.definition;
    Hit {
        path: format!("/scans/{}", view.scan.id),
        title: definition.name().to_string(),
        is_mono: false,
        words: definition.targets().to_string(),
        badge: view.last_report.as_ref().map(Badge::of_report),
    }
}

fn node(view: NodeView) -> Hit {
    let (state, why, _) = nodes::state(&view);
    let fingerprint = view.record.key.fingerprint();
    let words = [fingerprint.to_string(), why].into_iter().filter(|part| !part.is_empty());
    Hit {
        path: format!("/nodes/{}", fingerprint.compact()),
        title: view.record.label.to_string(),
        is_mono: false,
        words: words.collect::<Vec<_>>().join(" · "),
        badge: Some(state),
    }
}
