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
    /// Take this roster.
    Roster(HandedRoster),
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
    /// Whether it hears the coordinator itself, so that gossip need not be passed on to it.
    pub(in crate::mesh) hears: bool,
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
    /// Which roster is in force there now.
    Roster { epoch: u64 },
}

/// A roster that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) struct HandedRoster {
    /// What its epoch is said to be, so that one that is held costs no signature.
    pub(in crate::mesh) epoch: u64,
    pub(in crate::mesh) roster: SignedRoster,
}

/// What the asker does not hold yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::mesh) struct NewsAnswer {
    /// The epoch that the neighbour holds; the asker may have the newer one.
    pub(in crate::mesh) epoch: u64,
    /// A newer roster, or another one of the same epoch.
    pub(in crate::mesh) roster: Option<SignedRoster>,
    /// The coordinator's word on a newer one, which runs on by gossip.
    pub(in crate::mesh) head: Option<Envelope>,
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
    use crate::identity::Keypair;
    use crate::roster::Roster;
    use crate::time::Timestamp;
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
            hears: true,
        };
        let answer = NewsAnswer {
            epoch: 4,
            roster: None,
            head: Some(Envelope::from_bytes(vec![5])),
            beacon: Some(Envelope::from_bytes(vec![1, 2])),
            announcements: vec![Envelope::from_bytes(vec![3])],
            cancels: vec![Envelope::from_bytes(vec![4])],
            more: true,
            cards: vec![1, 2],
        };
        let hex = |bytes: Vec<u8>| HEXLOWER.encode(&bytes);
        insta::assert_snapshot!(hex(codec::encode(&SyncRequest::News(news))), @"010003070707070707070707070707070707070707070707070707070707070707070701050601090909090909090909090909090909090909090909090909090909090909090901fb2c01020401fb2d010801");
        insta::assert_snapshot!(hex(codec::encode(&SyncAnswer::News(answer))), @"010004000101050102010201010301010401020102");
        let request = CardsRequest { shares: vec![1, 31], list: Vec::new() };
        insta::assert_snapshot!(hex(codec::encode(&SyncRequest::Cards(request))), @"010102011f00");
        let answer = CardsAnswer { cards: Vec::new(), more: true };
        insta::assert_snapshot!(hex(codec::encode(&SyncAnswer::Cards(answer))), @"01010001");
        let mesh_key = Keypair::from_seed(&[1; 32]);
        let (issued, not_after) = (Timestamp::from_millis(5), Timestamp::from_millis(6));
        let (mesh, members) = (mesh_key.mesh_id(), Vec::new());
        let roster = Roster { mesh, epoch: 3, previous: [0; 32], issued, not_after, members };
        let handed = HandedRoster { epoch: 3, roster: SignedRoster::sign(&roster, &mesh_key) };
        insta::assert_snapshot!(hex(codec::encode(&SyncRequest::Roster(handed))), @"01020345018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c030000000000000000000000000000000000000000000000000000000000000000050600af6f0ef99597e63cb0c0897b257bc54a675b27d8513490036ec8649f9b83bda84b58a03cb5838ad534ba3c0bfd5ebd3a23fe62484c12e7998d833f34f07f6a04");
        insta::assert_snapshot!(hex(codec::encode(&SyncAnswer::Roster { epoch: 3 })), @"010203");
    }
}
