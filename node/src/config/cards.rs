//! The cards of the members on disk, so that a node finds its neighbours when the coordinator is away.
//!
//! They can be had again from any neighbour, so a file that is damaged or cannot be read counts as empty.

use super::StateError;
use crate::durable;
use protocol::card::SignedCard;
use protocol::codec;
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"pdriftcd";
const CHECKSUM_BYTES: usize = 4;
const MAX_CARDS_BYTES: usize = 16 << 20;

/// The cards that were kept; none when there is no file, or none to be used. Each is still to be verified.
pub(crate) fn load(path: &Path) -> Vec<SignedCard> {
    let read = match std::fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|reason| {
        tracing::warn!(path = %path.display(), reason, "the kept cards cannot be used; they are asked for again");
        Vec::new()
    })
}

/// Makes them durable.
pub(crate) fn save(path: &Path, cards: &Vec<SignedCard>) -> Result<(), StateError> {
    let body = codec::encode(cards);
    let sum = crc32c::crc32c(&body).to_be_bytes();
    let io_error = |source| StateError::Io { action: "write", path: path.to_owned(), source };
    durable::replace(path, &[MAGIC, &body, &sum]).map_err(io_error)
}

fn parse(bytes: &[u8]) -> Result<Vec<SignedCard>, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start as one")?;
    let (body, sum) = rest.split_last_chunk::<CHECKSUM_BYTES>().ok_or("it is cut")?;
    if crc32c::crc32c(body).to_be_bytes() != *sum {
        return Err("its checksum is wrong".to_owned());
    }
    codec::decode(body, MAX_CARDS_BYTES).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{card, key};

    #[test]
    fn cards_survive_their_file_and_a_damaged_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cards");
        assert_eq!(load(&path), []);
        let cards = vec![SignedCard::sign(card(&[]), &key(1)); 2];
        save(&path, &cards).unwrap();
        assert_eq!(load(&path), cards);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(load(&path), [], "changed byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert_eq!(load(&path), [], "cut at {at}");
        }
    }
}
