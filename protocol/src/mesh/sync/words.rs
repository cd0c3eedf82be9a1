//! What is asked and answered in a pull.

use crate::card::SignedCard;
use crate::codec::{Decode, Encode};
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::mesh::cards::CardLine;
use crate::roster::{RosterHash, SignedRoster};
use crate::task::{RunId, TaskId};

/// Asks a neighbour for what gossip may have lost.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) enum SyncRequest {
    /// What is new?
    News(NewsRequest),
    /// Which cards are lacking here?
    Cards(CardsRequest),
}

/// What the asker holds already.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) struct NewsRequest {
    /// The roster epoch that the asker holds; 0 without one.
    pub(in crate::mesh) epoch: u64,
    /// Its hash.
    pub(in crate::mesh) hash: RosterHash,
    /// Boot and counter of the newest beacon that it heard.
    pub(in crate::mesh) beacon: Option<(u64, u64)>,
    /// Whose announcements are wanted; `None` for everyone's, by a member that missed some.
    pub(in crate::mesh) holder: Option<NodeId>,
    /// The highest fence that the asker has seen of each of these tasks.
    pub(in crate::mesh) have: Vec<(TaskId, u64)>,
    /// The open cancellations that it heard.
    pub(in crate::mesh) cancelled: Vec<RunId>,
    /// A sum over its cards.
    pub(in crate::mesh) cards: u64,
}

/// The cards that the asker holds in some shares of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) struct CardsRequest {
    pub(in crate::mesh) shares: Vec<u8>,
    pub(in crate::mesh) list: Vec<CardLine>,
}

/// Answers [`SyncRequest`] in kind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) enum SyncAnswer {
    /// What is new.
    News(NewsAnswer),
    /// What was lacking.
    Cards(CardsAnswer),
}

/// What the asker does not hold yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) struct NewsAnswer {
    /// The epoch that the neighbour holds; the asker may have the newer one.
    pub(in crate::mesh) epoch: u64,
    /// A newer roster, or another one of the same epoch.
    pub(in crate::mesh) roster: Option<SignedRoster>,
    /// The newest beacon, if the asker's is older.
    pub(in crate::mesh) beacon: Option<Envelope>,
    /// Open announcements for the holder.
    pub(in crate::mesh) announcements: Vec<Envelope>,
    /// Open cancellations.
    pub(in crate::mesh) cancels: Vec<Envelope>,
    /// There are more announcements than fit.
    pub(in crate::mesh) more: bool,
    /// A sum over the neighbour's cards for each share of the keys; nothing when they are the asker's.
    pub(in crate::mesh) cards: Vec<u64>,
}

/// Cards that the asker did not list, or listed as older.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) struct CardsAnswer {
    pub(in crate::mesh) cards: Vec<SignedCard>,
    /// There are more than fit.
    pub(in crate::mesh) more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use data_encoding::HEXLOWER;

    #[test]
    fn the_words_keep_their_bytes() {
        let news = NewsRequest {
            epoch: 3,
            hash: [7; 32],
            beacon: Some((5, 6)),
            holder: Some(NodeId::from_bytes([9; 32])),
            have: vec![(TaskId { run: RunId(300), index: 2 }, 4)],
            cancelled: vec![RunId(301)],
            cards: 8,
        };
        let answer = NewsAnswer {
            epoch: 4,
            roster: None,
            beacon: Some(Envelope::from_bytes(vec![1, 2])),
            announcements: vec![Envelope::from_bytes(vec![3])],
            cancels: vec![Envelope::from_bytes(vec![4])],
            more: true,
            cards: vec![1, 2],
        };
        let hex = |bytes: Vec<u8>| HEXLOWER.encode(&bytes);
        insta::assert_snapshot!(hex(codec::encode(&SyncRequest::News(news))), @"010003070707070707070707070707070707070707070707070707070707070707070701050601090909090909090909090909090909090909090909090909090909090909090901fb2c01020401fb2d0108");
        insta::assert_snapshot!(hex(codec::encode(&SyncAnswer::News(answer))), @"010004000102010201010301010401020102");
        let request = CardsRequest { shares: vec![1, 31], list: Vec::new() };
        insta::assert_snapshot!(hex(codec::encode(&SyncRequest::Cards(request))), @"010102011f00");
        let answer = CardsAnswer { cards: Vec::new(), more: true };
        insta::assert_snapshot!(hex(codec::encode(&SyncAnswer::Cards(answer))), @"01010001");
    }
}
