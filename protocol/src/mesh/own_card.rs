//! The card that a member writes of itself.

use super::Mesh;
use crate::card::{Card, SignedCard};
use crate::letter::Opener;
use crate::text::Text;
use crate::time::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

impl Mesh {
    /// Tells the others where this member listens and what it calls itself. The same words make no new card.
    pub fn set_card(&mut self, addresses: Vec<SocketAddr>, label: Text) {
        let keypair = self.author.keypair();
        let (key, sealing, issued) = (keypair.node_id(), Opener::new(keypair).key(), self.time());
        let card = Card { key, sealing, addresses, label, issued }.cut();
        match self.cards.card(&key) {
            Some(held) if *held == (Card { issued: held.issued, ..card.clone() }) => {}
            Some(held) => self.write_card(Card { issued: issued.max(after(held)), ..card }),
            None => self.write_card(card),
        }
    }

    /// An earlier life of this member, or a clock that was set back, wrote a later card: ours is written anew after it.
    pub(super) fn heed_own(&mut self, signed: &SignedCard) {
        let Ok(theirs) = signed.verify() else { return };
        match self.cards.card(&theirs.key) {
            Some(held) if held.issued >= theirs.issued => {}
            Some(held) => self.write_card(Card { issued: after(&theirs), ..held.clone() }),
            None => self.cards.keep(theirs, signed.clone()),
        }
    }

    fn write_card(&mut self, card: Card) {
        let signed = SignedCard::sign(card.clone(), self.author.keypair());
        self.cards.keep(card, signed);
    }
}

fn after(card: &Card) -> Timestamp {
    card.issued.plus(Duration::from_millis(1))
}
