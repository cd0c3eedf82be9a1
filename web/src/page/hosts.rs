//! `/hosts`: every host that is known in a network, in order of address; found by filters in the address of the page.

pub(crate) mod wanted;

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::look::Badge;
use crate::page::choices::{Chips, Choice, Pager};
use crate::page::report::service_words;
use crate::page::{Head, Page, Section, View};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::host::HostFilter;
use coordinator::{Actor, HostList, HostView, ScanView};
use protocol::Timestamp;
use protocol::observation::PortObservation;
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use wanted::{LABELS, Wanted, words};

/// How many open ports of a host the list names one by one.
const MOST_PORTS: usize = 8;

#[derive(Template)]
#[template(path = "hosts.html")]
pub(crate) struct Hosts {
    /// What is asked for.
    pub(crate) fields: Fields,
    /// Numbers and names of networks.
    pub(crate) networks: Vec<(String, String)>,
    pub(crate) hosts: Vec<HostRow>,
    /// How many are known in the networks that are asked for.
    pub(crate) known: u64,
    pub(crate) pager: Pager,
    pub(crate) has_runs: bool,
    pub(crate) faults: Faults,
}

/// One host in the list.
pub(crate) struct HostRow {
    /// `3-192.0.2.7`
    pub(crate) id: String,
    pub(crate) address: String,
    /// What it is called, and what it runs; may be empty.
    pub(crate) name: String,
    pub(crate) scan: ScanId,
    pub(crate) network: String,
    pub(crate) ports: Vec<PortCell>,
    /// How many open ports more there are.
    pub(crate) more: usize,
    pub(crate) seen: RunId,
    pub(crate) seen_at: Timestamp,
    pub(crate) alerts: usize,
    pub(crate) worst: Option<Badge>,
}

/// An open port as a word, with what answers there.
#[derive(Default)]
pub(crate) struct PortCell {
    /// `443/tcp`
    pub(crate) number: String,
    pub(crate) service: String,
    /// Which engine named it, where more than one looked.
    pub(crate) by: String,
}

impl View for Hosts {
    fn head(&self) -> Head {
        Head::top(Section::Hosts)
    }
}

impl Hosts {
    const PATH: &'static str = "/hosts";

    fn choices(&self) -> [Choice<'_>; 2] {
        let networks = self.networks.iter().map(|(number, name)| (number.as_str(), name.as_str()));
        [
            Choice::of("scan", "Network", [("", "All")].into_iter().chain(networks), self.fields.get("scan")),
            Choice::of("alerts", "Alerts", [("", "All hosts"), ("active", "With alerts")], self.fields.get("alerts")),
        ]
    }

    fn chips(&self) -> Chips {
        Chips::of(Self::PATH, &self.fields.clone().with("after", ""), &LABELS, |name, value| {
            words(&self.networks, name, value)
        })
    }
}

/// `GET /hosts`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Response, WebError> {
    match Hosts::read(&app, &actor, &wanted).await {
        Ok(page) => Ok(Page(page).into_response()),
        Err(WebError::Invalid(faults)) => {
            let page = Hosts::nothing(&app, &actor, &wanted).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(Hosts { faults: faults.into(), ..page })).into_response())
        }
        Err(error) => Err(error),
    }
}

impl Hosts {
    /// The page without its list.
    async fn nothing(app: &App, actor: &Actor, wanted: &Wanted) -> Result<Self, WebError> {
        let scans = app.coordinator.scans(actor).await?;
        Ok(Self {
            fields: wanted.fields(),
            networks: networks(&scans),
            hosts: Vec::new(),
            known: 0,
            pager: Pager::default(),
            has_runs: scans.iter().any(|scan| scan.last_report.is_some()),
            faults: Faults::default(),
        })
    }

    async fn read(app: &App, actor: &Actor, wanted: &Wanted) -> Result<Self, WebError> {
        let (filter, page) = wanted.read()?;
        let HostList { hosts, next, known } = app.coordinator.hosts(actor, &filter, page).await?;
        let pager = wanted.pager(Self::PATH, next);
        let hosts = hosts.into_iter().map(|host| HostRow::of(host, &filter)).collect();
        Ok(Self { hosts, known, pager, ..Self::nothing(app, actor, wanted).await? })
    }
}

/// Numbers and names, for a choice.
pub(crate) fn networks(scans: &[ScanView]) -> Vec<(String, String)> {
    scans.iter().map(|view| (view.scan.id.to_string(), view.scan.definition.name().to_string())).collect()
}

impl HostRow {
    /// With the ports that are asked for.
    pub(crate) fn of(view: HostView, filter: &HostFilter) -> Self {
        let HostView { key, network, host, seen, seen_at, alerts, worst } = view;
        let open: Vec<&PortObservation> = filter.ports_of(&host).collect();
        let observation = &host.observation;
        let names = observation.names.iter().map(Text::as_str);
        let os = observation.os.iter().map(|os| os.name.as_str());
        Self {
            id: key.to_string(),
            address: key.address.to_string(),
            name: names.chain(os).collect::<Vec<_>>().join(", "),
            scan: key.scan,
            network: network.into(),
            more: open.len().saturating_sub(MOST_PORTS),
            ports: open.into_iter().take(MOST_PORTS).map(PortCell::from).collect(),
            seen,
            seen_at,
            alerts,
            worst: worst.map(Badge::from),
        }
    }
}

impl From<&PortObservation> for PortCell {
    fn from(port: &PortObservation) -> Self {
        Self {
            number: format!("{}/{}", port.port, port.protocol),
            service: port.service.as_ref().map(service_words).unwrap_or_default(),
            by: port.service.as_ref().map(|service| service.by.to_string()).unwrap_or_default(),
        }
    }
}
