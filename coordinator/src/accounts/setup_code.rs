//! The code with which the first administrator is made: drawn at a start without one, printed there, kept as a hash.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use std::fmt;

/// What the code is kept as.
pub(crate) type SetupSum = [u8; 32];

/// Letters of a group, so that a person can type it.
const GROUP: usize = 4;

/// 80 random bits. Whoever has them may make the first administrator.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupCode([u8; 10]);

impl SetupCode {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes).map(|()| Self(bytes))
    }

    /// As a person types it: with or without hyphens and spaces, in small or large letters.
    pub(crate) fn typed(text: &str) -> Option<Self> {
        let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let bytes = BASE32_NOPAD.decode(letters.collect::<String>().to_uppercase().as_bytes()).ok()?;
        bytes.try_into().map(Self).ok()
    }

    /// What it is kept as.
    pub(crate) fn sum(&self) -> SetupSum {
        Sha256::new().chain_update(b"portdrift/1/setup").chain_update(self.0).finalize().into()
    }
}

/// As printed: four groups of four of `a-z2-7`.
impl fmt::Display for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, letter) in BASE32_NOPAD.encode(&self.0).to_lowercase().chars().enumerate() {
            let joint = if place > 0 && place % GROUP == 0 { "-" } else { "" };
            write!(f, "{joint}{letter}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_however_it_is_typed_and_never_shown_by_accident() {
        let code = SetupCode([0, 1, 2, 3, 4, 5, 6, 7, 8, 255]);
        let text = code.to_string();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [GROUP; 4], "{text}");
        let loose = format!("  {} ", text.to_uppercase().replace('-', " "));
        for typed in [text.clone(), text.replace('-', ""), loose] {
            assert_eq!(SetupCode::typed(&typed), Some(code.clone()), "{typed}");
        }
        for wrong in ["", "aaaa", &text[1..], &format!("{text}a"), "aaaq-eayd-aucq-mb1i", "ä"] {
            assert_eq!(SetupCode::typed(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{code:?}"), "SetupCode");
        assert_ne!(SetupCode::draw().unwrap().sum(), SetupCode::draw().unwrap().sum());
    }
}
