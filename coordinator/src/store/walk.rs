//! Rows in key order from the index with staged changes laid over it, from both ends.

use std::cmp::Ordering;
use std::collections::btree_map;
use std::ops::Bound;

use sled::IVec;

use super::error::StoreError;
use super::index::{Changes, Staged, guarded};

type StagedRange<'a> = btree_map::Range<'a, Vec<u8>, Staged>;

/// A row's key and sealed value, shared with the index as far as they lie there.
pub(super) type RawRow = (IVec, IVec);

/// The index's rows, and what is staged over them.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a> {
    pub(super) rows: &'a sled::Tree,
    pub(super) staged: &'a Changes,
}

impl<'a> Layers<'a> {
    /// The sealed value under `key`.
    pub(super) fn get(self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.staged.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => guarded(|| Ok(self.rows.get(key)?.map(|value| value.to_vec()))),
        }
    }

    /// The rows between two bounds.
    pub(super) fn range(self, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Walk<'a> {
        let range = (!is_empty(&low, &high)).then(|| {
            let staged = self.staged.range::<[u8], _>((as_slice(&low), as_slice(&high)));
            (self.rows.range::<Vec<u8>, _>((low.clone(), high.clone())), staged)
        });
        Walk { ends: range.map(|(rows, staged)| (Ends::new(rows), Ends::new(staged))) }
    }
}

/// Whether nothing can lie between; `BTreeMap::range` panics on some such bounds.
fn is_empty(low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Rows in order, from either end, read as they are asked for.
pub(super) struct Walk<'a> {
    /// `None` when nothing can lie between the bounds.
    ends: Option<(Ends<sled::Iter>, Ends<StagedRange<'a>>)>,
}

/// From which end a row is wanted.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

impl Walk<'_> {
    /// The next row from `end`: the staged one where both have the key, none where it is staged for removal.
    fn step(&mut self, end: End) -> Result<Option<RawRow>, StoreError> {
        let Some((rows, staged)) = self.ends.as_mut() else { return Ok(None) };
        loop {
            let order = match (guarded(|| Ok(rows.peek(end)))?, staged.peek(end)) {
                (None, None) => return Ok(None),
                // A row that cannot be read goes out first.
                (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok((row, _))), Some((key, _))) => match end {
                    End::Front => row.as_ref().cmp(key.as_slice()),
                    End::Back => key.as_slice().cmp(row.as_ref()),
                },
            };
            let row = if order.is_le() { guarded(|| rows.take(end).transpose())? } else { None };
            let change = if order.is_ge() { staged.take(end) } else { None };
            match (row, change) {
                (_, Some((key, Some(value)))) => return Ok(Some((key.as_slice().into(), value.as_slice().into()))),
                (Some(row), None) => return Ok(Some(row)),
                (_, Some((_, None))) | (None, None) => {}
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<RawRow, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front).transpose()
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back).transpose()
    }
}

/// Looks one item ahead at both ends.
struct Ends<I: Iterator> {
    items: I,
    front: Option<I::Item>,
    back: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Ends<I> {
    fn new(items: I) -> Self {
        Self { items, front: None, back: None }
    }

    fn peek(&mut self, end: End) -> &mut Option<I::Item> {
        let (near, far) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if near.is_none() {
            let next = match end {
                End::Front => self.items.next(),
                End::Back => self.items.next_back(),
            };
            *near = next.or_else(|| far.take());
        }
        near
    }

    fn take(&mut self, end: End) -> Option<I::Item> {
        self.peek(end).take()
    }
}
