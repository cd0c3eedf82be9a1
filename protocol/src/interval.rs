//! Sets of whole numbers as sorted, merged, closed intervals: what addresses and ports have in common.
//!
//! A set never holds more than its intervals: the whole of IPv6 costs two numbers.

use crate::codec::{BorrowDecode, BorrowDecoder, Decode, DecodeError, Decoder, Encode};

/// A number type whose neighbours can be asked for.
pub(crate) trait Point: Copy + Ord {
    /// The next larger number, or `None` at the top.
    fn next(self) -> Option<Self>;
    /// The next smaller number, or `None` at zero.
    fn previous(self) -> Option<Self>;
    /// `self - start`, for `start <= self`.
    fn distance_from(self, start: Self) -> u128;
    /// `self + steps`; the caller knows that it fits, and the top is returned if it does not.
    fn forward(self, steps: u128) -> Self;
}

macro_rules! point {
    ($($number:ty),*) => {$(
        impl Point for $number {
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
            fn distance_from(self, start: Self) -> u128 {
                u128::from(self.saturating_sub(start))
            }
            fn forward(self, steps: u128) -> Self {
                Self::try_from(steps).ok().and_then(|steps| self.checked_add(steps)).unwrap_or(Self::MAX)
            }
        }
    )*};
}
point!(u16, u32, u128);

/// Sorted, disjoint, non-adjacent closed intervals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IntervalSet<T>(Vec<(T, T)>);

impl<T> Default for IntervalSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Point> FromIterator<(T, T)> for IntervalSet<T> {
    /// Sorts and merges; an interval whose end is before its start counts as empty.
    fn from_iter<I: IntoIterator<Item = (T, T)>>(intervals: I) -> Self {
        let mut sorted: Vec<(T, T)> = intervals.into_iter().filter(|(first, last)| first <= last).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(open) if open.1.next().is_none_or(|next| first <= next) => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

impl<T: Point> IntervalSet<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn intervals(&self) -> &[(T, T)] {
        &self.0
    }

    /// How many numbers the set holds; the whole of `u128` saturates.
    pub(crate) fn count(&self) -> u128 {
        self.0.iter().fold(0u128, |sum, (first, last)| sum.saturating_add(last.distance_from(*first).saturating_add(1)))
    }

    pub(crate) fn contains(&self, point: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= point);
        after.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|(_, last)| point <= *last)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(&&(a, b)), Some(&&(c, d))) = (mine.peek(), theirs.peek()) {
            if a.max(c) <= b.min(d) {
                both.push((a.max(c), b.min(d)));
            }
            if b <= d {
                mine.next()
            } else {
                theirs.next()
            };
        }
        Self(both)
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut cuts = other.0.iter().peekable();
        for &(first, last) in &self.0 {
            let mut start = Some(first);
            while let (Some(&&(c, d)), Some(from)) = (cuts.peek(), start) {
                if d < from {
                    cuts.next();
                    continue;
                }
                if c > last {
                    break;
                }
                if let Some(before) = c.previous().filter(|before| from <= *before) {
                    left.push((from, before));
                }
                start = d.next().filter(|next| *next <= last);
                if d <= last {
                    cuts.next();
                }
            }
            if let Some(from) = start {
                left.push((from, last));
            }
        }
        Self(left)
    }

    /// The first `count` numbers, and the rest.
    pub(crate) fn split_at(&self, count: u128) -> (Self, Self) {
        let (mut head, mut tail, mut wanted) = (Vec::new(), Vec::new(), count);
        for &(first, last) in &self.0 {
            let steps = last.distance_from(first);
            if wanted == 0 {
                tail.push((first, last));
            } else if steps < wanted {
                head.push((first, last));
                wanted -= steps + 1;
            } else {
                let middle = first.forward(wanted);
                head.push((first, first.forward(wanted - 1)));
                tail.push((middle, last));
                wanted = 0;
            }
        }
        (Self(head), Self(tail))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().flat_map(|&(first, last)| {
            std::iter::successors(Some(first), move |point| point.next().filter(|next| *next <= last))
        })
    }
}

impl<T: Encode> Encode for IntervalSet<T> {
    fn encode<E: crate::codec::Encoder>(&self, encoder: &mut E) -> Result<(), crate::codec::EncodeError> {
        self.0.encode(encoder)
    }
}

impl<C, T: Point + Decode<C> + 'static> Decode<C> for IntervalSet<T> {
    /// Accepts only the one canonical form, so that equal sets have equal bytes.
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let intervals = Vec::<(T, T)>::decode(decoder)?;
        let merged: Self = intervals.iter().copied().collect();
        if merged.0 == intervals { Ok(merged) } else { Err(DecodeError::Other("intervals are not sorted and merged")) }
    }
}

impl<'de, C, T: Point + Decode<C> + 'static> BorrowDecode<'de, C> for IntervalSet<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set() -> impl Strategy<Value = IntervalSet<u16>> {
        proptest::collection::vec((0u16..300, 0u16..300), 0..12).prop_map(|pairs| pairs.into_iter().collect())
    }

    fn numbers(set: &IntervalSet<u16>) -> BTreeSet<u16> {
        set.iter().collect()
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_plain_sets(a in set(), b in set(), at in 0u128..700) {
            let (x, y) = (numbers(&a), numbers(&b));
            prop_assert_eq!(numbers(&a.union(&b)), &x | &y);
            prop_assert_eq!(numbers(&a.intersection(&b)), &x & &y);
            prop_assert_eq!(numbers(&a.minus(&b)), &x - &y);
            prop_assert_eq!(a.count(), x.len() as u128);
            prop_assert!((0..300).all(|n| a.contains(n) == x.contains(&n)));
            let (head, tail) = a.split_at(at);
            prop_assert_eq!(head.count(), at.min(a.count()));
            prop_assert_eq!(head.union(&tail), a.clone());
            for made in [a.union(&b), a.intersection(&b), a.minus(&b), head, tail] {
                let merged: IntervalSet<u16> = made.0.iter().copied().collect();
                prop_assert_eq!(merged, made);
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_line_are_held() {
        let all: IntervalSet<u16> = [(0, u16::MAX)].into_iter().collect();
        assert_eq!(all.minus(&[(0, 0), (65535, 65535)].into_iter().collect()).intervals(), &[(1, 65534)]);
        assert!(all.minus(&all).is_empty());
        let whole: IntervalSet<u128> = [(0, u128::MAX)].into_iter().collect();
        assert_eq!(whole.count(), u128::MAX);
    }
}
