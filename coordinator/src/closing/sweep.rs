//! Removes what is left of runs which have ended, a piece at a time: observations, and parts of reports that were never
//! made.

use crate::store::tables::{REPORT_PARTS, REPORTS, RUNS, STAGED, STAGED_AGAIN};
use crate::store::{Reads, Store, StoreError, Table, View};
use protocol::observation::HostObservation;
use protocol::task::RunId;
use std::net::{IpAddr, Ipv6Addr};

/// How many observations one commit removes.
const KEYS_AT_ONCE: usize = 2_000;

type Staged = Table<(RunId, IpAddr), HostObservation>;

/// Removes them all. What is broken off here is done by the next call.
pub(crate) async fn sweep(store: &Store) -> Result<(), StoreError> {
    for table in [&STAGED, &STAGED_AGAIN] {
        loop {
            let keys = store.read(|view| left_over(view, table)).await?;
            if keys.is_empty() {
                break;
            }
            store.update(move |draft| keys.iter().try_for_each(|key| draft.remove(table, key))).await?;
        }
    }
    loop {
        let keys = store.read(orphans).await?;
        if keys.is_empty() {
            return Ok(());
        }
        store.update(move |draft| keys.iter().try_for_each(|key| draft.remove(&REPORT_PARTS, key))).await?;
    }
}

/// The first parts of reports of ended runs that have none.
fn orphans(reads: &View) -> Result<Vec<(RunId, u32)>, StoreError> {
    let mut rows = reads.iter(&REPORT_PARTS);
    while let Some(row) = rows.unread().next().transpose()? {
        let run = row.key.0;
        let has_ended = reads.get(&RUNS, &run)?.is_none_or(|run| run.state.is_final());
        if has_ended && !reads.contains(&REPORTS, &run)? {
            return reads.within(&REPORT_PARTS, &run).unread().take(KEYS_AT_ONCE).map(|row| Ok(row?.key)).collect();
        }
        rows = reads.iter(&REPORT_PARTS).after(&(run, u32::MAX));
    }
    Ok(Vec::new())
}

/// The first observations of runs that have ended.
fn left_over(reads: &impl Reads, table: &Staged) -> Result<Vec<(RunId, IpAddr)>, StoreError> {
    let mut rows = reads.iter(table);
    let mut keys = Vec::new();
    while let Some(row) = rows.unread().next().transpose()? {
        let run = row.key.0;
        if reads.get(&RUNS, &run)?.is_none_or(|run| run.state.is_final()) {
            for row in reads.within(table, &run).unread().take(KEYS_AT_ONCE) {
                keys.push(row?.key);
            }
            return Ok(keys);
        }
        rows = reads.iter(table).after(&(run, IpAddr::V6(Ipv6Addr::from_bits(u128::MAX))));
    }
    Ok(keys)
}
