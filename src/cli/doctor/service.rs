//! What a coordinator is configured to do on this machine, and whether it can: its settings, certificate and ports.

use super::Finding;
use crate::cli::config::ConfigSource;
use coordinator::config::{Config, ConfigError, Configuration};
use coordinator::settings::Settings;
use protocol::Timestamp;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use web::tls::{CertificateFiles, Certificates};

/// A certificate that ends sooner is told of.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Every fault of the configuration, or that there is none; with what was read.
pub(super) fn configuration(source: &ConfigSource) -> (Vec<Finding>, Option<Configuration>) {
    match source.read() {
        Ok(read) => {
            let file =
                read.file().map_or_else(|| "no file, the defaults".to_owned(), |file| file.display().to_string());
            (vec![Finding::ok("configuration", file)], Some(read))
        }
        Err(error) => {
            let told = match error.downcast_ref::<ConfigError>() {
                Some(ConfigError(faults)) => {
                    faults.iter().map(|fault| Finding::fault("configuration", fault)).collect()
                }
                None => vec![Finding::fault("configuration", format!("{error:#}"))],
            };
            (told, None)
        }
    }
}

/// The certificate of a dashboard that speaks TLS; nothing where it does not.
pub(super) fn certificate(config: &Config, dir: &Path, is_tls: bool, now: Timestamp) -> Option<Finding> {
    if !is_tls {
        return None;
    }
    let own = dir.join("tls");
    let files = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => {
            CertificateFiles { certificate: certificate.as_path().into(), key: key.as_path().into() }
        }
        (_, _) => CertificateFiles { certificate: own.join("certificate.pem"), key: own.join("key.pem") },
    };
    if config.tls.certificate.is_none() && !files.certificate.exists() {
        return Some(Finding::ok("certificate", "a self-signed one is made at the first start"));
    }
    let ends = files.ends().and_then(|ends| Certificates::load(files.clone()).map(|_| ends));
    Some(match ends {
        Ok(ends) => ending(&files.certificate, ends, now),
        Err(error) => Finding::fault("certificate", error),
    })
}

fn ending(file: &Path, ends: Timestamp, now: Timestamp) -> Finding {
    let remedy = "put a new one in its place; a running coordinator takes it by itself";
    let file = file.display();
    match ends {
        ends if ends <= now => Finding::fault("certificate", format!("{file} ended at {ends}")).remedy(remedy),
        ends if ends <= now.plus(SOON) => {
            Finding::warning("certificate", format!("{file} ends at {ends}")).remedy(remedy)
        }
        ends => Finding::ok("certificate", format!("{file} is good until {ends}")),
    }
}

/// Whether a coordinator that is not running could listen where it is to.
pub(super) fn ports(settings: &Settings) -> Vec<Finding> {
    let places = [("nodes", settings.mesh), ("joining", settings.enrolment()), ("dashboard", settings.http)];
    places.into_iter().map(|(what, place)| port(what, place)).collect()
}

fn port(what: &str, place: SocketAddr) -> Finding {
    if place.port() == 0 {
        return Finding::ok("ports", format!("{what}: any free one at {}", place.ip()));
    }
    let error = match TcpListener::bind(place) {
        Ok(_) => return Finding::ok("ports", format!("{what}: {place} is free")),
        Err(error) => error,
    };
    let found = Finding::fault("ports", format!("{what}: {place} cannot be used: {error}"));
    let who = format!("`ss -ltnp sport = :{}` names who has it", place.port());
    let remedies = [
        (io::ErrorKind::AddrInUse, who.as_str()),
        (io::ErrorKind::AddrNotAvailable, "choose an address of this machine"),
        (io::ErrorKind::PermissionDenied, "choose a port from 1024 on"),
    ];
    match remedies.into_iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, remedy)) => found.remedy(remedy),
        None => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::NamedFile;
    use web::tls::self_signed;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn a_certificate_is_told_by_when_it_ends() {
        let file = Path::new("/etc/c.pem");
        let lines = [0, 20, 40].map(|days| ending(file, NOW.plus(Duration::from_secs(days * 86_400)), NOW).line());
        insta::assert_snapshot!(lines.join("\n"), @"
        fault | certificate | /etc/c.pem ended at 2026-01-01T00:00:00.000Z; put a new one in its place; a running coordinator takes it by itself
        warning | certificate | /etc/c.pem ends at 2026-01-21T00:00:00.000Z; put a new one in its place; a running coordinator takes it by itself
        ok | certificate | /etc/c.pem is good until 2026-02-10T00:00:00.000Z
        ");
    }

    #[test]
    fn the_self_signed_certificate_is_looked_at_where_tls_is_spoken() {
        let temporary = tempfile::tempdir().unwrap();
        let line = |is_tls| certificate(&Config::default(), temporary.path(), is_tls, NOW).map(|found| found.line());
        assert_eq!(line(false), None);
        assert!(line(true).unwrap().contains("is made at the first start"));
        let files = self_signed(&temporary.path().join("tls"), &["localhost".to_owned()], NOW).unwrap();
        assert!(line(true).unwrap().ends_with("is good until 2036-01-01T00:00:00.000Z"));
        std::fs::write(files.key, "").unwrap();
        assert!(line(true).unwrap().starts_with("fault | certificate | "));
    }

    #[test]
    fn a_port_is_free_or_somebody_has_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = held.local_addr().unwrap();
        let busy = port("nodes", place).line();
        assert!(busy.starts_with("fault | ports | nodes: ") && busy.contains("ss -ltnp"), "{busy}");
        drop(held);
        assert_eq!(port("nodes", place).line(), format!("ok | ports | nodes: {place} is free"));
        assert!(port("nodes", SocketAddr::from(([127, 0, 0, 1], 0))).line().contains("any free one"));
        // Kept for documents, so no machine has it. Source: RFC 5737.
        assert!(port("nodes", SocketAddr::from(([192, 0, 2, 1], 9_430))).line().contains("an address of this machine"));
    }

    #[test]
    fn each_fault_of_the_configuration_has_a_line() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("portdrift.toml"), "[web]\nlisten = \"x\"\nhotsts = []\n").unwrap();
        let (told, read) = configuration(&ConfigSource::new(NamedFile::default(), temporary.path(), Vec::new()));
        assert!(read.is_none() && !told.is_empty());
        assert!(told.iter().all(|fault| fault.line().starts_with("fault | configuration | ")), "{told:?}");
    }
}
