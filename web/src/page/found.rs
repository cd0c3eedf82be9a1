//! The hosts that a run found, page by page: a part that the pages of scans and runs share.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::report::service_words;
use askama::Template;
use askama::filters::HtmlSafe;
use coordinator::Actor;
use protocol::observation::{HostObservation, PortState};
use protocol::task::RunId;
use protocol::text::Text;
use std::net::IpAddr;

/// How many hosts stand on one page.
const PAGE: usize = 50;

/// Some of a run's hosts, in order of their addresses.
#[derive(Clone, Default, Template)]
#[template(path = "partials/found.html")]
pub(crate) struct Found {
    /// The page that shows them.
    pub(crate) path: String,
    pub(crate) rows: Vec<HostRow>,
    /// Whether others come before them.
    pub(crate) is_later: bool,
    /// The address after which the next page begins.
    pub(crate) next: Option<IpAddr>,
}

impl HtmlSafe for Found {}

/// A host that was found up.
#[derive(Clone)]
pub(crate) struct HostRow {
    pub(crate) address: String,
    pub(crate) names: String,
    pub(crate) ports: Vec<OpenPort>,
}

/// An open port of a host.
#[derive(Clone)]
pub(crate) struct OpenPort {
    /// `443/tcp`
    pub(crate) number: String,
    pub(crate) service: String,
}

impl Found {
    /// The hosts of `run` behind the address `after`, for the page at `path`.
    pub(crate) async fn read(
        app: &App,
        actor: &Actor,
        run: RunId,
        after: Option<IpAddr>,
        path: String,
    ) -> Result<Self, WebError> {
        let hosts = app.coordinator.run_hosts_page(actor, run, after, PAGE + 1).await?;
        let last = hosts.get(PAGE - 1).filter(|_| hosts.len() > PAGE);
        Ok(Self {
            path,
            next: last.map(|host| host.address),
            is_later: after.is_some(),
            rows: hosts.iter().take(PAGE).map(HostRow::from).collect(),
        })
    }
}

impl From<&HostObservation> for HostRow {
    fn from(host: &HostObservation) -> Self {
        let open = host.ports.iter().filter(|port| port.state == PortState::Open);
        Self {
            address: host.address.to_string(),
            names: host.names.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
            ports: open
                .map(|port| OpenPort {
                    number: format!("{}/{}", port.port, port.protocol),
                    service: port.service.as_ref().map(service_words).unwrap_or_default(),
                })
                .collect(),
        }
    }
}
