//! What is said over the request-response protocols, and how its frames are read: length-limited, then decoded.

use super::budget::Budget;
use super::counters::Unreadable;
use super::enrol::EnrolReply;
use super::sync::words::{SyncAnswer, SyncRequest};
use super::ways::BeaconId;
use crate::codec::{self, Decode, Encode};
use crate::envelope::Envelope;
use crate::identity::{NodeId, SignatureBytes};
use crate::letter::{Letter, MAX_LETTER_BYTES};
use futures::prelude::*;
use libp2p::StreamProtocol;
use libp2p::core::upgrade::NegotiationError;
use libp2p::request_response::{self, ProtocolSupport};
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

const KIB: usize = 1024;

/// What half-read frames of one protocol may take, over all connections.
const HALF_READ_BYTES: usize = 32 * 1024 * KIB;

/// One protocol: its name, its two types, and the most bytes that each may have.
pub(super) trait Dialect: Clone + Send + 'static {
    const NAME: &'static str;
    const REQUEST_BYTES: usize;
    const RESPONSE_BYTES: usize;
    /// Inbound and outbound together, per connection.
    const AT_ONCE: usize;
    const PATIENCE: Duration;
    type Request: Encode + Decode<()> + Send + 'static;
    type Response: Encode + Decode<()> + Send + 'static;
}

/// A letter as one member hands it to the next.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Carried {
    pub(super) letter: Letter,
    /// Where it is to be handed next by a member that is not connected to its reader.
    pub(super) way: Way,
    /// Members that have passed it on so far.
    pub(super) hops: u8,
}

/// Which way a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Way {
    /// To the coordinator, from parent to parent for one beacon.
    Up {
        /// Who says to have written it: answers go back the same way.
        from: NodeId,
        /// The beacon that is followed.
        beacon: BeaconId,
        /// The writer's word for that.
        claim: SignatureBytes,
    },
    /// From the coordinator, back along the way of the reader's latest letter.
    Down,
    /// To the neighbour that reads it.
    Straight,
}

/// What became of a letter. A member that passed it on answers with what it was answered itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum LetterAnswer {
    /// The reader has it.
    Taken,
    /// Too many at once; try again later.
    Busy,
    /// A member that is not the reader knows no way to it, or has lost it.
    NoWay,
    /// Too many members have passed it on.
    TooFar,
    /// A member that it was passed on to did not answer in time.
    Late,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SyncDialect;

impl Dialect for SyncDialect {
    const NAME: &'static str = "/portdrift/sync/1";
    const REQUEST_BYTES: usize = 256 * KIB;
    const RESPONSE_BYTES: usize = 1536 * KIB;
    // News, cards and a roster, both ways; and once more, when the first answers are late.
    const AT_ONCE: usize = 12;
    // Longer than members wait by their own clocks, so that a slow answer is still heard.
    const PATIENCE: Duration = Duration::from_secs(40);
    type Request = SyncRequest;
    type Response = SyncAnswer;
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LetterDialect;

impl Dialect for LetterDialect {
    const NAME: &'static str = "/portdrift/letter/1";
    const REQUEST_BYTES: usize = MAX_LETTER_BYTES + KIB;
    const RESPONSE_BYTES: usize = 64;
    // Room for what may wait one way, and something the other way; a letter beyond fails, and is sent again.
    const AT_ONCE: usize = 128;
    // Longer than any member waits by its own clock, so that it always has an answer to give.
    const PATIENCE: Duration = Duration::from_secs(40);
    type Request = Carried;
    type Response = LetterAnswer;
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EnrolDialect;

impl Dialect for EnrolDialect {
    const NAME: &'static str = "/portdrift/enrol/1";
    const REQUEST_BYTES: usize = 8 * KIB;
    // The longest answer, and the most cards.
    const RESPONSE_BYTES: usize = 272 * KIB;
    const AT_ONCE: usize = 4;
    const PATIENCE: Duration = Duration::from_secs(40);
    type Request = Envelope;
    type Response = EnrolReply;
}

/// The behaviour that speaks one dialect.
pub(super) type Talk<D> = request_response::Behaviour<Frames<D>>;
/// What such a behaviour tells.
pub(super) type TalkEvent<D> = request_response::Event<<D as Dialect>::Request, <D as Dialect>::Response>;

pub(super) fn talk<D: Dialect>(support: ProtocolSupport) -> Talk<D> {
    talk_counted(support, &Unreadable::default())
}

/// As [`talk`]; what cannot be read is counted.
pub(super) fn talk_counted<D: Dialect>(support: ProtocolSupport, unreadable: &Unreadable) -> Talk<D> {
    let config =
        request_response::Config::default().with_request_timeout(D::PATIENCE).with_max_concurrent_streams(D::AT_ONCE);
    let frames = Frames { budget: Budget::new(HALF_READ_BYTES), unreadable: unreadable.clone(), dialect: PhantomData };
    Talk::with_codec(frames, [(StreamProtocol::new(D::NAME), support)], config)
}

/// One value per direction of a stream, up to the stream's end.
#[derive(Clone, Debug)]
pub(super) struct Frames<D> {
    budget: Budget,
    unreadable: Unreadable,
    dialect: PhantomData<fn() -> D>,
}

impl<D: Dialect> request_response::Codec for Frames<D> {
    type Protocol = StreamProtocol;
    type Request = D::Request;
    type Response = D::Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<D::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.unreadable.watch(read(io, D::REQUEST_BYTES, &self.budget)).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<D::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let reading = async {
            match read(io, D::RESPONSE_BYTES, &self.budget).await {
                Err(error) if has_no_answer(&error) => Ok(Err(error)),
                read => read.map(Ok),
            }
        };
        self.unreadable.watch(reading).await?
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: D::Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &codec::encode(&request), D::REQUEST_BYTES).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: D::Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &codec::encode(&response), D::RESPONSE_BYTES).await
    }
}

/// Whether the other end does not speak the protocol. Nobody waits for its word on that, so it shows in reading.
pub(super) fn is_not_spoken(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<NegotiationError>());
    matches!(error, Some(NegotiationError::Failed))
}

/// Whether a stream ended without an answer: the other end has left, or does not speak the protocol.
fn has_no_answer(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::QuotaExceeded)
}

/// The behaviour bounds the time; this bounds the bytes.
async fn read<T, V>(io: &mut T, limit: usize, budget: &Budget) -> io::Result<V>
where
    T: AsyncRead + Unpin + Send,
    V: Decode<()>,
{
    let bytes = budget.read_to_end(io, limit).await?;
    codec::decode(&bytes, limit).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, bytes: &[u8], limit: usize) -> io::Result<()> {
    if bytes.len() > limit {
        let reason = format!("{} bytes are more than the {limit} that the protocol allows", bytes.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    io.write_all(bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::Sealed;
    use data_encoding::HEXLOWER;
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;

    fn budget() -> Budget {
        Budget::new(HALF_READ_BYTES)
    }

    #[test]
    fn the_frames_keep_their_bytes() {
        let beacon = BeaconId { boot: 6, counter: 300 };
        let way = Way::Up { from: NodeId::from_bytes([5; 32]), beacon, claim: [8; 64] };
        let letter = Letter { to: NodeId::from_bytes([9; 32]), sealed: Sealed::from_bytes(vec![7; 3]) };
        let carried = [way, Way::Down, Way::Straight].map(|way| Carried { letter: letter.clone(), way, hops: 2 });
        insta::assert_snapshot!(HEXLOWER.encode(&codec::encode(&carried)), @"0109090909090909090909090909090909090909090909090909090909090909090307070700050505050505050505050505050505050505050505050505050505050505050506fb2c01080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080209090909090909090909090909090909090909090909090909090909090909090307070701020909090909090909090909090909090909090909090909090909090909090909030707070202");
        use LetterAnswer::{Busy, Late, NoWay, Taken, TooFar};
        insta::assert_snapshot!(HEXLOWER.encode(&codec::encode(&[Taken, Busy, NoWay, TooFar, Late])), @"010001020304");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let request = block_on(read::<_, SyncRequest>(&mut Cursor::new(&bytes), 300, &budget()));
            let answer = block_on(read::<_, SyncAnswer>(&mut Cursor::new(&bytes), 300, &budget()));
            let letter = block_on(read::<_, Carried>(&mut Cursor::new(&bytes), 300, &budget()));
            for kind in [request.map(drop), answer.map(drop), letter.map(drop)].into_iter().filter_map(Result::err) {
                prop_assert_eq!(kind.kind(), io::ErrorKind::InvalidData);
            }
        }
    }

    #[test]
    fn a_frame_is_read_up_to_its_limit_and_not_beyond() {
        let fits = codec::encode(&vec![1u8; 96]);
        assert_eq!(block_on(read::<_, Vec<u8>>(&mut Cursor::new(&fits), fits.len(), &budget())).unwrap(), vec![1; 96]);
        let error = block_on(read::<_, Vec<u8>>(&mut Cursor::new(&fits), fits.len() - 1, &budget())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let endless = io::ErrorKind::InvalidData;
        let found = block_on(read::<_, Vec<u8>>(&mut futures::io::repeat(1), 4_096, &budget())).unwrap_err();
        assert_eq!(found.kind(), endless);
        let found = block_on(write(&mut Vec::new(), &[0; 5], 4)).unwrap_err();
        assert_eq!(found.kind(), io::ErrorKind::InvalidInput);
    }
}
