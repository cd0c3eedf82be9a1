//! Text that a scanned host or a stranger wrote, made harmless once, where it comes in.

use crate::codec::{self, Decode, DecodeError, Decoder, Encode};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// The most bytes that one text keeps.
pub const MAX_TEXT_BYTES: usize = 4_096;

/// Foreign text without control, bidirectional or invisible characters: each stands there as an escape such as `\u{1b}`.
///
/// At most [`MAX_TEXT_BYTES`] long; what is longer is cut and ends in `…`. Every way to make one cleans, decoding too.
/// A clone shares its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text(Arc<str>);

impl Text {
    /// Cleans `raw`.
    pub fn new(raw: &str) -> Self {
        if raw.is_empty() {
            // All of these share their bytes: of most services little is told.
            return Self::default();
        }
        if raw.len() <= MAX_TEXT_BYTES && raw.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self(raw.into());
        }
        let mut clean = String::with_capacity(raw.len().min(MAX_TEXT_BYTES));
        for character in raw.chars() {
            if clean.len() + 12 > MAX_TEXT_BYTES && clean.len() + character.len_utf8() + '…'.len_utf8() > MAX_TEXT_BYTES
                || is_hidden(character) && clean.len() + 13 > MAX_TEXT_BYTES
            {
                clean.push('…');
                break;
            }
            if is_hidden(character) {
                let _ = write!(clean, "{}", character.escape_unicode());
            } else {
                clean.push(character);
            }
        }
        Self(clean.into())
    }

    /// Cleans bytes that may not be UTF-8; what is not becomes `\x..`.
    pub fn from_bytes(raw: &[u8]) -> Self {
        let mut text = String::new();
        for chunk in raw.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        Self::new(&text)
    }

    /// The clean text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Characters that could hide, reorder or command: controls, bidirectional marks, zero-width and other format characters.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

impl<C> Decode<C> for Text {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        codec::decode_text(decoder, Self::new)
    }
}

codec::impl_borrow_decode!(Text);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(raw: String) -> Self {
        Self::new(&raw)
    }
}

impl From<&str> for Text {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_to_terminals_and_readers_become_visible() {
        let shown = Text::new("a\u{1b}[31m\u{202e}b\u{200b}\tc é 日本");
        assert_eq!(shown.as_str(), "a\\u{1b}[31m\\u{202e}b\\u{200b}\\u{9}c é 日本");
        assert_eq!(Text::from_bytes(b"ok\xff\xfe").as_str(), "ok\\xff\\xfe");
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing_and_the_cap_holds(raw in any::<String>(), times in 1usize..400) {
            let once = Text::new(&raw.repeat(times));
            prop_assert!(once.as_str().len() <= MAX_TEXT_BYTES);
            prop_assert!(!once.as_str().chars().any(is_hidden));
            prop_assert_eq!(Text::new(once.as_str()), once);
        }
    }
}
