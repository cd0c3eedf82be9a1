//! A task's result as it is kept and sent: encoded, then compressed with zlib; read back within hard limits.

use super::TaskResult;
use crate::codec::{self, CodecError};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::io::{self, Read, Write};

/// The most bytes one result may have, compressed.
pub const MAX_PACKED_BYTES: u64 = 16 << 20;

/// The most bytes one result may have, expanded.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// Why packed bytes are no result.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Not zlib, or cut.
    #[error("the result does not expand: {0}")]
    Expand(#[from] io::Error),
    /// Expanded, but not a result; also when it expands beyond all limits.
    #[error("the result cannot be read: {0}")]
    Unreadable(#[from] CodecError),
}

impl TaskResult {
    /// Encodes and compresses; costs time, so call it where blocking is allowed.
    pub fn pack(&self) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(&codec::encode(self));
        written.and_then(|()| encoder.finish()).expect("memory does not fail to write")
    }

    /// Reads what [`Self::pack`] wrote; costs time, so call it where blocking is allowed.
    pub fn unpack(packed: &[u8]) -> Result<Self, UnpackError> {
        let mut plain = Vec::new();
        ZlibDecoder::new(packed).take(MAX_RESULT_BYTES as u64 + 1).read_to_end(&mut plain)?;
        Ok(codec::decode(&plain, MAX_RESULT_BYTES)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_and_garbage_are_refused() {
        let mut bomb = ZlibEncoder::new(Vec::new(), Compression::best());
        for _ in 0..=(MAX_RESULT_BYTES >> 20) {
            bomb.write_all(&[0; 1 << 20]).unwrap();
        }
        assert!(matches!(TaskResult::unpack(&bomb.finish().unwrap()), Err(UnpackError::Unreadable(_))));
        assert!(matches!(TaskResult::unpack(b"garbage"), Err(UnpackError::Expand(_))));
    }
}
