//! API tokens: what a program shows in place of a password. A token is kept as a hash, so it can be told only once.

use crate::accounts::{Right, Role, User, UserState};
use protocol::codec::{Decode, Encode};
use protocol::text::Text;
use protocol::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What every token begins with, so that people and scanners for leaked secrets know one when they see it.
pub const TOKEN_PREFIX: &str = "pdt_";

/// How long a token is good for when nothing else is said.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// The longest that a token is good for.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// The most tokens that one user has, ended ones too.
pub const MAX_TOKENS_OF_USER: usize = 50;

const MAX_NAME_CHARS: usize = 64;
const SECRET_BYTES: usize = 32;
/// Letters of a token's id.
const ID_LETTERS: usize = 16;

/// An area of the API that a token opens. Its owner must have the right to it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See what viewers see.
    Read,
    /// Edit and run scans, accept what changed.
    Scans,
    /// Decide about alerts.
    Alerts,
    /// Invite, approve and revoke nodes.
    Nodes,
    /// Everything that is kept for administrators, and tokens.
    Admin,
}

/// A word that names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope; choose from read, scans, alerts, nodes and admin")]
pub struct UnknownScope(String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Read, Self::Scans, Self::Alerts, Self::Nodes, Self::Admin];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Scans => "scans",
            Self::Alerts => "alerts",
            Self::Nodes => "nodes",
            Self::Admin => "admin",
        }
    }

    /// What it opens, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Read => "see everything that viewers see",
            Self::Scans => "make, edit and run scans, import results, accept changes",
            Self::Alerts => "action, ignore and reopen alerts",
            Self::Nodes => "invite, approve and revoke nodes",
            Self::Admin => "rules, users, tokens and settings",
        }
    }

    /// The right without which it opens nothing.
    pub fn right(self) -> Right {
        match self {
            Self::Read => Right::Read,
            Self::Scans | Self::Alerts => Right::Operate,
            Self::Nodes => Right::Approve,
            Self::Admin => Right::Administer,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == word.trim());
        found.ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

/// Why a token was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing to call it by.
    #[error("a token has a name of 1 to {MAX_NAME_CHARS} characters, such as the program that uses it")]
    BadName,
    /// Another token of the user is called so.
    #[error("{0} has a token called {1:?}; choose another name, or revoke that one first")]
    SameName(Text, String),
    /// It would open nothing.
    #[error("a token opens something; choose from read, scans, alerts, nodes and admin")]
    NoScope,
    /// The owner has no right to it.
    #[error("{owner} is {} and has no right to {scope}; a token never reaches further than its owner", role.name())]
    BeyondOwner {
        /// Whose token it would be.
        owner: Text,
        /// What the owner is.
        role: Role,
        /// What is too much.
        scope: Scope,
    },
    /// Over at once, or too late.
    #[error("a token lasts from one second to {} days", MAX_TOKEN_LIFETIME.as_secs() / 86_400)]
    BadLifetime,
    /// [`MAX_TOKENS_OF_USER`].
    #[error("{0} has {MAX_TOKENS_OF_USER} tokens; revoke those that are of no use any more")]
    TooMany(Text),
    /// Somebody without an account asked for one.
    #[error("name the user whose rights the token gets")]
    NoOwner,
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownOwner(String),
}

impl TokenError {
    /// The field that it is about.
    pub fn field(&self) -> &'static str {
        match self {
            Self::BadName | Self::SameName(..) => "name",
            Self::NoScope | Self::BeyondOwner { .. } => "scopes",
            Self::BadLifetime => "expires",
            Self::TooMany(_) | Self::NoOwner | Self::UnknownOwner(_) => "owner",
        }
    }
}

/// What a token is kept under: the hash of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// The key of what somebody shows as a token; `None` for what cannot be one.
    pub fn of(shown: &str) -> Option<Self> {
        let secret = shown.strip_prefix(TOKEN_PREFIX)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let is_one = secret.len() == 2 * SECRET_BYTES && secret.bytes().all(is_hex);
        is_one.then(|| Self(Sha256::new().chain_update(b"portdrift/1/token").chain_update(secret).finalize().into()))
    }

    /// What people call it; tells nothing of the token.
    pub fn id(&self) -> String {
        NodeId::from_bytes(self.0).fingerprint().compact().chars().take(ID_LETTERS).collect()
    }

    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// A new token: 256 random bits in hex behind [`TOKEN_PREFIX`]. Told once, kept nowhere.
pub(crate) fn generate() -> Result<(String, TokenKey), getrandom::Error> {
    let mut secret = [0u8; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{TOKEN_PREFIX}{digits}");
    let key = TokenKey::of(&text).expect("it was just written as one");
    Ok((text, key))
}

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// What its owner calls it.
    pub name: Text,
    /// The user whose rights bound it.
    pub owner: Text,
    /// What it opens.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created: Timestamp,
    /// After this it opens nothing.
    pub expires: Timestamp,
}

impl Token {
    /// Whether it opens anything at `now` for this user: its time is not over, the user may sign in, and it was made for
    /// this account and not for an earlier one of the same name.
    pub(crate) fn is_good(&self, owner: &User, now: Timestamp) -> bool {
        let is_theirs = self.owner == owner.name && self.created >= owner.created;
        now < self.expires && is_theirs && owner.state == UserState::Active
    }
}

/// Checks what a token is called.
pub(crate) fn check_name(name: &str) -> Result<Text, TokenError> {
    let name = name.trim();
    if (1..=MAX_NAME_CHARS).contains(&name.chars().count()) { Ok(Text::new(name)) } else { Err(TokenError::BadName) }
}

/// Checks that a token opens something, and nothing that its owner may not.
pub(crate) fn check_scopes(scopes: &BTreeSet<Scope>, owner: &User) -> Result<(), TokenError> {
    if scopes.is_empty() {
        return Err(TokenError::NoScope);
    }
    match scopes.iter().find(|scope| !owner.role.may(scope.right())) {
        Some(scope) => Err(TokenError::BeyondOwner { owner: owner.name.clone(), role: owner.role, scope: *scope }),
        None => Ok(()),
    }
}

/// Checks how long a token is to last.
pub(crate) fn check_lifetime(lifetime: Duration) -> Result<Duration, TokenError> {
    if lifetime.is_zero() || lifetime > MAX_TOKEN_LIFETIME { Err(TokenError::BadLifetime) } else { Ok(lifetime) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::use_case::accounts::fresh;

    fn user(role: Role) -> User {
        fresh("ada".into(), String::new(), role, Timestamp::from_millis(1_000))
    }

    #[test]
    fn a_token_is_told_once_and_known_by_its_hash() {
        let (text, key) = generate().unwrap();
        assert_eq!((text.len(), TokenKey::of(&text)), (68, Some(key)));
        assert!(!text.contains(&key.id()) && key.id().len() == ID_LETTERS);
        let upper = text.to_uppercase().replace("PDT_", "pdt_");
        for wrong in ["", "pdt_", &text[4..], &text[..67], &format!("{text}0"), &format!(" {text}"), &upper] {
            assert_eq!(TokenKey::of(wrong), None, "{wrong}");
        }
        assert_ne!(generate().unwrap().1, key);
    }

    #[test]
    fn a_scope_is_of_use_only_to_those_with_its_right() {
        let taken = |role: Role| {
            let is_taken = |scope: &Scope| check_scopes(&BTreeSet::from([*scope]), &user(role)).is_ok();
            Scope::ALL.into_iter().filter(is_taken).map(Scope::name).collect::<Vec<_>>()
        };
        assert_eq!(taken(Role::Viewer), ["read"]);
        assert_eq!(taken(Role::Operator), ["read", "scans", "alerts"]);
        assert_eq!(taken(Role::Approver), ["read", "nodes"]);
        assert_eq!(taken(Role::Admin), ["read", "scans", "alerts", "nodes", "admin"]);
    }

    #[test]
    fn a_token_ends_with_its_time_and_with_its_owners_account() {
        let at = Timestamp::from_millis;
        let token = Token {
            name: "backup".into(),
            owner: "ada".into(),
            scopes: BTreeSet::from([Scope::Read]),
            created: at(5_000),
            expires: at(9_000),
        };
        assert!(token.is_good(&user(Role::Viewer), at(8_999)));
        assert!(!token.is_good(&user(Role::Viewer), at(9_000)));
        assert!(!token.is_good(&User { name: "bob".into(), ..user(Role::Viewer) }, at(8_000)));
        let namesake = User { created: at(6_000), ..user(Role::Viewer) };
        assert!(!token.is_good(&namesake, at(8_000)), "a later account of the same name");
        for state in [UserState::Disabled, UserState::AwaitingVerification, UserState::AwaitingApproval] {
            assert!(!token.is_good(&User { state, ..user(Role::Viewer) }, at(8_000)), "{state:?}");
        }
    }

    #[test]
    fn what_makes_no_token_is_said_with_a_remedy() {
        let told = [
            check_name(" ").unwrap_err(),
            check_name(&"x".repeat(65)).unwrap_err(),
            check_scopes(&BTreeSet::new(), &user(Role::Admin)).unwrap_err(),
            check_scopes(&BTreeSet::from([Scope::Nodes]), &user(Role::Operator)).unwrap_err(),
            check_lifetime(Duration::ZERO).unwrap_err(),
            check_lifetime(Duration::from_secs(367 * 86_400)).unwrap_err(),
        ];
        insta::assert_snapshot!(told.map(|error| error.to_string()).join("\n"), @"
        a token has a name of 1 to 64 characters, such as the program that uses it
        a token has a name of 1 to 64 characters, such as the program that uses it
        a token opens something; choose from read, scans, alerts, nodes and admin
        ada is operator and has no right to nodes; a token never reaches further than its owner
        a token lasts from one second to 366 days
        a token lasts from one second to 366 days
        ");
        assert!("write".parse::<Scope>().is_err() && " scans ".parse() == Ok(Scope::Scans));
    }
}
