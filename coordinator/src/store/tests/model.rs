//! Groups of updates against a `BTreeMap`: every read inside and after them agrees, in both directions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use proptest::prelude::*;

use super::small;
use crate::store::index::Changes;
use crate::store::walk::Layers;
use crate::store::{Draft, Reads, Store, StoreError, Table};

type Pair = (u8, u16);
const PAIRS: Table<Pair, u32> = Table::new(b'P', "pairs");
/// Stands right behind the other, to see that ranges end.
const NEXT: Table<u8, u32> = Table::new(b'P' + 1, "next");

type Model = BTreeMap<Pair, u32>;

/// One update: what it sets or removes, and whether it then fails.
#[derive(Clone, Debug)]
struct Update {
    changes: Vec<(Pair, Option<u32>)>,
    fails: bool,
}

fn pair() -> impl Strategy<Value = Pair> {
    (0u8..4, prop_oneof![0u16..4, 254u16..258, Just(u16::MAX)])
}

fn update() -> impl Strategy<Value = Update> {
    (prop::collection::vec((pair(), any::<Option<u32>>()), 0..6), prop::bool::weighted(0.2))
        .prop_map(|(changes, fails)| Update { changes, fails })
}

/// Every way to read gives what the model gives.
fn agrees(reads: &impl Reads, model: &Model, probe: Pair) -> Result<(), StoreError> {
    let all: Vec<(Pair, u32)> = model.iter().map(|(key, value)| (*key, *value)).collect();
    let only = |keep: &dyn Fn(Pair) -> bool| all.iter().copied().filter(|(key, _)| keep(*key)).collect::<Vec<_>>();
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(reads.iter(&PAIRS).collect::<Result<Vec<_>, _>>()?, all);
    assert_eq!(reads.iter(&PAIRS).rev().collect::<Result<Vec<_>, _>>()?, reversed);
    assert_eq!(reads.within(&PAIRS, &probe.0).collect::<Result<Vec<_>, _>>()?, only(&|key| key.0 == probe.0));
    let mut page = only(&|key| key.0 == probe.0 && key < probe);
    page.reverse();
    assert_eq!(reads.within(&PAIRS, &probe.0).before(&probe).rev().collect::<Result<Vec<_>, _>>()?, page);
    assert_eq!(reads.last(&PAIRS)?, all.last().copied());
    assert_eq!(reads.get(&PAIRS, &probe)?, model.get(&probe).copied());
    assert_eq!(reads.contains(&PAIRS, &probe)?, model.contains_key(&probe));
    Ok(())
}

/// Runs one update in the store and, if it does not fail, on the model; reads through the draft on the way.
fn run(draft: &mut Draft, model: &Mutex<Model>, update: &Update) -> Result<(), StoreError> {
    let mut model = model.lock().unwrap();
    let mut changed = model.clone();
    agrees(draft, &model, (1, 255))?;
    for (key, value) in &update.changes {
        match value {
            Some(value) => {
                draft.put(&PAIRS, key, value)?;
                changed.insert(*key, *value);
            }
            None => {
                draft.remove(&PAIRS, key)?;
                changed.remove(key);
            }
        }
        agrees(draft, &changed, *key)?;
    }
    if update.fails {
        return Err(StoreError::Closed);
    }
    *model = changed;
    Ok(())
}

/// Holds the writer until every update waits, so that they form one group.
async fn one_group(store: &Store, model: &Arc<Mutex<Model>>, updates: &[Update]) {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let gate = store.update(move |_| wait.recv().map_err(|_| StoreError::Closed));
    let group = updates.iter().map(|update| {
        let (copy, model) = (update.clone(), model.clone());
        async move {
            let outcome = store.update(move |draft| run(draft, &model, &copy)).await;
            assert_eq!(outcome.is_err(), update.fails, "{outcome:?}");
        }
    });
    // All are polled once, in order, before the last one opens the gate.
    let open = async { release.send(()).unwrap() };
    let (gate, _, ()) = futures::join!(gate, join_all(group), open);
    gate.unwrap();
}

async fn through_groups(groups: Vec<Vec<Update>>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), small()).unwrap();
    store.update::<_, StoreError>(|draft| draft.put(&NEXT, &0, &9)).await.unwrap();
    let model = Arc::new(Mutex::new(Model::new()));
    for group in &groups {
        one_group(&store, &model, group).await;
        let copy = model.lock().unwrap().clone();
        store.read(move |view| agrees(view, &copy, (2, 256))).await.unwrap();
    }
    store.close().await;
    let store = Store::open(dir.path(), small()).unwrap();
    let last = model.lock().unwrap().clone();
    store.read(move |view| agrees(view, &last, (3, 0))).await.unwrap();
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(super::rounds(24, 500)).unwrap()))]

    #[test]
    fn groups_of_updates_read_and_leave_what_a_map_would(
        groups in prop::collection::vec(prop::collection::vec(update(), 1..8), 1..4),
    ) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(through_groups(groups));
    }
}

proptest! {
    #[test]
    fn staged_rows_merge_from_both_ends(
        stored in prop::collection::btree_map(0u8..20, any::<u8>(), 0..12),
        staged in prop::collection::btree_map(0u8..20, any::<Option<u8>>(), 0..12),
        low in 0u8..20, high in 0u8..22,
        fronts in prop::collection::vec(any::<bool>(), 40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(dir.path()).cache_capacity(1 << 20).open().unwrap();
        for (key, value) in &stored {
            db.insert([*key], vec![*value]).unwrap();
        }
        let changes: Changes = staged.iter().map(|(key, value)| (vec![*key], value.map(|value| vec![value]))).collect();
        let mut merged = stored.clone();
        for (key, value) in staged {
            match value {
                Some(value) => merged.insert(key, value),
                None => merged.remove(&key),
            };
        }
        let mut expected: Vec<(u8, u8)> = merged.into_iter().filter(|(key, _)| (low..high).contains(key)).collect();
        let layers = Layers { rows: &db, staged: &changes };
        let mut walk = layers.range(Bound::Included(vec![low]), Bound::Excluded(vec![high]));
        for front in fronts {
            let found = if front { walk.next() } else { walk.next_back() };
            let wanted = match (front, expected.is_empty()) {
                (_, true) => None,
                (true, _) => Some(expected.remove(0)),
                (false, _) => expected.pop(),
            };
            prop_assert_eq!(found.transpose().unwrap(), wanted.map(|(key, value)| (vec![key].into(), vec![value].into())));
        }
    }
}
