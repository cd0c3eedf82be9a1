//! The newest card of every member: kept, compared by sums, handed to those who lack it.
//!
//! One card a member and nobody else's, so the roster bounds them. Keys fall into [`SHARES`] shares; members with
//! different cards exchange only the lists of the shares whose sums differ.

use crate::card::{Card, SignedCard};
use crate::codec::{self, Decode, Encode};
use crate::envelope::MAX_CLOCK_LEAD;
use crate::identity::NodeId;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How many parts the keys are divided into; by the first bits of a key, which are random.
pub(super) const SHARES: usize = 32;

/// Lines of one list that are written and read; the shares beyond wait for the next pull.
const MAX_LISTED: usize = 8_192;

/// One line of a list of cards: the first bytes of the key, and when the card was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct CardLine {
    key: u64,
    issued: Timestamp,
}

/// The cards that one member holds, its own among them.
#[derive(Debug, Default)]
pub(super) struct Cards {
    held: BTreeMap<NodeId, Held>,
    sums: Option<[u64; SHARES]>,
}

#[derive(Debug)]
struct Held {
    card: Card,
    signed: SignedCard,
}

/// What became of an offered card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Kept: the first of this member, or later than the one before.
    Newer,
    /// Not kept: one as late is held, its key is no member's, or it comes from the future.
    Useless,
    /// No honest member hands this on.
    Forged,
}

fn beginning(key: &NodeId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn share(beginning: u64) -> usize {
    usize::try_from(beginning >> 59).unwrap_or(0)
}

fn first_number(digest: &[u8]) -> u64 {
    digest.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

impl Cards {
    /// Keeps a card if it is newer. What needs no signature to be judged is judged without.
    pub(super) fn offer(
        &mut self,
        signed: SignedCard,
        is_wanted: impl Fn(&NodeId) -> bool,
        now: Timestamp,
    ) -> (Offered, Option<&Card>) {
        let Ok(claimed) = signed.claims() else { return (Offered::Forged, None) };
        let is_late = |held: &Held| held.card.issued >= claimed.issued;
        let early = claimed.issued > now.plus(MAX_CLOCK_LEAD);
        if early || !is_wanted(&claimed.key) || self.held.get(&claimed.key).is_some_and(is_late) {
            return (Offered::Useless, None);
        }
        let Ok(card) = signed.verify() else { return (Offered::Forged, None) };
        let key = card.key;
        self.keep(card, signed);
        (Offered::Newer, self.card(&key))
    }

    /// Keeps a card that was proven.
    pub(super) fn keep(&mut self, card: Card, signed: SignedCard) {
        self.sums = None;
        self.held.insert(card.key, Held { card, signed });
    }

    /// Drops the cards of those who are not wanted any more.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&NodeId) -> bool) {
        self.held.retain(|key, _| is_wanted(key));
        self.sums = None;
    }

    /// The newest card of a member.
    pub(super) fn card(&self, key: &NodeId) -> Option<&Card> {
        self.held.get(key).map(|held| &held.card)
    }

    /// The same, as it travels.
    pub(super) fn signed(&self, key: &NodeId) -> Option<&SignedCard> {
        self.held.get(key).map(|held| &held.signed)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &SignedCard> {
        self.held.values().map(|held| &held.signed)
    }

    /// A sum over the cards of each share: equal when they are.
    pub(super) fn sums(&mut self) -> [u64; SHARES] {
        let held = &self.held;
        *self.sums.get_or_insert_with(|| {
            let mut hashes = [const { None }; SHARES];
            for (key, Held { card, .. }) in held {
                if let Some(hash) = hashes.get_mut(share(beginning(key))) {
                    let hash: &mut Sha256 = hash.get_or_insert_default();
                    hash.update(key.as_bytes());
                    hash.update(card.issued.as_millis().to_be_bytes());
                }
            }
            hashes.map(|hash| hash.map_or(0, |hash| first_number(&hash.finalize())))
        })
    }

    /// One sum over all.
    pub(super) fn digest(&mut self) -> u64 {
        let sums = self.sums().map(u64::to_be_bytes);
        first_number(&Sha256::digest(sums.as_flattened()))
    }

    /// The shares whose sums differ from `theirs`.
    pub(super) fn differing(&mut self, theirs: &[u64]) -> Vec<u8> {
        let pairs = (0u8..).zip(self.sums().into_iter().zip(theirs));
        pairs.filter(|(_, (ours, theirs))| ours != *theirs).map(|(share, _)| share).collect()
    }

    /// A list of the cards in `shares`, and the shares that it covers: all, as long as they fit.
    pub(super) fn list(&self, shares: &[u8]) -> (Vec<u8>, Vec<CardLine>) {
        let (mut covered, mut lines) = (Vec::new(), Vec::new());
        for share in BTreeSet::from_iter(shares) {
            let more: Vec<CardLine> = self.within(&[*share]).map(|(key, held)| CardLine::of(key, held)).collect();
            if !covered.is_empty() && lines.len() + more.len() > MAX_LISTED {
                break;
            }
            covered.push(*share);
            lines.extend(more);
        }
        (covered, lines)
    }

    fn within(&self, shares: &[u8]) -> impl Iterator<Item = (&NodeId, &Held)> {
        let shares: BTreeSet<usize> = shares.iter().copied().map(usize::from).collect();
        self.held.iter().filter(move |(key, _)| shares.contains(&share(beginning(key))))
    }

    /// The cards in `shares` that someone with this list lacks, up to `budget` bytes; and whether some did not fit.
    pub(super) fn lacking(&self, shares: &[u8], list: &[CardLine], mut budget: usize) -> (Vec<SignedCard>, bool) {
        let listed: BTreeMap<u64, Timestamp> =
            list.iter().take(MAX_LISTED).map(|line| (line.key, line.issued)).collect();
        let mut found = Vec::new();
        for (key, held) in self.within(shares) {
            if listed.get(&beginning(key)).is_some_and(|issued| *issued >= held.card.issued) {
                continue;
            }
            match budget.checked_sub(codec::encode(&held.signed).len()) {
                Some(rest) => budget = rest,
                None => return (found, true),
            }
            found.push(held.signed.clone());
        }
        (found, false)
    }

    /// True when a list names a card of one of `members` that is newer than ours.
    pub(super) fn lacks(&self, list: &[CardLine], members: &BTreeSet<NodeId>, now: Timestamp) -> bool {
        let newest = now.plus(MAX_CLOCK_LEAD);
        let members: BTreeMap<u64, &NodeId> = members.iter().map(|key| (beginning(key), key)).collect();
        list.iter().take(MAX_LISTED).filter(|line| line.issued <= newest).any(|line| {
            let member = members.get(&line.key);
            member.is_some_and(|key| self.card(key).is_none_or(|card| card.issued < line.issued))
        })
    }
}

impl CardLine {
    fn of(key: &NodeId, held: &Held) -> Self {
        Self { key: beginning(key), issued: held.card.issued }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Keypair;
    use crate::letter::SealingKey;
    use crate::mesh::tests::kit;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn signed_by(seed: u8, issued: u64, keypair: &Keypair) -> SignedCard {
        let addresses = vec!["127.0.0.1:9430".parse().unwrap()];
        let issued = Timestamp::from_millis(issued);
        let sealing = SealingKey::from_bytes([seed; 32]);
        SignedCard::sign(Card { key: kit::id(seed), sealing, addresses, label: "lab".into(), issued }, keypair)
    }

    fn signed(seed: u8, issued: u64) -> SignedCard {
        signed_by(seed, issued, &kit::keys(seed))
    }

    fn add(cards: &mut Cards, card: SignedCard) -> Offered {
        cards.offer(card, |key| *key != kit::id(9), NOW).0
    }

    fn holding(cards: &[(u8, u64)]) -> Cards {
        let mut held = Cards::default();
        for (seed, issued) in cards {
            assert_eq!(add(&mut held, signed(*seed, *issued)), Offered::Newer);
        }
        held
    }

    #[test]
    fn the_newest_card_of_a_member_is_kept_and_no_other() {
        let mut cards = Cards::default();
        let future = NOW.plus(MAX_CLOCK_LEAD).as_millis();
        let table = [
            (signed(2, 5), Offered::Newer),
            (signed(2, 5), Offered::Useless),
            (signed(2, 4), Offered::Useless),
            (signed(2, 6), Offered::Newer),
            (signed(9, 1), Offered::Useless),
            (signed_by(9, 1, &kit::keys(2)), Offered::Useless),
            (signed_by(3, 1, &kit::keys(2)), Offered::Forged),
            (signed(3, future + 1), Offered::Useless),
            (signed(3, future), Offered::Newer),
        ];
        for (row, (card, expected)) in table.into_iter().enumerate() {
            assert_eq!(add(&mut cards, card), expected, "row {row}");
        }
        assert_eq!(cards.card(&kit::id(2)).map(|card| card.issued.as_millis()), Some(6));
        assert_eq!(cards.signed(&kit::id(2)), Some(&signed(2, 6)));
        cards.retain(|key| *key == kit::id(3));
        assert_eq!(cards.all().count(), 1);
    }

    #[test]
    fn sums_tell_which_share_differs() {
        let (mut one, mut other) = (holding(&[(2, 1), (3, 1), (4, 1)]), holding(&[(4, 1), (2, 1), (3, 1)]));
        assert_eq!((one.digest(), one.differing(&other.sums())), (other.digest(), vec![]));
        add(&mut other, signed(3, 2));
        assert_ne!(one.digest(), other.digest());
        let expected = u8::try_from(share(beginning(&kit::id(3)))).unwrap();
        assert_eq!(one.differing(&other.sums()), [expected]);
        assert_ne!(Cards::default().digest(), one.digest());
    }

    #[test]
    fn who_sends_a_list_gets_what_it_lacks_within_the_budget() {
        let all: Vec<u8> = (0..32).collect();
        let (one, other) = (holding(&[(2, 1), (3, 5), (4, 1)]), holding(&[(2, 1), (3, 4), (5, 1)]));
        let (covered, list) = other.list(&all);
        assert_eq!((covered, list.len()), (all.clone(), 3));
        let (found, more) = one.lacking(&all, &list, usize::MAX);
        let mut found: Vec<NodeId> = found.iter().map(|card| card.verify().unwrap().key).collect();
        found.sort();
        let mut expected = vec![kit::id(3), kit::id(4)];
        expected.sort();
        assert_eq!((found, more), (expected, false));
        let size = codec::encode(&signed(3, 5)).len();
        assert_eq!(one.lacking(&all, &list, size).0.len(), 1);
        assert!(one.lacking(&all, &list, size).1);
        assert_eq!(one.lacking(&[], &list, usize::MAX), (vec![], false));
    }

    #[test]
    fn only_newer_cards_of_members_are_worth_asking_for() {
        let all: Vec<u8> = (0..32).collect();
        let members = BTreeSet::from([2, 3, 4].map(kit::id));
        let held = holding(&[(2, 5), (3, 5)]);
        let lacks = |cards: &[(u8, u64)]| held.lacks(&holding(cards).list(&all).1, &members, NOW);
        assert!(!lacks(&[(2, 5), (3, 4), (5, 1)]));
        assert!(lacks(&[(3, 6)]));
        assert!(lacks(&[(4, 1)]));
        let early = CardLine { key: beginning(&kit::id(4)), issued: NOW.plus(MAX_CLOCK_LEAD * 2) };
        assert!(!held.lacks(&[early], &members, NOW));
    }

    proptest! {
        #[test]
        fn two_exchanges_make_any_two_equal(
            one in prop::collection::btree_map(2u8..40, 1u64..4, 0..20),
            other in prop::collection::btree_map(2u8..40, 1u64..4, 0..20),
        ) {
            let wanted = |cards: std::collections::BTreeMap<u8, u64>| {
                holding(&cards.into_iter().filter(|(seed, _)| *seed != 9).collect::<Vec<_>>())
            };
            let (mut one, mut other) = (wanted(one), wanted(other));
            for _ in 0..2 {
                let shares = one.differing(&other.sums());
                let (covered, list) = one.list(&shares);
                for card in other.lacking(&covered, &list, usize::MAX).0 {
                    prop_assert_eq!(add(&mut one, card), Offered::Newer);
                }
                std::mem::swap(&mut one, &mut other);
            }
            prop_assert_eq!(one.sums(), other.sums());
        }
    }
}
