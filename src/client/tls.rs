//! Whom a client believes: certificates that the system or a file vouches for, or one certificate by its fingerprint.

use crate::exit::Failure;
use anyhow::Context;
use reqwest::ClientBuilder;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    WantsVerifier,
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Whom to believe.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Nobody: for a socket, where no certificate is shown.
    Nobody,
    /// Whom this machine believes.
    System,
    /// Whom the certificates in this PEM file vouch for.
    Issuers(PathBuf),
    /// Nobody but the holder of this certificate.
    Certificate(CertificatePrint),
}

/// The SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificatePrint([u8; 32]);

/// A text that is no fingerprint of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate's fingerprint has 64 hexadecimal digits, with or without colons between them")]
pub(crate) struct CertificatePrintError;

impl FromStr for CertificatePrint {
    type Err = CertificatePrintError;

    fn from_str(text: &str) -> Result<Self, CertificatePrintError> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b':' | b' ')).collect();
        let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let pair = |pair: &[u8]| Some(value(pair.first()?)? << 4 | value(pair.get(1)?)?);
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(CertificatePrintError)
    }
}

/// A builder of clients that believe `trust`.
pub(super) fn builder(trust: &Trust) -> anyhow::Result<ClientBuilder> {
    let builder = reqwest::Client::builder();
    Ok(match believing(trust)? {
        Some(config) => builder.tls_backend_preconfigured(config),
        None => {
            // One provider for the process; a second attempt finds the first one there.
            let _installed = ring::default_provider().install_default();
            builder
        }
    })
}

/// How to shake hands with whom `trust` believes; `None` where the system decides.
fn believing(trust: &Trust) -> anyhow::Result<Option<ClientConfig>> {
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::System => return Ok(None),
        Trust::Nobody => {
            let nobody = config()?.with_root_certificates(RootCertStore::empty());
            return Ok(Some(nobody.with_no_client_auth()));
        }
        Trust::Issuers(file) => verifier_of(file)?,
        Trust::Certificate(print) => Arc::new(Pinned::new(*print)),
    };
    Ok(Some(config()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn config() -> anyhow::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().context("preparing TLS")
}

fn verifier_of(file: &Path) -> anyhow::Result<Arc<dyn ServerCertVerifier>> {
    let unreadable = || format!("reading certificates from {}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).with_context(unreadable)? {
        roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
    }
    if roots.is_empty() {
        return Err(Failure::usage(format!("{} holds no certificate; name a PEM file", file.display())).into());
    }
    let provider = Arc::new(ring::default_provider());
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().with_context(unreadable)?)
}

/// Believes one certificate, whoever signed it and whatever names and times stand in it: a person has compared it.
#[derive(Debug)]
struct Pinned {
    print: CertificatePrint,
    provider: CryptoProvider,
}

impl Pinned {
    fn new(print: CertificatePrint) -> Self {
        Self { print, provider: ring::default_provider() }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found: [u8; 32] = Sha256::digest(end_entity).into();
        match found == self.print.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    /// A certificate for `watch.example` with its key, and a server that shows it.
    fn server() -> (rcgen::Certificate, Arc<ServerConfig>) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["watch.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        (cert, Arc::new(config))
    }

    /// Both ends in memory, until the client believes the server or says why not.
    fn shake_hands(trust: &Trust, name: &'static str, server: &Arc<ServerConfig>) -> Result<(), Error> {
        let config = believing(trust).unwrap().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(server.clone()).unwrap();
        for _ in 0..10 {
            let (mut asked, mut answered) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut asked).unwrap();
            }
            while !asked.is_empty() {
                let read = server.read_tls(&mut asked.as_slice()).unwrap();
                asked.drain(..read);
                server.process_new_packets().unwrap();
            }
            while server.wants_write() {
                server.write_tls(&mut answered).unwrap();
            }
            while !answered.is_empty() {
                let read = client.read_tls(&mut answered.as_slice()).unwrap();
                answered.drain(..read);
                client.process_new_packets()?;
            }
            if !client.is_handshaking() {
                return Ok(());
            }
        }
        panic!("the handshake does not end");
    }

    #[test]
    fn only_the_certificate_with_the_fingerprint_is_believed_whatever_name_it_has() {
        let ((cert, ours), (_, theirs)) = (server(), server());
        let print = CertificatePrint(Sha256::digest(cert.der()).into());
        assert_eq!(shake_hands(&Trust::Certificate(print), "watch.example", &ours), Ok(()));
        assert_eq!(shake_hands(&Trust::Certificate(print), "192.0.2.7", &ours), Ok(()));
        assert!(shake_hands(&Trust::Certificate(print), "watch.example", &theirs).is_err());
    }

    #[test]
    fn a_file_vouches_for_its_certificates_and_their_names_alone() {
        let ((cert, ours), (_, theirs)) = (server(), server());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, cert.pem()).unwrap();
        let trust = Trust::Issuers(file.clone());
        assert_eq!(shake_hands(&trust, "watch.example", &ours), Ok(()));
        assert!(shake_hands(&trust, "other.example", &ours).is_err());
        assert!(shake_hands(&trust, "watch.example", &theirs).is_err());
        assert!(shake_hands(&Trust::Nobody, "watch.example", &ours).is_err());
        std::fs::write(&file, "no certificate").unwrap();
        let told = believing(&Trust::Issuers(file)).unwrap_err().to_string();
        assert!(told.ends_with("ca.pem holds no certificate; name a PEM file"), "{told}");
    }

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let plain = "0123456789abcdef".repeat(4);
        let colons: Vec<String> =
            plain.to_uppercase().as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        let read: CertificatePrint = plain.parse().unwrap();
        assert_eq!((read.0[0], read.0[31]), (0x01, 0xef));
        assert_eq!(colons.join(":").parse(), Ok(read));
        for wrong in ["", &plain[1..], &plain[2..], &plain.replace('0', "g"), "é"] {
            assert_eq!(wrong.parse::<CertificatePrint>(), Err(CertificatePrintError), "{wrong}");
        }
    }
}
