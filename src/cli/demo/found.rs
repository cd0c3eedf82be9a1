//! A report as the demo's lines, so that it can be compared with what was changed.

use super::catalogue::shown;
use super::line::Line;
use coordinator::analysis::delta::{ChangeKind, Side};
use std::net::IpAddr;
use web::api::reports::{Change, Report};

/// The lines of a report, sorted. A change of a kind that the demo never makes becomes a line that nobody expects.
pub(crate) fn lines(report: &Report) -> Vec<Line> {
    let mut lines: Vec<Line> = report.changes.iter().map(line).collect();
    lines.sort();
    lines
}

fn line(change: &Change) -> Line {
    let address = change.address;
    match change.kind {
        ChangeKind::NewHost => Line::NewHost { address },
        ChangeKind::RemovedHost => Line::RemovedHost { address },
        ChangeKind::NewPort => Line::NewPort { address, port: port(change), service: service(change.after.as_ref()) },
        ChangeKind::ClosedPort => Line::ClosedPort { address, port: port(change) },
        ChangeKind::ServiceChange | ChangeKind::OsChange | ChangeKind::NameChange | ChangeKind::MacChange => {
            changed(address, change)
        }
    }
}

fn changed(address: IpAddr, change: &Change) -> Line {
    let (before, after) = (service(change.before.as_ref()), service(change.after.as_ref()));
    Line::ServiceChange { address, port: port(change), before, after }
}

/// The number in `443/tcp`; 0, which no service of the demo has, for a port of another protocol.
fn port(change: &Change) -> u16 {
    let number = change.port.as_deref().and_then(|port| port.strip_suffix("/tcp"));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn service(side: Option<&Side>) -> String {
    let Some(Side::Port { service: Some(service), .. }) = side else { return String::new() };
    let product = if service.product.is_empty() { &service.name } else { &service.product };
    shown(&product.to_string(), &service.version.to_string())
}
