//! Keys sort as their values do, and read back.

use std::net::IpAddr;

use proptest::prelude::*;
use protocol::Timestamp;
use protocol::task::{RunId, ScanId, TaskId};

use crate::store::keys::Key;

fn bytes<K: Key>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.write(&mut bytes);
    bytes
}

/// Bytes order like the keys, and each key reads back with nothing left, even with something behind it.
fn holds<K: Key + Ord + Clone + std::fmt::Debug>(a: &K, b: &K) -> Result<(), TestCaseError> {
    prop_assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(b));
    let joined = [bytes(a), vec![1, 2, 3]].concat();
    let mut rest = joined.as_slice();
    prop_assert_eq!(K::read(&mut rest), Some(a.clone()));
    prop_assert_eq!(rest, &[1, 2, 3]);
    Ok(())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[\0-\u{2}a-b]{0,5}", any::<String>()]
}

proptest! {
    #[test]
    fn numbers_sort_as_keys(a: u64, b: u64, c: u32, d: u32, e: u16, f: u16, near in 0u64..3) {
        holds(&a, &b)?;
        holds(&a, &a.saturating_add(near))?;
        holds(&(c, e), &(d, f))?;
        holds(&ScanId(a), &ScanId(b))?;
        holds(&Timestamp::from_millis(a), &Timestamp::from_millis(b))?;
        holds(&TaskId { run: RunId(a), index: c }, &TaskId { run: RunId(a.saturating_add(near)), index: d })?;
    }

    #[test]
    fn addresses_sort_as_keys(a: IpAddr, b: IpAddr, scan: u64, id: [u8; 32], other: [u8; 32]) {
        holds(&a, &b)?;
        holds(&(ScanId(scan), a), &(ScanId(scan), b))?;
        holds(&(id, a, ScanId(scan)), &(other, b, ScanId(scan)))?;
    }

    #[test]
    fn texts_sort_as_keys(a in text(), b in text(), c in text(), d in text()) {
        holds(&a, &b)?;
        holds(&(a.clone(), c.clone()), &(b.clone(), d.clone()))?;
        holds(&(a, c, ()), &(b, d, ()))?;
    }

    #[test]
    fn foreign_bytes_never_panic_as_keys(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        <(String, IpAddr)>::read(&mut bytes.as_slice());
        <(TaskId, [u8; 32])>::read(&mut bytes.as_slice());
    }
}
