//! How mail is sent: section `[mail]` of the configuration.

use crate::config::{AbsolutePath, optional};
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// How mail leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// To a mail server.
    #[default]
    Smtp,
    /// Into files of a folder, for tests and for mail programs that watch one.
    File,
}

/// How the way to the mail server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte on, usually port 465.
    #[default]
    Tls,
    /// TLS after a greeting, usually port 587; refused when the server offers none.
    Starttls,
    /// Nothing; only towards this machine.
    None,
}

/// Section `[mail]`. Unless it says something no mail is sent: addresses are not confirmed, and only administrators reset passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// How mail leaves.
    pub transport: TransportKind,
    /// The mail server's name; its certificate must be for it.
    pub server: String,
    /// Its port; 0 for the usual one of `security`.
    pub port: u16,
    /// How the way there is secured.
    pub security: Security,
    /// The account there; without it mail is handed over without signing in.
    #[serde(with = "optional")]
    pub user: Option<String>,
    /// The file whose first line is the account's password; nobody else may read it.
    #[serde(with = "optional")]
    pub password_file: Option<AbsolutePath>,
    /// The sender, such as `Portdrift <portdrift@example.org>`.
    pub from: String,
    /// Where `transport = "file"` writes.
    #[serde(with = "optional")]
    pub folder: Option<AbsolutePath>,
    /// Where people reach the dashboard, such as `https://watch.example.org`; links in mails begin with it. When absent,
    /// they begin with the name under which the dashboard was asked.
    #[serde(with = "optional")]
    pub url: Option<String>,
}

/// What is wrong with the settings of mail.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A value is missing or makes no sense.
    #[error("mail.{field}: {reason}")]
    Setting {
        /// Which.
        field: &'static str,
        /// What to write instead.
        reason: String,
    },
    /// The password cannot be read.
    #[error("mail.password_file: reading {}: {source}", path.display())]
    Password {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be prepared.
    #[error("mail.server: preparing TLS: {0}")]
    Tls(#[from] lettre::transport::smtp::Error),
}

fn wrong(field: &'static str, reason: impl Into<String>) -> MailError {
    MailError::Setting { field, reason: reason.into() }
}

impl MailSettings {
    /// Whether anything is said; without it no mail is sent.
    pub(crate) fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// The key that makes no sense, and what to write instead; files are not looked at.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        match self.check().and_then(|()| self.sender().map(|_| ())) {
            Err(MailError::Setting { field, reason }) if self.is_set() => Some((field, reason)),
            Ok(()) | Err(MailError::Setting { .. } | MailError::Password { .. } | MailError::Tls(_)) => None,
        }
    }

    /// The sender.
    pub(super) fn sender(&self) -> Result<Mailbox, MailError> {
        let told = "write the sender, such as Portdrift <portdrift@example.org>";
        self.from.parse().map_err(|_| wrong("from", format!("{:?} is no sender; {told}", self.from)))
    }

    /// Checks what hangs together.
    pub(super) fn check(&self) -> Result<(), MailError> {
        if let Some(url) = &self.url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(wrong("url", format!("{url:?} is no address of a dashboard; it begins with https://")));
        }
        match self.transport {
            TransportKind::File if self.folder.is_none() => {
                Err(wrong("folder", "transport \"file\" needs the folder to write to"))
            }
            TransportKind::File => Ok(()),
            TransportKind::Smtp if self.server.trim().is_empty() => {
                Err(wrong("server", "transport \"smtp\" needs the name of the mail server"))
            }
            TransportKind::Smtp if self.security == Security::None && !self.is_this_machine() => {
                let reason = "\"none\" is for a server on this machine; use \"tls\" or \"starttls\": the links in mails open accounts";
                Err(wrong("security", reason))
            }
            TransportKind::Smtp if self.user.is_some() != self.password_file.is_some() => {
                Err(wrong("user", "user and password_file belong together; give both or none"))
            }
            TransportKind::Smtp => Ok(()),
        }
    }

    /// The password of the account, if there is one.
    pub(super) fn password(&self) -> Result<Option<String>, MailError> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let path = path.as_path();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| MailError::Password { path: path.to_owned(), source })?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }

    fn is_this_machine(&self) -> bool {
        self.server == "localhost" || self.server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}
