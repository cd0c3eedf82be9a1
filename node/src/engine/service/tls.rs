//! TLS: a hello of our own tells whether a port speaks it; a whole handshake lets us ask inside. Whose certificate it is
//! does not matter: nothing secret is said.

use super::found::{Found, Said};
use super::talk;
use crate::engine::builtin::connect::{Connection, Dialer, Place};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Stands for the name of a service inside TLS that did not tell; `table` replaces it.
pub(super) const UNKNOWN_INSIDE: &str = "ssl";

/// Cipher suites of TLS 1.3 and 1.2 that servers of the last fifteen years know.
const SUITES: [u16; 12] =
    [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0x009c, 0x002f];

/// Extensions that need no choice by us: type and body.
const EXTENSIONS: [(u16, &[u8]); 4] = [
    // supported groups: x25519, secp256r1, secp384r1
    (0x000a, &[0, 6, 0, 0x1d, 0, 0x17, 0, 0x18]),
    // point formats: uncompressed
    (0x000b, &[1, 0]),
    // signature algorithms
    (0x000d, &[0, 14, 4, 3, 5, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1]),
    // supported versions: 1.3, 1.2
    (0x002b, &[4, 3, 4, 3, 3]),
];

/// A ClientHello. The key is a fixed point: nothing is ever said inside. Source: RFC 8446, section 4.1.2.
pub(super) fn client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.extend([32]);
    body.extend([0xa5; 32]);
    body.extend(counted(&SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>()));
    body.extend([1, 0]);
    let mut extensions: Vec<u8> = EXTENSIONS.iter().flat_map(|(kind, body)| extension(*kind, body)).collect();
    let share = [&[0, 0x1d][..], &counted(&[9; 32])].concat();
    extensions.extend(extension(0x0033, &counted(&share)));
    body.extend(counted(&extensions));
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &counted(body)].concat()
}

/// `bytes` behind their length in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A ServerHello, or an alert: both prove TLS.
pub(super) fn parse(said: &Said<'_>) -> Option<Found> {
    let hello = matches!(said.bytes, [22, 3, 0..=4, _, _, 2, ..]);
    let alert = matches!(said.bytes, [21, 3, 0..=4, 0, 2, 1 | 2, _, ..]);
    (hello || alert).then(|| Found { tls: true, ..Found::named(UNKNOWN_INSIDE) })
}

/// A connection inside TLS, with its place in the pace.
pub(super) struct Inside {
    pub(super) stream: TlsStream<TcpStream>,
    _place: Place,
}

impl Inside {
    /// The first certificate, as it was sent.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        let (_, session) = self.stream.get_ref();
        session.peer_certificates()?.first().map(AsRef::as_ref)
    }
}

/// Connects and shakes hands; `None` where the server wants what no client of today offers.
pub(super) async fn enter(dialer: &Dialer, target: SocketAddr, deadline: Instant) -> Option<Inside> {
    let (connection, _) = talk::connect(dialer, target, deadline).await?;
    let Connection { stream, place } = connection;
    let name = ServerName::IpAddress(target.ip().into());
    let shaken = timeout_at(deadline, TlsConnector::from(CONFIG.clone()).connect(name, stream)).await;
    Some(Inside { stream: shaken.ok()?.ok()?, _place: place })
}

static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anyone(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Arc::new(config)
});

/// Lets every server in: a scanner wants to know who answers, not whether to trust it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
