//! One line of a delta as the demo compares it: what was done on one side, what the report says on the other.

use super::catalogue::Service;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// One line. Two deltas are equal when their sorted lines are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    NewHost { address: IpAddr },
    RemovedHost { address: IpAddr },
    NewPort { address: IpAddr, port: u16, service: String },
    ClosedPort { address: IpAddr, port: u16 },
    ServiceChange { address: IpAddr, port: u16, before: String, after: String },
}

impl Line {
    pub(crate) fn opened(address: Ipv4Addr, port: u16, service: Service) -> Self {
        Self::NewPort { address: address.into(), port, service: service.to_string() }
    }

    pub(crate) fn closed(address: Ipv4Addr, port: u16) -> Self {
        Self::ClosedPort { address: address.into(), port }
    }

    pub(crate) fn changed(address: Ipv4Addr, port: u16, from: Service, to: Service) -> Self {
        Self::ServiceChange { address: address.into(), port, before: from.to_string(), after: to.to_string() }
    }

    /// The kind of change in words, as in a table's first column.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NewHost { .. } => "+ new host",
            Self::RemovedHost { .. } => "− removed host",
            Self::NewPort { .. } => "+ new port",
            Self::ClosedPort { .. } => "− closed port",
            Self::ServiceChange { .. } => "~ service change",
        }
    }

    /// Where it happened: an address, or an address with protocol and port.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::NewHost { address } | Self::RemovedHost { address } => address.to_string(),
            Self::NewPort { address, port, .. }
            | Self::ClosedPort { address, port }
            | Self::ServiceChange { address, port, .. } => format!("{address} {port}/tcp"),
        }
    }

    /// What is there now, or what became of what.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::NewHost { .. } | Self::RemovedHost { .. } | Self::ClosedPort { .. } => String::new(),
            Self::NewPort { service, .. } => service.clone(),
            Self::ServiceChange { before, after, .. } => format!("{before} → {after}"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}  {}  {}", self.kind(), self.place(), self.detail());
        f.write_str(text.trim_end())
    }
}

/// What only one of two sorted deltas has: first what is missing in `found`, then what it has too much.
pub(crate) fn mismatch(expected: &[Line], found: &[Line]) -> (Vec<Line>, Vec<Line>) {
    let without = |these: &[Line], those: &[Line]| {
        let mut those = those.to_vec();
        let mut left = Vec::new();
        for line in these {
            match those.iter().position(|other| other == line) {
                Some(at) => drop(those.remove(at)),
                None => left.push(line.clone()),
            }
        }
        left
    };
    (without(expected, found), without(found, expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::catalogue::Kind;

    const AT: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 9);

    #[test]
    fn a_line_reads_like_the_table() {
        let http = Service::oldest(Kind::Web);
        let newer = http.next_version().unwrap();
        insta::assert_snapshot!(Line::changed(AT, 8080, http, newer), @"~ service change  127.0.10.9 8080/tcp  nginx 1.18.0 → nginx 1.24.0");
        insta::assert_snapshot!(Line::closed(AT, 8080), @"− closed port  127.0.10.9 8080/tcp");
        insta::assert_snapshot!(Line::NewHost { address: AT.into() }, @"+ new host  127.0.10.9");
    }

    #[test]
    fn a_mismatch_names_what_is_missing_and_what_is_too_much_even_when_doubled() {
        let (a, b) = (Line::closed(AT, 1), Line::closed(AT, 2));
        let (one, two) = ([a.clone(), b.clone()], [b.clone(), b.clone()]);
        assert_eq!(mismatch(&one, &two), (vec![a], vec![b]));
        assert_eq!(mismatch(&one, &one), (vec![], vec![]));
    }
}
