//! When a run last looked at the cells of a network. It is kept in ranges, so that an alert that still holds costs a run
//! no row of its own: only what a run changed is written.

use crate::analysis::alert::{Alert, AlertState};
use crate::analysis::coverage::Cells;
use crate::analysis::delta::PortId;
use crate::store::tables::VERIFIED;
use crate::store::{Reads, StoreError};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::task::{RunId, ScanId};
use std::net::IpAddr;

/// The latest look at each cell, the latest run first; no cell stands twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Verified(Vec<Look>);

/// What one run settled, without what later runs did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Look {
    run: RunId,
    /// When that run ended.
    at: Timestamp,
    cells: Cells,
}

impl Verified {
    /// Of a network.
    pub(crate) fn of(reads: &impl Reads, scan: ScanId) -> Result<Self, StoreError> {
        Ok(reads.get(&VERIFIED, &scan)?.unwrap_or_default())
    }

    /// After `run`, the latest one, which settled these cells.
    pub(crate) fn with(&self, run: RunId, at: Timestamp, cells: Cells) -> Self {
        let rest = self.0.iter().map(|look| Look { cells: look.cells.minus(&cells), ..*look });
        let rest: Vec<Look> = rest.filter(|look| !look.cells.is_empty()).collect();
        let latest = Some(Look { run, at, cells }).filter(|look| !look.cells.is_empty());
        Self(latest.into_iter().chain(rest).collect())
    }

    /// The latest run that settled a cell, and when it ended.
    pub(crate) fn latest(&self, address: IpAddr, port: PortId) -> Option<(RunId, Timestamp)> {
        let look = self.0.iter().find(|look| look.cells.covers(address, port.protocol, port.port))?;
        Some((look.run, look.at))
    }

    /// The alert as it stands with the latest look at its cell. One that is over keeps what ended it.
    pub(crate) fn tell(&self, alert: Alert) -> Alert {
        let later = self.latest(alert.key.address, alert.key.port).filter(|(run, _)| *run > alert.verified);
        match later.filter(|_| alert.state != AlertState::Resolved) {
            Some((verified, verified_at)) => Alert { verified, verified_at, ..alert },
            None => alert,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{PortSet, Protocol};
    use std::collections::BTreeSet;

    fn cells(targets: &str, ports: &str) -> Cells {
        Cells::new(targets.parse().unwrap(), ports.parse::<PortSet>().unwrap())
    }

    fn at(run: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * run)
    }

    #[test]
    fn each_cell_has_the_latest_run_that_settled_it_and_stands_once() {
        let looks = [
            (1, cells("10.9.0.0/24", "22,80")),
            (2, cells("10.9.0.0/25", "22")),
            (3, Cells::default()),
            (4, cells("10.9.0.7", "80")),
            (5, cells("10.9.0.0/24", "443")),
        ];
        let mut verified = Verified::default();
        for (run, cells) in looks.clone() {
            verified = verified.with(RunId(run), at(run), cells);
        }
        for (address, port) in ["10.9.0.7", "10.9.0.8", "10.9.0.200", "10.9.1.1"]
            .into_iter()
            .flat_map(|address| [22, 80, 443, 25].map(|port| (address.parse::<IpAddr>().unwrap(), port)))
        {
            let covers = |(_, cells): &&(u64, Cells)| cells.covers(address, Protocol::Tcp, port);
            let expected = looks.iter().rev().find(covers).map(|(run, _)| (RunId(*run), at(*run)));
            assert_eq!(
                verified.latest(address, PortId { protocol: Protocol::Tcp, port }),
                expected,
                "{address} {port}"
            );
        }
        let stands: u128 = verified.0.iter().map(|look| look.cells.count()).sum();
        assert_eq!(stands, 256 * 3, "no cell twice");
        let whole = verified.with(RunId(6), at(6), cells("10.9.0.0/24", "1-1000"));
        assert_eq!(whole.0.iter().map(|look| look.run).collect::<BTreeSet<_>>(), BTreeSet::from([RunId(6)]));
    }
}
