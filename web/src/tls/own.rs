//! A self-signed certificate, made once and kept: its owner compares the fingerprint.

use super::{CertificateFiles, TlsError};
use protocol::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How many years it holds; it can be made anew at any time.
const YEARS: i32 = 10;

/// The self-signed certificate in `folder`, made for these names and addresses if there is none.
///
/// # Errors
/// When none can be made or kept.
pub fn self_signed(folder: &Path, names: &[String], now: Timestamp) -> Result<CertificateFiles, TlsError> {
    let files = CertificateFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    if files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let pair = KeyPair::generate()?;
    let certificate = parameters(names, now)?.self_signed(&pair)?;
    let kept = keep(folder, &files, &certificate.pem(), &pair.serialize_pem());
    kept.map_err(|source| TlsError::Keeping { folder: folder.to_owned(), source })?;
    Ok(files)
}

fn parameters(names: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names.to_vec())?;
    parameters.distinguished_name.push(DnType::CommonName, "Portdrift");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let year: i32 = now.to_string().get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970);
    // From the year before on, so that a browser whose clock is behind takes it too.
    (parameters.not_before, parameters.not_after) =
        (date_time_ymd(year - 1, 1, 1), date_time_ymd(year.saturating_add(YEARS), 1, 1));
    Ok(parameters)
}

/// The certificate is written last: where it is, the key is whole.
fn keep(folder: &Path, files: &CertificateFiles, certificate: &str, key: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for (path, text, mode) in [(&files.key, key, 0o600), (&files.certificate, certificate, 0o644)] {
        let draft = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
    }
    File::open(folder)?.sync_all()
}
