//! Every public way in for foreign bytes. Those of the mesh's own frames are tested inside the crate.

use protocol::card::{Endorsement, SignedCard};
use protocol::codec::{self, Decode};
use protocol::envelope::{Envelope, Kind, Message};
use protocol::invite::Invite;
use protocol::letter::{Letter, Opener};
use protocol::mesh::EnrolReply;
use protocol::message::*;
use protocol::roster::SignedRoster;
use protocol::task::TaskSpec;
use protocol::{Keypair, MeshId, Timestamp};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// As in the golden files.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

static MESH: LazyLock<MeshId> = LazyLock::new(|| Keypair::from_seed(&[1; 32]).mesh_id());
static READER_OF_LETTERS: LazyLock<Opener> = LazyLock::new(|| Opener::new(&Keypair::from_seed(&[4; 32])));

pub(super) fn mesh() -> MeshId {
    *MESH
}

/// One way in: what it is called, and whether the bytes are believed.
pub(super) struct Reader {
    pub(super) name: &'static str,
    pub(super) read: fn(&[u8]) -> Result<(), String>,
}

pub(super) const READERS: [Reader; 9] = [
    Reader { name: "envelope", read: envelope },
    Reader { name: "body", read: body },
    Reader { name: "letter", read: letter },
    Reader { name: "roster", read: roster },
    Reader { name: "card", read: card },
    Reader { name: "invite", read: invite },
    Reader { name: "reply", read: value::<EnrolReply> },
    Reader { name: "task", read: value::<TaskSpec> },
    Reader { name: "result", read: result },
];

fn told<T>(outcome: Result<T, impl Display>) -> Result<(), String> {
    outcome.map(drop).map_err(|error| error.to_string())
}

fn value<T: Decode<()>>(bytes: &[u8]) -> Result<(), String> {
    told(codec::decode::<T>(bytes, 1 << 20))
}

fn envelope(bytes: &[u8]) -> Result<(), String> {
    let envelope = Envelope::from_bytes(bytes.to_vec());
    let header = envelope.header().map_err(|error| error.to_string())?;
    told(envelope.check(&header, mesh(), NOW))?;
    let [_, verified] = by_kind(header.kind, bytes);
    verified
}

/// A body alone, as if somebody had signed it.
fn body(bytes: &[u8]) -> Result<(), String> {
    let mut read = Kind::all().map(|kind| by_kind(kind, bytes)).map(|[decoded, _]| decoded);
    read.find(Result::is_ok).unwrap_or_else(|| Err("no kind has such a body".into()))
}

/// Whether the bytes are a body of `kind`, and whether they are an envelope with one.
fn by_kind(kind: Kind, bytes: &[u8]) -> [Result<(), String>; 2] {
    fn both<M: Message>(bytes: &[u8]) -> [Result<(), String>; 2] {
        let decoded = told(codec::decode::<M>(bytes, M::KIND.max_body_bytes()));
        [decoded, told(Envelope::from_bytes(bytes.to_vec()).verify::<M>(mesh(), NOW))]
    }
    match kind {
        Kind::Beacon => both::<Beacon>(bytes),
        Kind::RosterHead => both::<RosterHead>(bytes),
        Kind::Cancel => both::<Cancel>(bytes),
        Kind::Announcement => both::<Announcement>(bytes),
        Kind::Presence => both::<Presence>(bytes),
        Kind::TaskAnswer => both::<TaskAnswer>(bytes),
        Kind::ResultOffer => both::<ResultOffer>(bytes),
        Kind::ResultChunk => both::<ResultChunk>(bytes),
        Kind::ChunksWanted => both::<ChunksWanted>(bytes),
        Kind::Receipt => both::<Receipt>(bytes),
        Kind::LeaseLost => both::<LeaseLost>(bytes),
        Kind::EnrolRequest => both::<EnrolRequest>(bytes),
        Kind::EnrolAnswer => both::<EnrolAnswer>(bytes),
        Kind::SponsoredRequest => both::<SponsoredRequest>(bytes),
        Kind::SponsoredAnswer => both::<SponsoredAnswer>(bytes),
        Kind::PresenceHeard => both::<PresenceHeard>(bytes),
    }
}

fn letter(bytes: &[u8]) -> Result<(), String> {
    let letter: Letter = codec::decode(bytes, 1 << 20).map_err(|error| error.to_string())?;
    told(letter.open(&READER_OF_LETTERS, mesh()))
}

fn roster(bytes: &[u8]) -> Result<(), String> {
    let signed: SignedRoster = codec::decode(bytes, 1 << 20).map_err(|error| error.to_string())?;
    told(signed.verify(mesh()))
}

fn card(bytes: &[u8]) -> Result<(), String> {
    let endorsed = codec::decode::<Endorsement>(bytes, 1 << 20).ok();
    if endorsed.is_some_and(|endorsed| endorsed.verify(mesh()).is_ok()) {
        return Ok(());
    }
    let signed: SignedCard = codec::decode(bytes, 1 << 20).map_err(|error| error.to_string())?;
    told(signed.verify())
}

fn invite(bytes: &[u8]) -> Result<(), String> {
    told(String::from_utf8_lossy(bytes).parse::<Invite>())
}

fn result(bytes: &[u8]) -> Result<(), String> {
    value::<TaskResult>(bytes).or_else(|_| told(TaskResult::unpack(bytes)))
}

/// The bytes of every `.hex` file in a folder below `tests`, by name; a line that starts with `#` says what they are.
pub(super) fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "hex"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        let bytes = data_encoding::HEXLOWER.decode(digits.trim().as_bytes()).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), bytes)
    };
    paths.into_iter().map(read).collect()
}
