//! What a member tells the others of itself: where it listens and what to seal to. Signed by its own key; the
//! coordinator's is endorsed by the mesh key as well.

use crate::codec::{self, CodecError, Decode, Encode};
use crate::identity::{BadSignature, Keypair, MeshId, NodeId, SignatureBytes};
use crate::letter::SealingKey;
use crate::text::Text;
use crate::time::Timestamp;
use std::net::SocketAddr;

/// The most addresses that a card names.
pub const MAX_CARD_ADDRESSES: usize = 8;

const MAX_LABEL_LETTERS: usize = 64;
const MAX_CARD_BYTES: usize = 1_024;
const CARD_TAG: &[u8] = b"portdrift/1/card";
const ENDORSEMENT_TAG: &[u8] = b"portdrift/1/coordinator-card";

/// What others need to know of a member to find it and to write to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Card {
    /// Its key.
    pub key: NodeId,
    /// What to seal to.
    pub sealing: SealingKey,
    /// Where its mesh port listens, best first; none when it only dials. At most [`MAX_CARD_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// What it calls itself; at most 64 letters.
    pub label: Text,
    /// When it was written, by the member's clock. Of two cards of one key the later one counts.
    pub issued: Timestamp,
}

/// A card as it travels: its bytes, and the signature of the key that it names.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedCard {
    body: Vec<u8>,
    signature: SignatureBytes,
}

/// Where and how the coordinator is reached, on the mesh key's word.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Endorsement {
    /// What is endorsed.
    pub card: Card,
    signature: SignatureBytes,
}

/// Why a card is not believed.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Unreadable.
    #[error("the card cannot be read: {0}")]
    Unreadable(#[from] CodecError),
    /// It breaks a rule.
    #[error("the card is not sound: {0}")]
    Unsound(&'static str),
    /// Not signed by the key that it names.
    #[error("the card is not signed by its own key")]
    BadSignature(#[from] BadSignature),
}

impl Card {
    /// The same card, cut to the addresses and letters that a card may have.
    pub(crate) fn cut(mut self) -> Self {
        self.addresses.truncate(MAX_CARD_ADDRESSES);
        if self.label.as_str().chars().count() > MAX_LABEL_LETTERS {
            self.label = self.label.as_str().chars().take(MAX_LABEL_LETTERS).collect::<String>().into();
        }
        self
    }

    fn check(&self) -> Result<(), CardError> {
        if self.addresses.len() > MAX_CARD_ADDRESSES {
            return Err(CardError::Unsound("it names too many addresses"));
        }
        let letters = self.label.as_str().chars().count();
        if letters > MAX_LABEL_LETTERS { Err(CardError::Unsound("its label is too long")) } else { Ok(()) }
    }
}

impl SignedCard {
    /// Signs a card with the key that it names; what is too long for a card is cut.
    pub fn sign(card: Card, keypair: &Keypair) -> Self {
        let body = codec::encode(&card.cut());
        let signature = keypair.sign(&[CARD_TAG, &body].concat());
        Self { body, signature }
    }

    /// The card, if it is sound and the key that it names has signed it. The cheap checks come first.
    pub fn verify(&self) -> Result<Card, CardError> {
        let card = self.claims()?;
        card.check()?;
        card.key.verify(&[CARD_TAG, &self.body].concat(), &self.signature)?;
        Ok(card)
    }

    /// What the card says, unproven: enough to drop it before its signature costs anything.
    pub(crate) fn claims(&self) -> Result<Card, CodecError> {
        codec::decode(&self.body, MAX_CARD_BYTES)
    }
}

impl Endorsement {
    /// Signs the coordinator's card with the mesh key; what is too long for a card is cut.
    pub fn sign(card: Card, mesh_key: &Keypair) -> Self {
        let card = card.cut();
        let signature = mesh_key.sign(&[ENDORSEMENT_TAG, &codec::encode(&card)].concat());
        Self { card, signature }
    }

    /// The card, if the mesh key signed it.
    pub fn verify(&self, mesh: MeshId) -> Result<&Card, BadSignature> {
        mesh.verify(&[ENDORSEMENT_TAG, &codec::encode(&self.card)].concat(), &self.signature)?;
        Ok(&self.card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(seed: u8) -> Keypair {
        Keypair::from_seed(&[seed; 32])
    }

    fn card(seed: u8) -> Card {
        Card {
            key: keys(seed).node_id(),
            sealing: SealingKey::from_bytes([3; 32]),
            addresses: vec!["127.0.0.1:9430".parse().unwrap(), "[::1]:9430".parse().unwrap()],
            label: "lab".into(),
            issued: Timestamp::from_millis(1_700_000_000_000),
        }
    }

    fn signed_as_is(card: &Card, keypair: &Keypair) -> SignedCard {
        let body = codec::encode(card);
        let signature = keypair.sign(&[CARD_TAG, &body].concat());
        SignedCard { body, signature }
    }

    #[test]
    fn a_card_is_believed_on_its_own_keys_word_only() {
        assert_eq!(SignedCard::sign(card(2), &keys(2)).verify().unwrap(), card(2));
        let forged = SignedCard::sign(card(2), &keys(4)).verify();
        assert!(matches!(forged, Err(CardError::BadSignature(_))));
        let endorsed = Endorsement::sign(card(2), &keys(2));
        let SignedCard { body, .. } = SignedCard::sign(card(2), &keys(2));
        let borrowed = SignedCard { body, signature: endorsed.signature }.verify();
        assert!(matches!(borrowed, Err(CardError::BadSignature(_))), "an endorsement is no card");
    }

    #[test]
    fn what_is_too_long_is_cut_when_it_is_signed_and_refused_when_it_comes() {
        let mut long = card(2);
        long.addresses = (0..20).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let refused = signed_as_is(&long, &keys(2)).verify();
        assert!(matches!(refused, Err(CardError::Unsound(_))));
        let kept = SignedCard::sign(long, &keys(2)).verify().unwrap();
        assert_eq!(kept.addresses.len(), MAX_CARD_ADDRESSES);
        let wordy = Card { label: "日".repeat(65).as_str().into(), ..card(2) };
        let refused = signed_as_is(&wordy, &keys(2)).verify();
        assert!(matches!(refused, Err(CardError::Unsound(_))));
        let kept = SignedCard::sign(wordy, &keys(2)).verify().unwrap();
        assert_eq!(kept.label.as_str(), "日".repeat(64));
        let endless = Card { label: "x".repeat(4_000).as_str().into(), ..card(2) };
        let refused = signed_as_is(&endless, &keys(2)).verify();
        assert!(matches!(refused, Err(CardError::Unreadable(_))));
    }

    #[test]
    fn the_largest_card_fits() {
        let largest = Card {
            addresses: vec!["[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(); 20],
            label: "\u{10ffff}".repeat(100).as_str().into(),
            issued: Timestamp::from_millis(u64::MAX),
            ..card(2)
        };
        assert_eq!(SignedCard::sign(largest, &keys(2)).verify().unwrap().addresses.len(), MAX_CARD_ADDRESSES);
    }

    proptest! {
        #[test]
        fn a_changed_card_is_never_believed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut signed = SignedCard::sign(card(2), &keys(2));
            let at = at.index(signed.body.len() + signed.signature.len());
            match signed.body.get_mut(at) {
                Some(byte) => *byte ^= 1 << bit,
                None => signed.signature[at - signed.body.len()] ^= 1 << bit,
            }
            prop_assert!(signed.verify().is_err());
        }
    }

    #[test]
    fn the_coordinators_card_is_believed_on_the_mesh_keys_word_only() {
        let (mesh, rival) = (keys(1), keys(2));
        assert_eq!(Endorsement::sign(card(2), &mesh).verify(mesh.mesh_id()), Ok(&card(2)));
        assert_eq!(Endorsement::sign(card(2), &rival).verify(mesh.mesh_id()), Err(BadSignature));
    }
}
