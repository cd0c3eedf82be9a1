//! A user as kept, and what a user may be called and may choose.

use super::{MAX_PASSWORD_BYTES, MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, Role};
use jiff::tz::TimeZone;
use protocol::Timestamp;
use protocol::codec::{Decode, Encode};
use protocol::text::Text;

const MAX_NAME_CHARS: usize = 64;
/// Of a first or last name.
const MAX_PERSON_CHARS: usize = 100;

/// Whether a user may sign in, and if not, what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum UserState {
    /// May sign in.
    Active,
    /// An administrator has closed the account.
    Disabled,
    /// The e-mail address was not confirmed yet.
    AwaitingVerification,
    /// An administrator has not let them in yet.
    AwaitingApproval,
}

impl UserState {
    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::AwaitingVerification => "awaiting verification",
            Self::AwaitingApproval => "awaiting approval",
        }
    }
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum RegistrationMode {
    /// Administrators only.
    Closed,
    /// Who holds an invite of an administrator.
    #[default]
    Invite,
    /// Everybody who reaches the dashboard; an administrator lets them in.
    Approval,
    /// Everybody who reaches the dashboard, as a viewer.
    Open,
}

impl RegistrationMode {
    /// From the strictest on.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Invite, Self::Approval, Self::Open];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Invite => "invite",
            Self::Approval => "approval",
            Self::Open => "open",
        }
    }

    /// The mode of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Whether somebody without an invite may ask for an account.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Approval | Self::Open)
    }
}

/// The colours of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Theme {
    /// As the browser says.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.name() == name)
    }
}

/// How somebody likes their pages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Preferences {
    /// Of the IANA database, such as `Europe/Berlin`; `UTC` unless chosen.
    pub zone: Text,
    /// Which colours.
    pub theme: Theme,
    /// Whether keys of the keyboard lead to pages.
    pub has_shortcuts: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { zone: "UTC".into(), theme: Theme::default(), has_shortcuts: true }
    }
}

impl Preferences {
    /// Checks the time zone.
    pub fn check(zone: &str, theme: Theme, has_shortcuts: bool) -> Result<Self, AccountError> {
        let zone = zone.trim();
        match TimeZone::get(zone) {
            Ok(_) => Ok(Self { zone: Text::new(zone), theme, has_shortcuts }),
            Err(_) => Err(AccountError::BadZone(zone.to_owned())),
        }
    }
}

/// A user as kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// Signs in with this; lower case letters, digits, `.`, `_`, `-`.
    pub name: Text,
    /// First name; may be empty.
    pub first: Text,
    /// Last name; may be empty.
    pub last: Text,
    /// The address that is known to be theirs: by a link that was sent there, or on an administrator's word.
    pub email: Option<Text>,
    /// The address that they say is theirs, until the link sent there was followed.
    pub unconfirmed: Option<Text>,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub state: UserState,
    /// PHC string of the password.
    pub password: String,
    /// Rises when sessions must end: new password, new role, closed account, "sign out others".
    pub generation: u64,
    /// When the account was made.
    pub created: Timestamp,
    /// When they signed in last.
    pub last_sign_in: Option<Timestamp>,
    /// How they like their pages.
    pub preferences: Preferences,
}

impl User {
    /// First and last name, as far as they are known; else the user name.
    pub fn called(&self) -> String {
        let full = format!("{} {}", self.first, self.last);
        match full.trim() {
            "" => self.name.as_str().to_owned(),
            full => full.to_owned(),
        }
    }

    /// What a password must not rest on.
    pub(crate) fn known_words(&self) -> Vec<&str> {
        let mails = self.email.iter().chain(&self.unconfirmed);
        [&self.name, &self.first, &self.last].into_iter().chain(mails).map(Text::as_str).collect()
    }

    /// Ends every session.
    pub(crate) fn end_sessions(&mut self) {
        self.generation = self.generation.saturating_add(1);
    }
}

/// Why an account or password was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Wrong characters or length.
    #[error("user name {0:?} is not allowed; take 1 to {MAX_NAME_CHARS} of a-z, 0-9, '.', '_' and '-'")]
    BadName(String),
    /// Somebody has it.
    #[error("the user name {0} is taken; choose another")]
    NameTaken(String),
    /// A first or last name that is too long.
    #[error("a name has at most {MAX_PERSON_CHARS} characters; this one has {0}")]
    LongPerson(usize),
    /// Not an e-mail address.
    #[error("{0:?} is not an e-mail address; write for instance ada@example.org")]
    BadEmail(String),
    /// Another account has it.
    #[error("another account has the address {0}; take another one")]
    EmailTaken(String),
    /// Under [`MIN_PASSWORD_CHARS`].
    #[error("the password has {0} characters; take at least {MIN_PASSWORD_CHARS}, for instance four words")]
    TooShort(usize),
    /// Over [`MAX_PASSWORD_CHARS`].
    #[error("the password has {0} characters; take at most {MAX_PASSWORD_CHARS}")]
    TooManyChars(usize),
    /// Over [`MAX_PASSWORD_BYTES`].
    #[error("the password has {0} bytes; take at most {MAX_PASSWORD_BYTES}")]
    TooLong(usize),
    /// Rests on what everybody tries first.
    #[error(
        "the password is easy to guess: without common words, your own names, years and runs such as 1234, {left} characters are left of it; take at least {least}, for instance four words"
    )]
    TooCommon {
        /// What is left.
        left: usize,
        /// What should be left.
        least: usize,
    },
    /// The two passwords differ.
    #[error("the two passwords differ; type the new one twice")]
    Differ,
    /// The present password is wrong.
    #[error("this is not your present password; check it and try again")]
    WrongPassword,
    /// No such time zone.
    #[error("{0:?} is not a time zone; write for instance Europe/Berlin or UTC")]
    BadZone(String),
}

impl AccountError {
    /// The field of a form that it is about.
    pub fn field(&self) -> &'static str {
        match self {
            Self::BadName(_) | Self::NameTaken(_) => "name",
            Self::LongPerson(_) => "first",
            Self::BadEmail(_) | Self::EmailTaken(_) => "email",
            Self::TooShort(_) | Self::TooManyChars(_) | Self::TooLong(_) | Self::TooCommon { .. } => "password",
            Self::Differ => "again",
            Self::WrongPassword => "current",
            Self::BadZone(_) => "zone",
        }
    }
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

/// Trims, cleans and checks a first or last name.
pub(crate) fn check_person(name: &str) -> Result<Text, AccountError> {
    let name = Text::new(name.trim());
    match name.as_str().chars().count() {
        count if count > MAX_PERSON_CHARS => Err(AccountError::LongPerson(count)),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_zones_and_persons_are_checked_with_a_remedy() {
        let errors = [
            check_name("Ada").unwrap_err(),
            check_name("").unwrap_err(),
            check_person(&"x".repeat(101)).unwrap_err(),
            Preferences::check("Mars/Base", Theme::Dark, true).unwrap_err(),
        ];
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r#"
        user name "Ada" is not allowed; take 1 to 64 of a-z, 0-9, '.', '_' and '-'
        user name "" is not allowed; take 1 to 64 of a-z, 0-9, '.', '_' and '-'
        a name has at most 100 characters; this one has 101
        "Mars/Base" is not a time zone; write for instance Europe/Berlin or UTC
        "#);
        assert!(check_name("ada.l-1_x").is_ok());
        assert_eq!(check_person(" Ada\u{202e} "), Ok("Ada\\u{202e}".into()));
        assert!(Preferences::check(" Europe/Berlin ", Theme::Dark, true).is_ok());
    }

    #[test]
    fn words_lead_back_to_what_they_stand_for() {
        assert!(RegistrationMode::ALL.into_iter().all(|mode| RegistrationMode::of_name(mode.name()) == Some(mode)));
        assert!(Theme::ALL.into_iter().all(|theme| Theme::of_name(theme.name()) == Some(theme)));
        assert_eq!((RegistrationMode::of_name("x"), Theme::of_name("")), (None, None));
    }
}
