//! The certificate that the dashboard shows: from files of its owner or self-signed, and taken anew when the files change.

mod ending;
mod own;
#[cfg(test)]
mod tests;

pub use own::self_signed;

use axum_server::tls_rustls::RustlsConfig;
use data_encoding::HEXUPPER;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, pki_types};
use sha2::{Digest, Sha256};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Permission bits with which everybody could read a key.
const FOR_OTHERS: u32 = 0o007;

/// What clients may speak above TLS, the best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the {what} {} cannot be read: {source}", path.display())]
    Read {
        /// `certificate` or `key`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM; write the certificate with its chain into one file and its key into another", path.display())]
    NoPem {
        /// `certificate` or `key`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
    },
    /// Others can read the key.
    #[error("the key {} can be read by everybody; close it with `chmod o-rwx`", .0.display())]
    Exposed(PathBuf),
    /// They are not of one pair, or of a kind that is not known.
    #[error("{} and {} cannot be used together: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Making(#[from] rcgen::Error),
    /// A certificate could not be kept.
    #[error("the certificate could not be kept in {}: {source}", folder.display())]
    Keeping {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where a certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, its chain behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The certificate in use; clones share it, and it can be exchanged while connections are made.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<RwLock<Held>>);

#[derive(Debug)]
struct Held {
    files: CertificateFiles,
    /// What the files looked like when they were read last.
    seen: Option<Look>,
    used: Arc<CertifiedKey>,
    fingerprint: String,
}

/// By what a changed file is known.
type Look = [(u64, u64, i64, i64); 2];

impl CertificateFiles {
    fn look(&self) -> Option<Look> {
        let of = |path: &Path| {
            let facts = std::fs::metadata(path).ok()?;
            Some((facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
        };
        Some([of(&self.certificate)?, of(&self.key)?])
    }

    fn read(&self) -> Result<(CertifiedKey, String), TlsError> {
        let Self { certificate, key } = self;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(unread("certificate", certificate))?;
        let Some(first) = chain.first() else {
            return Err(TlsError::NoPem { what: "certificate", path: certificate.clone() });
        };
        let fingerprint = fingerprint(first);
        let mode = std::fs::metadata(key).map(|facts| facts.mode());
        if mode.is_ok_and(|mode| mode & FOR_OTHERS != 0) {
            return Err(TlsError::Exposed(key.clone()));
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(unread("key", key))?;
        let pair = CertifiedKey::from_der(chain, secret, &ring::default_provider());
        let pair =
            pair.map_err(|source| TlsError::Unusable { certificate: certificate.clone(), key: key.clone(), source })?;
        Ok((pair, fingerprint))
    }
}

fn unread(what: &'static str, path: &Path) -> impl FnOnce(pki_types::pem::Error) -> TlsError {
    let path = path.to_owned();
    move |error| {
        if let pki_types::pem::Error::Io(source) = error {
            TlsError::Read { what, path, source }
        } else {
            TlsError::NoPem { what, path }
        }
    }
}

/// SHA-256 of the certificate, as browsers show it: `AB:CD:…`
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let pairs: Vec<String> = Sha256::digest(certificate).iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    pairs.join(":")
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        let seen = files.look();
        let (used, fingerprint) = files.read()?;
        Ok(Self(Arc::new(RwLock::new(Held { files, seen, used: Arc::new(used), fingerprint }))))
    }

    /// SHA-256 of the certificate in use.
    pub fn fingerprint(&self) -> String {
        self.held().fingerprint.clone()
    }

    /// Takes the certificate of these files from now on, for new connections.
    ///
    /// # Errors
    /// What is wrong with them; then the one in use stays.
    pub fn take(&self, files: CertificateFiles) -> Result<(), TlsError> {
        let seen = files.look();
        let read = files.read();
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (used, fingerprint) = match read {
            Ok(read) => read,
            Err(error) => {
                held.seen = seen;
                return Err(error);
            }
        };
        if fingerprint != held.fingerprint {
            tracing::info!(tls.fingerprint = fingerprint, "the certificate was exchanged");
        }
        *held = Held { files, seen, used: Arc::new(used), fingerprint };
        Ok(())
    }

    /// Takes the certificate anew whenever its files have changed, until `stop` fires.
    pub async fn watch(self, stop: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if let Err(error) = self.take_changed() {
                tracing::error!(%error, "a changed certificate is not taken; the one before stays in use");
            }
        }
    }

    /// Takes the certificate anew if its files have changed since they were read.
    fn take_changed(&self) -> Result<(), TlsError> {
        let (files, seen) = {
            let held = self.held();
            (held.files.clone(), held.seen)
        };
        let look = files.look();
        if look.is_some() && look != seen { self.take(files) } else { Ok(()) }
    }

    fn held(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server needs: TLS 1.2 and 1.3 over ring.
    pub(crate) fn server_config(&self) -> Result<RustlsConfig, rustls::Error> {
        let versions = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(RustlsConfig::from_config(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.held().used.clone())
    }
}
