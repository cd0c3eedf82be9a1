//! Users, their roles and passwords; and who is acting, whatever way they came in.

mod blocklist;
mod email;
mod link;
mod password;
mod setup_code;
mod user;

pub use email::Email;
pub(crate) use email::fold;
pub use link::LinkSecret;
pub(crate) use link::{Link, LinkName, LinkPurpose};
pub use password::{MAX_PASSWORD_BYTES, MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, check_password};
pub(crate) use password::{Passwords, hash};
pub use setup_code::SetupCode;
pub(crate) use setup_code::SetupSum;
pub(crate) use user::check_person;
pub use user::{AccountError, Preferences, RegistrationMode, Theme, User, UserState, check_name};

use protocol::codec::{Decode, Encode};
use protocol::text::Text;
use std::fmt;
use std::net::IpAddr;

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
    /// From the one that may least to the one that may most.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// The role of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_rights() {
        let rights =
            |role: Role| [Right::Read, Right::Operate, Right::Approve, Right::Administer].map(|right| role.may(right));
        assert_eq!(rights(Role::Viewer), [true, false, false, false]);
        assert_eq!(rights(Role::Operator), [true, true, false, false]);
        assert_eq!(rights(Role::Approver), [true, false, true, false]);
        assert_eq!(rights(Role::Admin), [true; 4]);
        assert!(Role::ALL.into_iter().all(|role| Role::of_name(role.name()) == Some(role)));
        assert_eq!(Role::of_name("root"), None);
    }
}
