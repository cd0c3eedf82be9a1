//! Hosts: what is known of each, over all networks; and which ports are open on them.

use super::Params;
use super::alerts::Alert;
use super::alerts::matching::{given, read};
use super::paging::{Cursor, Listed};
use crate::App;
use crate::error::WebError;
use crate::session::Caller;
use axum::Json;
use axum::extract::{Path, State};
use coordinator::analysis::alert::Severity;
use coordinator::analysis::delta::KnownHost;
use coordinator::host::{HostFilter, HostKey};
use coordinator::{HostDetail, HostPage, HostView, Mark, PortHistory, ServiceTally, UseCaseError};
use protocol::observation::{PortObservation, Service as Found};
use protocol::task::{RunId, ScanId};
use protocol::{PortSet, Protocol, TargetSet, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};

/// Which hosts: all that is given must fit.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The number of a scan.
    scan: Option<u64>,
    /// Addresses, such as `192.0.2.0/24`.
    address: String,
    /// Open ports, such as `22,80,U:53`.
    port: String,
    /// A text in the service on an open port.
    service: String,
    /// A text in address, names, MAC address or operating system.
    text: String,
    /// Only hosts with open or actioned alerts.
    alerted: bool,
}

/// A host as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Names it: network and address.
    pub id: String,
    /// The network that it is known in.
    #[schema(value_type = u64)]
    pub scan: ScanId,
    /// The network's name.
    pub network: String,
    /// Its address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its names.
    pub names: Vec<String>,
    /// Its link address; absent when it is not known.
    pub mac: Option<String>,
    /// Its operating system; absent when it is not known.
    pub os: Option<String>,
    /// Its open ports.
    pub ports: Vec<OpenPort>,
    /// The latest run that saw it.
    #[schema(value_type = Option<u64>)]
    pub seen_run: Option<RunId>,
    /// When that run ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen: Option<Timestamp>,
    /// How many of its alerts are open or actioned.
    pub active_alerts: usize,
    /// `critical`, `high`, `medium` or `low`: the worst of them.
    #[schema(value_type = Option<String>)]
    pub worst: Option<Severity>,
}

/// An open port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenPort {
    /// `tcp`, `udp` or `sctp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// What answers there; empty when it is not known.
    pub service: String,
    /// Product, version and what else it told.
    pub about: String,
    /// Which engine named it; empty where one engine alone looked, or nobody asked it.
    pub by: String,
}

/// A host with its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostHistory {
    /// The host; of one that is gone, as it was before.
    #[serde(flatten)]
    pub host: Host,
    /// The run that found it gone; absent while it is there.
    #[schema(value_type = Option<u64>)]
    pub gone_run: Option<RunId>,
    /// When the first run ended that found it.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: Timestamp,
    /// The latest runs that looked at it, oldest first.
    pub looks: Vec<Look>,
    /// Its ports over these runs, those that are open first.
    pub history: Vec<PortOverTime>,
    /// How many ports more there are.
    pub ports_left_out: usize,
    /// Its alerts in all states, by port.
    pub alerts: Vec<Alert>,
}

/// A run that looked at a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Look {
    /// Which run.
    #[schema(value_type = u64)]
    pub run: RunId,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether it saw the host.
    pub saw: bool,
    /// How many of its ports were looked at.
    pub ports: u32,
    /// How many of them were open.
    pub open: u32,
}

/// One port over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortOverTime {
    /// `tcp`, `udp` or `sctp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// Since when it is open without a break; absent while it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// What each look saw: `open`, `not-open` or `not-looked-at`.
    pub looks: Vec<String>,
}

/// The open ports of the hosts that are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// The most common first, at most 500.
    pub ports: Vec<ServicePort>,
    /// How many ports more there are.
    pub left_out: usize,
    /// How many hosts were counted.
    pub hosts: usize,
    /// Whether there are more hosts than one look counts.
    pub cut: bool,
}

/// An open port, and how common it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServicePort {
    /// `tcp`, `udp` or `sctp`.
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// Which port.
    pub port: u16,
    /// On how many hosts it is open.
    pub hosts: usize,
    /// What answers there, the most common first; at most three names.
    pub names: Vec<String>,
}

impl Wanted {
    fn filter(self) -> Result<HostFilter, WebError> {
        let Self { scan, address, port, service, text, alerted } = self;
        Ok(HostFilter {
            scan: scan.map(ScanId),
            addresses: read::<TargetSet>("address", &address)?,
            ports: read::<PortSet>("port", &port)?,
            service: given(&service).map(str::to_owned),
            text: given(&text).map(str::to_owned),
            is_alerted: alerted,
        })
    }
}

impl From<&PortObservation> for OpenPort {
    fn from(PortObservation { protocol, port, service, state: _, reason: _ }: &PortObservation) -> Self {
        let (name, about, by) = match service {
            Some(Found { name, product, version, extra, tls: _, method: _, by }) => {
                let words = [product, version, extra].map(|word| word.as_str());
                let about: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
                (name.to_string(), about.join(" "), by.to_string())
            }
            None => (String::new(), String::new(), String::new()),
        };
        Self { protocol: *protocol, port: *port, service: name, about, by }
    }
}

/// The host itself, with nothing of its alerts and of when it was seen.
fn known(key: HostKey, network: String, host: &KnownHost) -> Host {
    let seen = &host.observation;
    Host {
        id: key.to_string(),
        scan: key.scan,
        network,
        address: key.address,
        names: seen.names.iter().map(ToString::to_string).collect(),
        mac: seen.mac.as_ref().map(|mac| mac.address.to_string()),
        os: seen.os.as_ref().map(|os| os.name.to_string()),
        ports: host.open_ports().map(OpenPort::from).collect(),
        seen_run: None,
        seen: None,
        active_alerts: 0,
        worst: None,
    }
}

impl From<HostView> for Host {
    fn from(HostView { key, network, host, seen, seen_at, alerts, worst }: HostView) -> Self {
        let known = known(key, network.into(), &host);
        Self { seen_run: Some(seen), seen: Some(seen_at), active_alerts: alerts, worst, ..known }
    }
}

impl From<HostDetail> for HostHistory {
    fn from(detail: HostDetail) -> Self {
        let HostDetail { key, network, host, gone, first, seen, looks, ports, left_out, alerts } = detail;
        let active = || alerts.iter().filter(|view| view.alert.state.is_active());
        let host = Host {
            seen_run: seen.map(|(run, _)| run),
            seen: seen.map(|(_, at)| at),
            active_alerts: active().count(),
            worst: active().map(|view| view.alert.severity).min(),
            ..known(key, network.into(), &host)
        };
        let look = |coordinator::HostLook { run, at, saw, ports, open }| Look { run, at, saw, ports, open };
        Self {
            host,
            gone_run: gone.map(|(run, _)| run),
            first_seen: first.1,
            looks: looks.into_iter().map(look).collect(),
            history: ports.into_iter().map(PortOverTime::from).collect(),
            ports_left_out: left_out,
            alerts: alerts.into_iter().map(Alert::from).collect(),
        }
    }
}

impl From<PortHistory> for PortOverTime {
    fn from(PortHistory { port, now: _, since, strip }: PortHistory) -> Self {
        let word = |mark: Mark| match mark {
            Mark::Open => "open",
            Mark::NotOpen => "not-open",
            Mark::NotLookedAt => "not-looked-at",
        };
        let looks = strip.into_iter().map(|mark| word(mark).to_owned()).collect();
        Self { protocol: port.protocol, port: port.port, since: since.map(|(_, at)| at), looks }
    }
}

impl From<coordinator::Services> for Services {
    fn from(coordinator::Services { ports, left_out, hosts, is_cut }: coordinator::Services) -> Self {
        let port = |ServiceTally { port, hosts, names }| ServicePort {
            protocol: port.protocol,
            port: port.port,
            hosts,
            names: names.into_iter().map(String::from).collect(),
        };
        Self { ports: ports.into_iter().map(port).collect(), left_out, hosts, cut: is_cut }
    }
}

/// Hosts in order of address, then of network. A page may be short, or empty, although another one follows.
#[utoipa::path(get, path = "/api/v1/hosts", tag = "hosts", params(Wanted, Cursor), responses((status = 200, body = Vec<Host>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(wanted): Params<Wanted>,
    cursor: Cursor,
) -> Result<Listed<Host>, WebError> {
    let after = read::<HostKey>("after", cursor.after.as_deref().unwrap_or_default())?;
    let page = HostPage { after, limit: cursor.limit() };
    let coordinator::HostList { hosts, next, known: _ } =
        app.coordinator.hosts(&actor, &wanted.filter()?, page).await?;
    Ok(cursor.followed(hosts.into_iter().map(Host::from).collect(), next.map(|key| key.to_string())))
}

/// One host with its history, by network and address, such as `3-192.0.2.7`.
#[utoipa::path(get, path = "/api/v1/hosts/{host}", tag = "hosts", params(("host" = String, Path)), responses((status = 200, body = HostHistory)))]
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(host): Path<String>,
) -> Result<Json<HostHistory>, WebError> {
    let key = host.parse::<HostKey>().map_err(|_| UseCaseError::NotFound(format!("host {host}"), "hosts"))?;
    Ok(Json(app.coordinator.host(&actor, key).await?.into()))
}

/// Which ports are open on the hosts that are wanted, and on how many.
#[utoipa::path(get, path = "/api/v1/services", tag = "hosts", params(Wanted), responses((status = 200, body = Services)))]
pub(crate) async fn services(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Services>, WebError> {
    Ok(Json(app.coordinator.services(&actor, &wanted.filter()?).await?.into()))
}
