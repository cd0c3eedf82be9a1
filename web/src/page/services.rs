//! `/services`: which ports are open on how many hosts, and all hosts with one port or service.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::choices::{Chips, Choice, Pager};
use crate::page::hosts::HostRow;
use crate::page::hosts::wanted::{LABELS, Wanted, words};
use crate::page::{Head, Page, Section, View, hosts};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::{Actor, HostList, ServiceTally};
use protocol::text::Text;

#[derive(Template)]
#[template(path = "services.html")]
pub(crate) struct ServicesPage {
    /// What is asked for.
    pub(crate) fields: Fields,
    /// Numbers and names of networks.
    pub(crate) networks: Vec<(String, String)>,
    pub(crate) shown: Shown,
    pub(crate) has_runs: bool,
    pub(crate) faults: Faults,
}

/// What the page lists.
pub(crate) enum Shown {
    /// Ports, when none is asked for.
    Ports { ports: Vec<PortRow>, left_out: usize, hosts: usize, is_cut: bool },
    /// Hosts with the port or service.
    Hosts { hosts: Vec<HostRow>, pager: Pager },
}

/// One open port over all hosts.
pub(crate) struct PortRow {
    /// `443/tcp`
    pub(crate) port: String,
    pub(crate) hosts: usize,
    /// What answers there most often.
    pub(crate) names: String,
    /// The list of its hosts.
    pub(crate) path: String,
}

impl View for ServicesPage {
    fn head(&self) -> Head {
        let head = Head::below(Section::Hosts, self.title());
        if self.is_of_one() { head.via("Services", Self::PATH) } else { head }
    }
}

impl ServicesPage {
    const PATH: &'static str = "/services";

    fn is_of_one(&self) -> bool {
        ["port", "service"].iter().any(|name| !self.fields.get(name).is_empty())
    }

    fn title(&self) -> String {
        match (self.fields.get("port"), self.fields.get("service")) {
            ("", "") => "Services".to_owned(),
            (port, "") => format!("Port {port}"),
            ("", service) => format!("Service {service}"),
            (port, service) => format!("{service} on port {port}"),
        }
    }

    fn network(&self) -> Choice<'_> {
        let networks = self.networks.iter().map(|(number, name)| (number.as_str(), name.as_str()));
        Choice::of("scan", "Network", [("", "All")].into_iter().chain(networks), self.fields.get("scan"))
    }

    fn chips(&self) -> Chips {
        Chips::of(Self::PATH, &self.fields.clone().with("after", ""), &LABELS, |name, value| {
            words(&self.networks, name, value)
        })
    }
}

/// `GET /services`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Response, WebError> {
    let scans = app.coordinator.scans(&actor).await?;
    let page = ServicesPage {
        fields: wanted.fields(),
        networks: hosts::networks(&scans),
        shown: Shown::Hosts { hosts: Vec::new(), pager: Pager::default() },
        has_runs: scans.iter().any(|scan| scan.last_report.is_some()),
        faults: Faults::default(),
    };
    match page.read(&app, &actor, &wanted).await {
        Ok(shown) => Ok(Page(ServicesPage { shown, ..page }).into_response()),
        Err(WebError::Invalid(faults)) => {
            let page = ServicesPage { faults: faults.into(), ..page };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error),
    }
}

impl ServicesPage {
    async fn read(&self, app: &App, actor: &Actor, wanted: &Wanted) -> Result<Shown, WebError> {
        let (filter, page) = wanted.read()?;
        if self.is_of_one() {
            let HostList { hosts, next, known: _ } = app.coordinator.hosts(actor, &filter, page).await?;
            let hosts = hosts.into_iter().map(|host| HostRow::of(host, &filter)).collect();
            return Ok(Shown::Hosts { hosts, pager: wanted.pager(Self::PATH, next) });
        }
        let coordinator::Services { ports, left_out, hosts, is_cut } = app.coordinator.services(actor, &filter).await?;
        let ports = ports.into_iter().map(|tally| PortRow::of(tally, &self.fields)).collect();
        Ok(Shown::Ports { ports, left_out, hosts, is_cut })
    }
}

impl PortRow {
    fn of(ServiceTally { port, hosts, names }: ServiceTally, fields: &Fields) -> Self {
        let port = format!("{}/{}", port.port, port.protocol);
        Self {
            path: format!("{}{}", ServicesPage::PATH, fields.clone().with("port", &port)),
            port,
            hosts,
            names: names.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}
