//! Small HTTP clients: one request a connection, plain or over TLS with a pinned certificate.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or("")
    }
}

/// The text of a request in HTTP/1.0, whose answer comes as it is, up to the end of the connection.
pub(crate) fn request(method: &str, host: &str, path: &str, cookie: &str, body: &str) -> String {
    let form = "Content-Type: application/x-www-form-urlencoded";
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nCookie: {cookie}\r\n{form}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends `request` and reads the answer.
pub(crate) fn ask(mut stream: impl Read + Write, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // Some ends of TLS come without a farewell.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        read => drop(read?),
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other(format!("no answer: {text:?}")))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// A connection that gives up in time.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks over TLS of one of `versions`, and believes nothing but the certificate in `pinned`.
pub(crate) fn ask_tls(
    address: SocketAddr,
    pinned: &Path,
    versions: &[&'static SupportedProtocolVersion],
    request: &str,
) -> io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pinned).map_err(io::Error::other)?).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_protocol_versions(versions).map_err(io::Error::other)?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::from(address.ip());
    let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    ask(StreamOwned::new(tls, connect(address)?), request)
}
