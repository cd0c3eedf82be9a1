//! Values to bytes and back: bincode behind a version byte and a size limit. No other file names bincode.

use bincode::de::read::Reader;
pub use bincode::de::{BorrowDecode, BorrowDecoder, Decoder};
pub use bincode::enc::Encoder;
pub use bincode::error::{DecodeError, EncodeError};
pub(crate) use bincode::impl_borrow_decode;
pub use bincode::{Decode, Encode};

/// The version that stands before every encoded value.
const VERSION: u8 = 1;

/// The most memory that one decoded value may claim, whatever its lengths say.
const MAX_CLAIM_BYTES: usize = 64 << 20;

/// Why bytes are not a value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No bytes at all.
    #[error("the value is empty")]
    Empty,
    /// More than the caller allows.
    #[error("the value has {size} bytes, more than the {limit} allowed here")]
    TooLarge {
        /// Bytes there are.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Written by a newer program.
    #[error("the value has format version {0}, this program reads version {VERSION}; update it")]
    UnknownVersion(u8),
    /// The bytes do not follow the format.
    #[error("the value is damaged: {0}")]
    Malformed(DecodeError),
    /// Bytes are left over.
    #[error("the value has {0} bytes too many")]
    Trailing(usize),
}

/// The bytes of `value`: one version byte, then bincode with variable-length integers.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bincode::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("our own types always encode, and memory does not fail to write");
    bytes
}

/// Reads what [`encode`] wrote; at most `limit` bytes, none left over.
pub fn decode<T: Decode<()>>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { size: bytes.len(), limit });
    }
    let (value, rest) = decode_start(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(CodecError::Trailing(rest.len())) }
}

/// Reads the first value of a longer one that [`encode`] wrote, and returns the bytes after it.
pub fn decode_start<T: Decode<()>>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    let (version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::UnknownVersion(*version));
    }
    let config = bincode::config::standard().with_limit::<MAX_CLAIM_BYTES>();
    let (value, used) = bincode::decode_from_slice(body, config).map_err(CodecError::Malformed)?;
    Ok((value, body.get(used..).unwrap_or_default()))
}

/// Reads text as [`String`] does, but gives `take` the bytes where they lie: most text is copied into another form anyway.
pub(crate) fn decode_text<D: Decoder, T>(decoder: &mut D, take: impl FnOnce(&str) -> T) -> Result<T, DecodeError> {
    let length = u64::decode(decoder)?;
    let length = usize::try_from(length).map_err(|_| DecodeError::OutsideUsizeRange(length))?;
    decoder.claim_bytes_read(length)?;
    let reader = decoder.reader();
    if let Some(bytes) = reader.peek_read(length) {
        let taken = take(text(bytes)?);
        reader.consume(length);
        return Ok(taken);
    }
    let mut bytes = vec![0; length];
    reader.read(&mut bytes)?;
    Ok(take(text(&bytes)?))
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|inner| DecodeError::Utf8 { inner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_refused_by_kind() {
        let good = encode(&vec![7u32, 8]);
        assert_eq!(decode::<Vec<u32>>(&good, 100).unwrap(), vec![7, 8]);
        let trailing = [good.as_slice(), &[0]].concat();
        let huge = [&[1, 253][..], &u64::MAX.to_le_bytes()].concat();
        let errors: Vec<String> =
            [(&good[..], 3), (&[], 9), (&[9, 1], 9), (&good[..3], 9), (&trailing, 9), (&huge, 99)]
                .into_iter()
                .map(|(bytes, limit)| decode::<Vec<u32>>(bytes, limit).expect_err("bad bytes").to_string())
                .collect();
        insta::assert_snapshot!(errors.join("\n"), @"
        the value has 4 bytes, more than the 3 allowed here
        the value is empty
        the value has format version 9, this program reads version 1; update it
        the value is damaged: UnexpectedEnd { additional: 1 }
        the value has 1 bytes too many
        the value is damaged: LimitExceeded
        ");
    }
}
