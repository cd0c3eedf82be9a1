//! Users, their roles and passwords; and who is acting, whatever way they came in.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::text::Text;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Shortest password taken, in characters; there is no second factor yet.
pub const MIN_PASSWORD_CHARS: usize = 15;

/// Longest password looked at, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

const MAX_NAME_CHARS: usize = 64;
const HASHES_AT_ONCE: usize = 2;

/// What a user may do. Source: SECURITY-DESIGN section 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also runs and edits scans, handles alerts.
    Operator,
    /// Also approves and revokes nodes, but does not run scans.
    Approver,
    /// Everything.
    Admin,
}

/// A thing that needs a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// See everything but administration.
    Read,
    /// Run and edit scans.
    Operate,
    /// Approve, deny and invite nodes.
    Approve,
    /// The rest.
    Administer,
}

impl Role {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may do it.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Read => true,
            Right::Operate => matches!(self, Self::Operator | Self::Admin),
            Right::Approve => matches!(self, Self::Approver | Self::Admin),
            Right::Administer => self == Self::Admin,
        }
    }
}

/// Who does something: a signed-in user, or an account of this machine on the local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// User name, or `os:` and the user id.
    pub name: Text,
    /// What they may do.
    pub role: Role,
    /// Where the command came from.
    pub from: Origin,
}

/// Where a command came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Origin {
    /// From this program itself, or from nowhere that is known.
    #[default]
    Unknown,
    /// From the local socket.
    Socket,
    /// From this address.
    Address(IpAddr),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(""),
            Self::Socket => f.write_str("local socket"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The actor's role does not allow it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {} and may not do this; ask an administrator", role.name())]
pub struct Forbidden {
    /// Who tried.
    pub name: Text,
    /// As what.
    pub role: Role,
}

impl Actor {
    /// The owner of the running service, or root, on the local socket.
    pub fn local(uid: u32) -> Self {
        Self::new(Text::new(&format!("os:{uid}")), Role::Admin).coming_from(Origin::Socket)
    }

    /// Somebody, from nowhere that is known.
    pub fn new(name: Text, role: Role) -> Self {
        Self { name, role, from: Origin::Unknown }
    }

    /// The same, with where the command came from.
    pub fn coming_from(self, from: Origin) -> Self {
        Self { from, ..self }
    }

    /// Refuses what the role does not allow.
    pub fn require(&self, right: Right) -> Result<(), Forbidden> {
        if self.role.may(right) { Ok(()) } else { Err(Forbidden { name: self.name.clone(), role: self.role }) }
    }
}

/// A user as kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// Signs in with this; lower case letters, digits, `.`, `_`, `-`.
    pub name: Text,
    /// What they may do.
    pub role: Role,
    /// PHC string of the password.
    pub password: String,
    /// Rises when sessions must end: new password or role.
    pub generation: u64,
    /// When the account was made.
    pub created: Timestamp,
}

/// Why an account or password was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Wrong characters or length.
    #[error("user name {0:?} is not allowed; take 1 to {MAX_NAME_CHARS} of a-z, 0-9, '.', '_' and '-'")]
    BadName(String),
    /// Under [`MIN_PASSWORD_CHARS`].
    #[error("the password has {0} characters; take at least {MIN_PASSWORD_CHARS}, for instance four words")]
    TooShort(usize),
    /// Over [`MAX_PASSWORD_BYTES`].
    #[error("the password has {0} bytes; take at most {MAX_PASSWORD_BYTES}")]
    TooLong(usize),
}

/// Checks a user name.
pub fn check_name(name: &str) -> Result<Text, AccountError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if (1..=MAX_NAME_CHARS).contains(&name.len()) && name.chars().all(allowed) {
        Ok(Text::new(name))
    } else {
        Err(AccountError::BadName(name.to_owned()))
    }
}

/// Hashes and compares passwords, a few at a time, away from the async threads.
#[derive(Clone, Debug)]
pub struct Passwords {
    at_once: Arc<Semaphore>,
    /// A hash of nobody's password, compared when the user is unknown, so that both answers take the same work.
    decoy: Arc<str>,
}

/// argon2id with 64 MiB, three passes, one lane. Source: SECURITY-DESIGN section 8.
fn hasher() -> Argon2<'static> {
    let params = Params::new(64 * 1024, 3, 1, None).expect("the documented parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password that [`check_password`] took; blocks for some tenths of a second.
pub(crate) fn hash(password: &str) -> String {
    hasher().hash_password(password.as_bytes()).expect("the parameters are valid and the input is short").to_string()
}

/// Checks a new password's length; nothing else is asked of it.
pub fn check_password(password: &str) -> Result<(), AccountError> {
    match password.chars().count() {
        _ if password.len() > MAX_PASSWORD_BYTES => Err(AccountError::TooLong(password.len())),
        count if count < MIN_PASSWORD_CHARS => Err(AccountError::TooShort(count)),
        _ => Ok(()),
    }
}

impl Passwords {
    /// Costs one hash.
    pub(crate) fn new() -> Self {
        Self { at_once: Arc::new(Semaphore::new(HASHES_AT_ONCE)), decoy: hash("nobody has this password").into() }
    }

    /// True when `password` belongs to `user`; an unknown user costs the same and is false.
    pub(crate) async fn verify(&self, user: Option<&User>, password: &str) -> bool {
        if password.len() > MAX_PASSWORD_BYTES {
            return false;
        }
        let stored = user.map_or_else(|| self.decoy.to_string(), |user| user.password.clone());
        let (known, password) = (user.is_some(), password.to_owned());
        let Ok(_permit) = self.at_once.acquire().await else { return false };
        let matches = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&stored).is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
        });
        matches.await.unwrap_or(false) && known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_opens() {
        let passwords = Passwords::new();
        let user = User {
            name: "ada".into(),
            role: Role::Admin,
            password: hash("correct horse battery"),
            generation: 0,
            created: Timestamp::from_millis(0),
        };
        assert!(passwords.verify(Some(&user), "correct horse battery").await);
        assert!(!passwords.verify(Some(&user), "correct horse batterz").await);
        assert!(!passwords.verify(None, "nobody has this password").await);
        assert!(!passwords.verify(Some(&user), &"x".repeat(MAX_PASSWORD_BYTES + 1)).await);
    }

    #[test]
    fn names_and_passwords_are_checked_with_a_remedy() {
        let errors = [
            check_name("Ada").unwrap_err(),
            check_name("").unwrap_err(),
            check_password("short").unwrap_err(),
            check_password(&"x".repeat(2_000)).unwrap_err(),
        ];
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r#"
        user name "Ada" is not allowed; take 1 to 64 of a-z, 0-9, '.', '_' and '-'
        user name "" is not allowed; take 1 to 64 of a-z, 0-9, '.', '_' and '-'
        the password has 5 characters; take at least 15, for instance four words
        the password has 2000 bytes; take at most 1024
        "#);
        assert!(check_name("ada.l-1_x").is_ok());
        assert!(check_password("four plain words").is_ok());
    }

    #[test]
    fn each_role_has_its_rights() {
        let rights =
            |role: Role| [Right::Read, Right::Operate, Right::Approve, Right::Administer].map(|right| role.may(right));
        assert_eq!(rights(Role::Viewer), [true, false, false, false]);
        assert_eq!(rights(Role::Operator), [true, true, false, false]);
        assert_eq!(rights(Role::Approver), [true, false, true, false]);
        assert_eq!(rights(Role::Admin), [true; 4]);
    }
}
