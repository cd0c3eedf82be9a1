//! E-mail addresses: checked once, compared without regard to case.

use super::AccountError;
use lettre::Address;
use protocol::text::Text;

/// Source: RFC 5321 section 4.5.3.1.3, without its angle brackets.
const MAX_EMAIL_BYTES: usize = 254;

/// An address that mail can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(Text);

impl Email {
    /// Trims and checks what was typed.
    ///
    /// # Errors
    /// [`AccountError::BadEmail`].
    pub fn parse(typed: &str) -> Result<Self, AccountError> {
        let typed = typed.trim();
        let clean = Text::new(typed);
        let is_address = typed.len() <= MAX_EMAIL_BYTES && clean.as_str() == typed && typed.parse::<Address>().is_ok();
        if is_address { Ok(Self(clean)) } else { Err(AccountError::BadEmail(typed.to_owned())) }
    }

    /// As [`Self::parse`]; nothing for empty text.
    ///
    /// # Errors
    /// [`AccountError::BadEmail`].
    pub fn parse_optional(typed: &str) -> Result<Option<Self>, AccountError> {
        if typed.trim().is_empty() { Ok(None) } else { Self::parse(typed).map(Some) }
    }

    /// As it was typed.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// What two spellings of the same address share: providers do not tell upper from lower case.
    pub(crate) fn folded(&self) -> String {
        fold(&self.0)
    }
}

/// As [`Email::folded`], of an address that was checked before.
pub(crate) fn fold(address: &Text) -> String {
    address.as_str().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_typed_and_compared_folded() {
        let email = Email::parse("  Ada.Lovelace@Example.ORG ").unwrap();
        assert_eq!(
            (email.text().as_str(), email.folded()),
            ("Ada.Lovelace@Example.ORG", "ada.lovelace@example.org".to_owned())
        );
        assert_eq!(Email::parse_optional(" "), Ok(None));
    }

    #[test]
    fn what_could_not_be_sent_to_or_could_hide_is_refused() {
        let long = format!("{}@example.org", "x".repeat(300));
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "a b@example.org",
            "ada@example.org\r\nBcc: x@y.z",
            "a\u{202e}da@example.org",
            "<ada@example.org>",
            &long,
        ] {
            assert_eq!(Email::parse(bad), Err(AccountError::BadEmail(bad.trim().to_owned())), "{bad:?}");
        }
    }
}
