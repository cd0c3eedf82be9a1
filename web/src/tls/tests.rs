//! Certificates: made once, refused with a reason, exchanged when their files change.

use super::*;
use protocol::Timestamp;
use std::os::unix::fs::PermissionsExt;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn made(folder: &Path) -> CertificateFiles {
    self_signed(folder, &["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()], NOW).unwrap()
}

#[test]
fn a_self_signed_certificate_is_made_once_and_its_key_is_closed() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("tls");
    let first = Certificates::load(made(&folder)).unwrap().fingerprint();
    assert_eq!(first, Certificates::load(made(&folder)).unwrap().fingerprint());
    assert_eq!((first.len(), first.matches(':').count()), (95, 31));
    let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("key.pem"), mode("certificate.pem"), mode("")], [0o600, 0o644, 0o700]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_ne!(first, Certificates::load(made(&folder)).unwrap().fingerprint());
}

#[test]
fn what_cannot_be_used_is_told_with_its_file() {
    let temporary = tempfile::tempdir().unwrap();
    let (one, other) = (made(&temporary.path().join("one")), made(&temporary.path().join("other")));
    let write = |name: &str, text: &str| {
        let path = temporary.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let told = |certificate: &Path, key: &Path| {
        let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        let text = Certificates::load(files).unwrap_err().to_string();
        text.replace(temporary.path().to_str().unwrap(), "[DIR]")
    };
    let open = write("open.pem", &std::fs::read_to_string(&one.key).unwrap());
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let faults = [
        told(Path::new("/nowhere/c.pem"), &one.key),
        told(&one.certificate, Path::new("/nowhere/k.pem")),
        told(&write("empty.pem", ""), &one.key),
        told(&one.certificate, &write("text.pem", "hello")),
        told(&one.certificate, &open),
        told(&one.certificate, &other.key),
    ];
    insta::assert_snapshot!(faults.join("\n"), @"
    the certificate /nowhere/c.pem cannot be read: No such file or directory (os error 2)
    the key /nowhere/k.pem cannot be read: No such file or directory (os error 2)
    [DIR]/empty.pem holds no certificate in PEM; write the certificate with its chain into one file and its key into another
    [DIR]/text.pem holds no key in PEM; write the certificate with its chain into one file and its key into another
    the key [DIR]/open.pem can be read by everybody; close it with `chmod o-rwx`
    [DIR]/one/certificate.pem and [DIR]/other/key.pem cannot be used together: keys may not be consistent: KeyMismatch
    ");
}

#[test]
fn changed_files_are_taken_and_bad_ones_are_told_once() {
    let temporary = tempfile::tempdir().unwrap();
    let (used, next) = (made(&temporary.path().join("used")), made(&temporary.path().join("next")));
    let certificates = Certificates::load(used.clone()).unwrap();
    let first = certificates.fingerprint();
    let second = Certificates::load(next.clone()).unwrap().fingerprint();
    // A certificate without its key: the pair does not fit, so the one in use stays.
    std::fs::rename(&next.certificate, &used.certificate).unwrap();
    assert!(matches!(certificates.take_changed(), Err(TlsError::Unusable { .. })));
    certificates.take_changed().unwrap();
    assert_eq!(certificates.fingerprint(), first);
    std::fs::rename(&next.key, &used.key).unwrap();
    certificates.take_changed().unwrap();
    assert_eq!(certificates.fingerprint(), second);
    std::fs::remove_file(&used.certificate).unwrap();
    certificates.take_changed().unwrap();
    assert_eq!(certificates.fingerprint(), second);
}
