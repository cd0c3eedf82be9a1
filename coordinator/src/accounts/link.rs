//! Links that stand for a right once: an invite, the proof of an address, a new password. Kept only as a hash.

use super::Role;
use data_encoding::BASE32_NOPAD;
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::text::Text;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// What the secret of a link is kept as.
pub(crate) type LinkName = [u8; 32];

/// The 256 random bits at the end of a link. Whoever has them has the right.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkSecret([u8; 32]);

impl LinkSecret {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map(|()| Self(bytes))
    }

    /// What it is kept as.
    pub(crate) fn name(&self) -> LinkName {
        Sha256::new().chain_update(b"portdrift/1/link").chain_update(self.0).finalize().into()
    }
}

/// As it stands in a link: 52 of `a-z2-7`.
impl fmt::Display for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_lowercase())
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret")
    }
}

/// The text is no secret of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSecret;

impl FromStr for LinkSecret {
    type Err = NoSecret;

    fn from_str(text: &str) -> Result<Self, NoSecret> {
        let bytes = BASE32_NOPAD.decode(text.to_uppercase().as_bytes()).map_err(|_| NoSecret)?;
        bytes.try_into().map(Self).map_err(|_| NoSecret)
    }
}

/// What a link is good for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum LinkPurpose {
    /// Makes an account with this role.
    Invite {
        /// What the account may do.
        role: Role,
        /// To whom it was sent; the account gets this address.
        email: Option<Text>,
    },
    /// Proves that the address is the user's.
    Verify {
        /// Whose.
        user: Text,
        /// Which.
        email: Text,
    },
    /// Sets a new password.
    Reset {
        /// Whose.
        user: Text,
        /// Of the user when the link was made: a later password makes it void.
        generation: u64,
    },
}

impl LinkPurpose {
    /// Whether a new link of this kind makes that one void.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Verify { user, .. }, Self::Verify { user: former, .. })
            | (Self::Reset { user, .. }, Self::Reset { user: former, .. }) => user == former,
            (Self::Invite { .. } | Self::Verify { .. } | Self::Reset { .. }, _) => false,
        }
    }
}

/// A link as kept; used, it is removed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Link {
    /// What it is good for.
    pub(crate) purpose: LinkPurpose,
    /// After this it is of no use.
    pub(crate) expires: Timestamp,
    /// Who had it made.
    pub(crate) by: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_and_never_shown_by_accident() {
        let secret = LinkSecret::draw().unwrap();
        let text = secret.to_string();
        assert_eq!((text.len(), text.parse::<LinkSecret>()), (52, Ok(secret.clone())));
        assert_eq!(text.to_uppercase().parse(), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "LinkSecret");
        assert_ne!(LinkSecret::draw().unwrap().name(), secret.name());
        for bad in ["", "x", &text[1..], &format!("{text}a"), "ä"] {
            assert_eq!(bad.parse::<LinkSecret>(), Err(NoSecret), "{bad}");
        }
    }

    #[test]
    fn a_new_link_makes_only_older_ones_of_its_kind_and_user_void() {
        let reset = |user: &str| LinkPurpose::Reset { user: user.into(), generation: 1 };
        let verify = |user: &str| LinkPurpose::Verify { user: user.into(), email: "a@b.c".into() };
        let invite = LinkPurpose::Invite { role: Role::Viewer, email: None };
        assert!(reset("ada").replaces(&reset("ada")) && verify("ada").replaces(&verify("ada")));
        assert!(!reset("ada").replaces(&reset("bob")) && !reset("ada").replaces(&verify("ada")));
        assert!(!invite.replaces(&invite));
    }
}
