//! Changes that a person accepted as expected (SPEC R11).

use crate::analysis::delta::PortId;
use crate::store::{Reads, StoreError};
use protocol::task::ScanId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Cells of a scan whose present state was accepted.
pub(crate) fn accepted_cells(_reads: &impl Reads, _scan: ScanId) -> Result<BTreeSet<(IpAddr, PortId)>, StoreError> {
    Ok(BTreeSet::new())
}
