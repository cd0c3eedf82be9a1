//! What mails say, and where their links lead.

use crate::App;
use crate::filters::absolute_text;
use crate::origin::Origin;
use askama::Template;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use coordinator::MadeLink;
use coordinator::accounts::Email;
use coordinator::mail::Mail;
use protocol::Timestamp;
use protocol::text::Text;

/// Where the dashboard is, for somebody who reads a mail: the address of the settings, or the name under which it was
/// asked, which was checked to be ours. Nothing for the command line of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Outside(Option<String>);

impl FromRequestParts<App> for Outside {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        if let Some(url) = app.coordinator.mail().and_then(|mail| mail.url()) {
            return Ok(Self(Some(url.to_owned())));
        }
        if parts.extensions.get::<ConnectInfo<crate::LocalPeer>>().is_some() {
            return Ok(Self(None));
        }
        let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = parts.uri.authority().map(|authority| authority.as_str()).or(named);
        let is_tls = parts.extensions.get::<Origin>().is_some_and(|origin| origin.is_tls);
        let scheme = if is_tls { "https" } else { "http" };
        Ok(Self(host.map(|host| format!("{scheme}://{host}{}", app.settings.base_path))))
    }
}

impl Outside {
    /// A path of ours as a whole link; the path alone where nobody knows more.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_deref().unwrap_or_default())
    }

    /// Whether links lead here from anywhere.
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }
}

/// One mail.
#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Letter<'a> {
    words: Words<'a>,
    link: String,
    end: Option<String>,
    home: String,
}

/// What a mail is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words<'a> {
    /// Prove that the address is yours.
    Verify(&'a str),
    /// You have an account already.
    Known,
    /// Set a new password.
    Reset(&'a str),
    /// Make an account.
    Invite(&'a str),
    /// The address of your account was changed to another one.
    Moved(&'a str, &'a str),
    /// The password of your account was changed.
    Changed(&'a str),
}

impl Words<'_> {
    fn subject(self) -> &'static str {
        match self {
            Self::Verify(_) => "Portdrift: confirm your e-mail address",
            Self::Known => "Portdrift: you have an account already",
            Self::Reset(_) => "Portdrift: set a new password",
            Self::Invite(_) => "Portdrift: you are invited",
            Self::Moved(..) => "Portdrift: the address of your account changes",
            Self::Changed(_) => "Portdrift: your password was changed",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Verify(_) => "/auth/verify",
            Self::Reset(_) => "/auth/reset",
            Self::Invite(_) => "/auth/register",
            Self::Known | Self::Moved(..) | Self::Changed(_) => "/auth/forgot",
        }
    }
}

/// The path of a link that was made.
pub(crate) fn path_of(words: Words<'_>, link: &MadeLink) -> String {
    format!("{}/{}", words.path(), link.secret)
}

/// Mails a link to the address that belongs to it. False when no mail can be sent, or the link has no address.
pub(crate) fn send_link(app: &App, outside: &Outside, words: Words<'_>, link: &MadeLink) -> bool {
    let path = path_of(words, link);
    link.email.as_ref().is_some_and(|to| send(app, outside, words, to, &path, Some(link.expires)))
}

/// Mails what needs no link of its own.
pub(crate) fn send_notice(app: &App, outside: &Outside, words: Words<'_>, to: &Text) -> bool {
    send(app, outside, words, to, words.path(), None)
}

fn send(app: &App, outside: &Outside, words: Words<'_>, to: &Text, path: &str, end: Option<Timestamp>) -> bool {
    let (Some(mailer), Ok(to), true) = (app.coordinator.mail(), Email::parse(to.as_str()), outside.is_known()) else {
        return false;
    };
    let end = end.map(absolute_text);
    let letter = Letter { words, link: outside.link(path), end, home: outside.link("/") };
    match letter.render() {
        Ok(body) => mailer.send(Mail { to, subject: words.subject().to_owned(), body: body + "\n" }).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a mail could not be written");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mail_says_what_it_is_about_what_to_do_and_what_if_it_was_not_you() {
        let all = [
            Words::Verify("ada"),
            Words::Known,
            Words::Reset("ada"),
            Words::Invite("operator"),
            Words::Moved("ada", "new@example.org"),
            Words::Changed("ada"),
        ];
        let drawn = all.map(|words| {
            let end = Some(absolute_text(Timestamp::from_millis(1_700_000_000_000)));
            let letter = Letter {
                words,
                link: format!("https://watch.example{}/x", words.path()),
                end,
                home: "https://watch.example/".into(),
            };
            format!("{}\n\n{}", words.subject(), letter.render().unwrap())
        });
        insta::assert_snapshot!(drawn.join("\n----\n"), @r#"
        Portdrift: confirm your e-mail address

        Somebody, probably you, gave this address for the account "ada" at https://watch.example/

        Open this link to confirm that it is yours:

        https://watch.example/auth/verify/x

        If it was not you, do nothing: without the link the address is not used.

        The link works once, until 2023-11-14 22:13:20 UTC.
        ----
        Portdrift: you have an account already

        Somebody, probably you, asked for an account with this address at https://watch.example/

        You have an account already. If you forgot its password, set a new one:

        https://watch.example/auth/forgot/x

        If it was not you, do nothing: your account has not changed.

        The link works once, until 2023-11-14 22:13:20 UTC.
        ----
        Portdrift: set a new password

        Somebody, probably you, asked for a new password of the account "ada" at https://watch.example/

        Open this link to choose one:

        https://watch.example/auth/reset/x

        If it was not you, do nothing: the password stays as it is.

        The link works once, until 2023-11-14 22:13:20 UTC.
        ----
        Portdrift: you are invited

        You are invited to https://watch.example/ as operator.

        Open this link to make your account:

        https://watch.example/auth/register/x

        The link works once, until 2023-11-14 22:13:20 UTC.
        ----
        Portdrift: the address of your account changes

        Somebody, probably you, wants to change the address of the account "ada" at https://watch.example/ to new@example.org. It counts once a link that was sent there is opened.

        If it was not you, somebody else uses your account. Set a new password at once, which ends every session:

        https://watch.example/auth/forgot/x

        The link works once, until 2023-11-14 22:13:20 UTC.
        ----
        Portdrift: your password was changed

        The password of the account "ada" at https://watch.example/ was changed.

        If it was not you, set a new one at once, which ends every session, and tell an administrator:

        https://watch.example/auth/forgot/x

        The link works once, until 2023-11-14 22:13:20 UTC.
        "#);
    }
}
