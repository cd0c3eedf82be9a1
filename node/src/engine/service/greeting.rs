//! Services that greet with a line of text: SMTP, FTP, POP3, IMAP, NNTP, rsync, Subversion.

use super::found::{Found, Said, word_after};

/// What a greeting contains, and what that is: word, product, and the text before the version.
type Row = (&'static str, &'static str, &'static str);

const SMTP: [Row; 7] = [
    ("Postfix", "Postfix smtpd", "Postfix "),
    ("Exim", "Exim smtpd", "Exim "),
    ("Sendmail", "Sendmail", "Sendmail "),
    ("OpenSMTPD", "OpenSMTPD", "OpenSMTPD "),
    ("Microsoft ESMTP", "Microsoft ESMTP", "Version: "),
    ("Haraka", "Haraka smtpd", "Haraka/"),
    ("MailEnable", "MailEnable smptd", "Version: "),
];

const FTP: [Row; 6] = [
    ("vsFTPd", "vsftpd", "vsFTPd "),
    ("ProFTPD", "ProFTPD", "ProFTPD "),
    ("Pure-FTPd", "Pure-FTPd", "Pure-FTPd "),
    ("FileZilla Server", "FileZilla ftpd", "FileZilla Server "),
    ("Microsoft FTP", "Microsoft ftpd", "Version "),
    ("pyftpdlib", "pyftpdlib", "pyftpdlib "),
];

const POP3: [Row; 3] = [
    ("Dovecot", "Dovecot pop3d", "Dovecot "),
    ("Cyrus POP3", "Cyrus pop3d", "POP3 v"),
    ("Courier", "Courier pop3d", "Courier "),
];

const IMAP: [Row; 4] = [
    ("Dovecot", "Dovecot imapd", "Dovecot "),
    ("Cyrus IMAP", "Cyrus imapd", "IMAP v"),
    ("Courier-IMAP", "Courier Imapd", "Courier-IMAP "),
    ("Microsoft Exchange", "Microsoft Exchange imapd", "Version "),
];

const NNTP: [Row; 2] = [("InterNetNews", "InterNetNews (INN)", "INN "), ("Leafnode", "Leafnode nntpd", "version ")];

/// `220 mail.example.org ESMTP Postfix (Debian/GNU)`.
pub(super) fn parse_smtp(said: &Said<'_>) -> Option<Found> {
    let line = said.line().filter(|line| line.starts_with("220"))?;
    let known = SMTP.iter().any(|(word, _, _)| line.contains(word));
    (known || line.to_ascii_uppercase().contains("SMTP")).then(|| by_row(Found::named("smtp"), &line, &SMTP))
}

/// `220 (vsFTPd 3.0.3)`. A bare `220` says nothing.
pub(super) fn parse_ftp(said: &Said<'_>) -> Option<Found> {
    let line = said.line().filter(|line| line.starts_with("220"))?;
    let known = FTP.iter().any(|(word, _, _)| line.contains(word));
    (known || line.to_ascii_uppercase().contains("FTP")).then(|| by_row(Found::named("ftp"), &line, &FTP))
}

/// `+OK Dovecot ready.`
pub(super) fn parse_pop3(said: &Said<'_>) -> Option<Found> {
    let line = said.line().filter(|line| line.starts_with("+OK"))?;
    Some(by_row(Found::named("pop3"), &line, &POP3))
}

/// `* OK [CAPABILITY IMAP4rev1 …] Dovecot ready.`
pub(super) fn parse_imap(said: &Said<'_>) -> Option<Found> {
    let starts = |line: &String| ["* OK", "* PREAUTH", "* BYE"].iter().any(|start| line.starts_with(start));
    let line = said.line().filter(starts)?;
    Some(by_row(Found::named("imap"), &line, &IMAP))
}

/// `200 news.example.org InterNetNews NNRP server INN 2.7.1 ready (posting ok)`
pub(super) fn parse_nntp(said: &Said<'_>) -> Option<Found> {
    let line = said.line().filter(|line| line.starts_with("200 ") || line.starts_with("201 "))?;
    let known = NNTP.iter().any(|(word, _, _)| line.contains(word));
    (known || line.to_ascii_uppercase().contains("NNTP")).then(|| by_row(Found::named("nntp"), &line, &NNTP))
}

/// `@RSYNCD: 31.0`
pub(super) fn parse_rsync(said: &Said<'_>) -> Option<Found> {
    let line = said.line()?;
    let version = word_after(line.strip_prefix("@RSYNCD")?, ": ")?;
    let major = version.split('.').next().unwrap_or_default();
    Some(Found::named("rsync").extra(&format!("protocol version {major}")))
}

/// `( success ( 2 2 ( ) ( edit-pipeline svndiff1 …`
pub(super) fn parse_svn(said: &Said<'_>) -> Option<Found> {
    let is_its = said.bytes.starts_with(b"( success ( 2 2 ");
    is_its.then(|| Found::named("svnserve").product("Subversion"))
}

fn by_row(found: Found, line: &str, rows: &[Row]) -> Found {
    match rows.iter().find(|(word, _, _)| line.contains(word)) {
        Some((_, product, marker)) => found.product(product).version(&word_after(line, marker).unwrap_or_default()),
        None => found,
    }
}
