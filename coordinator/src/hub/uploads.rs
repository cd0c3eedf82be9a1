//! Results on their way in: pieces collected in memory until they are whole, within hard limits.

use protocol::NodeId;
use protocol::message::{CHUNK_BYTES, MAX_PACKED_BYTES, ResultManifest, UnpackError};
use protocol::task::TaskId;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How many results may be on their way at a time, and from one node.
const MAX_UPLOADS: usize = 64;
const MAX_UPLOADS_PER_NODE: usize = 4;

/// The most bytes of unfinished results that are held.
const MAX_HELD_BYTES: u64 = 256 << 20;

/// How many missing pieces are named in one answer.
const MAX_WANTED: usize = 1_024;

/// Which attempt at which task, from whom.
pub(super) type UploadKey = (NodeId, TaskId, u64);

/// The results on their way.
#[derive(Debug, Default)]
pub(super) struct Uploads(BTreeMap<UploadKey, Upload>);

#[derive(Debug)]
struct Upload {
    manifest: ResultManifest,
    pieces: BTreeMap<u32, Vec<u8>>,
}

/// Why a result is not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// Too large, or sizes that contradict each other.
    #[error("its size of {0} bytes in {1} pieces is not possible")]
    BadManifest(u64, u32),
    /// Too many at a time; asked again later.
    #[error("too many results are on their way")]
    Busy,
    /// The pieces do not make what was promised.
    #[error("its bytes do not match their hash")]
    WrongHash,
    /// Not a result.
    #[error(transparent)]
    Unreadable(#[from] UnpackError),
    /// A result, but another one.
    #[error("it is of another task or lease than it was offered for")]
    OtherTask,
    /// Reading it failed here.
    #[error("it could not be read by the coordinator")]
    Failed,
}

impl Uploads {
    /// Opens an upload, or goes on with one; gives the pieces that are missing, at most 1,024.
    pub(super) fn offer(&mut self, key: UploadKey, manifest: &ResultManifest) -> Result<Vec<u32>, UploadError> {
        let ResultManifest { size, chunks, sha256: _ } = *manifest;
        let expected = size.div_ceil(CHUNK_BYTES as u64);
        if size == 0 || size > MAX_PACKED_BYTES || expected != u64::from(chunks) {
            return Err(UploadError::BadManifest(size, chunks));
        }
        if self.0.get(&key).is_some_and(|upload| upload.manifest != *manifest) {
            self.0.remove(&key);
        }
        if !self.0.contains_key(&key) {
            let mine = self.0.keys().filter(|(node, _, _)| *node == key.0).count();
            let held: u64 = self.0.values().map(|upload| upload.manifest.size).sum();
            let is_full = self.0.len() >= MAX_UPLOADS || held + size > MAX_HELD_BYTES;
            if is_full || mine >= MAX_UPLOADS_PER_NODE {
                return Err(UploadError::Busy);
            }
            self.0.insert(key, Upload { manifest: manifest.clone(), pieces: BTreeMap::new() });
        }
        let have = self.0.get(&key).map(|upload| &upload.pieces);
        let missing = (0..chunks).filter(|index| have.is_none_or(|have| !have.contains_key(index)));
        Ok(missing.take(MAX_WANTED).collect())
    }

    /// Adds a piece; gives the whole compressed result when it was the last one.
    pub(super) fn piece(&mut self, key: UploadKey, index: u32, bytes: Vec<u8>) -> Option<Result<Vec<u8>, UploadError>> {
        let upload = self.0.get_mut(&key)?;
        if index >= upload.manifest.chunks || bytes.len() > CHUNK_BYTES {
            return None;
        }
        upload.pieces.insert(index, bytes);
        if upload.pieces.len() < usize::try_from(upload.manifest.chunks).unwrap_or(usize::MAX) {
            return None;
        }
        let Upload { manifest, pieces } = self.0.remove(&key)?;
        let whole: Vec<u8> = pieces.into_values().flatten().collect();
        let digest: [u8; 32] = Sha256::digest(&whole).into();
        Some(if digest == manifest.sha256 { Ok(whole) } else { Err(UploadError::WrongHash) })
    }

    /// Drops what a node or a task left unfinished.
    pub(super) fn forget(&mut self, matches: impl Fn(&UploadKey) -> bool) {
        self.0.retain(|key, _| !matches(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::task::RunId;

    const KEY: UploadKey = (NodeId::from_bytes([1; 32]), TaskId { run: RunId(1), index: 0 }, 1);

    fn manifest(bytes: &[u8]) -> ResultManifest {
        let chunks = u32::try_from(bytes.len().div_ceil(CHUNK_BYTES)).unwrap();
        ResultManifest { size: bytes.len() as u64, chunks, sha256: Sha256::digest(bytes).into() }
    }

    #[test]
    fn pieces_in_any_order_make_the_whole() {
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let pieces: Vec<&[u8]> = bytes.chunks(CHUNK_BYTES).collect();
        let mut uploads = Uploads::default();
        assert_eq!(uploads.offer(KEY, &manifest(&bytes)).unwrap(), [0, 1, 2]);
        assert!(uploads.piece(KEY, 2, pieces[2].to_vec()).is_none());
        assert!(uploads.piece(KEY, 0, pieces[0].to_vec()).is_none());
        assert_eq!(uploads.offer(KEY, &manifest(&bytes)).unwrap(), [1]);
        assert_eq!(uploads.piece(KEY, 1, pieces[1].to_vec()).unwrap().unwrap(), bytes);
        assert!(uploads.0.is_empty());
    }

    #[test]
    fn lies_about_size_hash_and_number_get_nowhere() {
        let mut uploads = Uploads::default();
        let big = ResultManifest { size: MAX_PACKED_BYTES + 1, chunks: 86, sha256: [0; 32] };
        assert!(matches!(uploads.offer(KEY, &big), Err(UploadError::BadManifest(..))));
        let odd = ResultManifest { size: 10, chunks: 2, sha256: [0; 32] };
        assert!(matches!(uploads.offer(KEY, &odd), Err(UploadError::BadManifest(..))));
        uploads.offer(KEY, &manifest(b"truth")).unwrap();
        assert!(matches!(uploads.piece(KEY, 0, b"false".to_vec()), Some(Err(UploadError::WrongHash))));
        for index in 0..MAX_UPLOADS_PER_NODE as u64 {
            uploads.offer((KEY.0, KEY.1, index), &manifest(b"x")).unwrap();
        }
        assert!(matches!(uploads.offer((KEY.0, KEY.1, 99), &manifest(b"x")), Err(UploadError::Busy)));
    }

    #[test]
    fn results_without_end_are_held_up_to_a_limit_and_hold_up_no_small_one() {
        let mut uploads = Uploads::default();
        let chunks = u32::try_from(MAX_PACKED_BYTES.div_ceil(CHUNK_BYTES as u64)).unwrap();
        let huge = ResultManifest { size: MAX_PACKED_BYTES, chunks, sha256: [0; 32] };
        let node = |number: u8| NodeId::from_bytes([number; 32]);
        let offers = (100..10_100u64).map(|fence| (node(u8::try_from(fence % 200).unwrap()), KEY.1, fence));
        let begun = offers.filter(|key| uploads.offer(*key, &huge).is_ok()).count();
        let held: u64 = uploads.0.values().map(|upload| upload.manifest.size).sum();
        assert_eq!((u64::try_from(begun).unwrap(), held), (MAX_HELD_BYTES / MAX_PACKED_BYTES, MAX_HELD_BYTES));
        let began = uploads.0.keys().next().copied().unwrap();
        assert!(uploads.piece(began, chunks, vec![0]).is_none(), "a piece beyond the last");
        assert!(uploads.piece(began, 0, vec![0; CHUNK_BYTES + 1]).is_none(), "a piece that is too long");
        assert!(uploads.piece(KEY, 0, vec![0]).is_none(), "a piece of nothing");
        assert!(uploads.0.values().all(|upload| upload.pieces.is_empty()));
        uploads.forget(|key| *key == began);
        assert_eq!(uploads.offer(KEY, &manifest(b"small")).unwrap(), [0]);
    }
}
