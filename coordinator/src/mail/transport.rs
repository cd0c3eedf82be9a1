//! The ways in which a mail leaves: to a server over TLS, or into a file.

use super::Mail;
use super::settings::{MailError, MailSettings, Security, TransportKind};
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;

/// How long one step of a mail server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a mail was not taken.
pub(super) enum SendError {
    /// It may be taken later.
    Passing(String),
    /// It never will.
    Final(String),
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    File(AsyncFileTransport<Tokio1Executor>),
}

/// One way, and the sender.
pub(super) struct Transport {
    way: Way,
    from: Mailbox,
}

impl Transport {
    /// Nothing is opened yet.
    pub(super) fn new(settings: &MailSettings) -> Result<Self, MailError> {
        settings.check()?;
        let from = settings.sender()?;
        let way = match (settings.transport, &settings.folder) {
            (TransportKind::File, Some(folder)) => Way::File(AsyncFileTransport::new(folder.as_path())),
            (TransportKind::File, None) | (TransportKind::Smtp, _) => Way::Smtp(smtp(settings)?),
        };
        Ok(Self { way, from })
    }

    /// Hands a mail over.
    pub(super) async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let to = mail.to.text().as_str().parse().map_err(|error| SendError::Final(format!("the address: {error}")))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.body.clone())
            .map_err(|error| SendError::Final(format!("the mail could not be written: {error}")))?;
        match &self.way {
            Way::File(way) => {
                let written = way.send(message).await;
                written.map(|_| ()).map_err(|error| SendError::Passing(format!("writing into the folder: {error}")))
            }
            Way::Smtp(way) => match way.send(message).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_permanent() => Err(SendError::Final(error.to_string())),
                Err(error) => Err(SendError::Passing(error.to_string())),
            },
        }
    }
}

fn smtp(settings: &MailSettings) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let server = settings.server.trim();
    let builder = match settings.security {
        Security::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(server)?,
        Security::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(server)?,
        Security::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server),
    };
    let builder = builder.timeout(Some(PATIENCE));
    let builder = match settings.port {
        0 => builder,
        port => builder.port(port),
    };
    Ok(match (&settings.user, settings.password()?) {
        (Some(user), Some(password)) => builder.credentials(Credentials::new(user.clone(), password)).build(),
        _ => builder.build(),
    })
}
