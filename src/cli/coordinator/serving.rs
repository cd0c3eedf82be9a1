//! What the dashboard is served with: the names that the machine goes by, and the certificate for them.

use coordinator::config::{Config, HostName};
use protocol::Timestamp;
use std::net::SocketAddr;
use std::path::Path;
use web::Doors;
use web::tls::{CertificateFiles, TlsError, self_signed};

/// The names that the dashboard answers to, and the proxies that it believes.
pub(crate) fn doors(config: &Config, listen: SocketAddr) -> Doors {
    let hosts = config.web.hosts.iter().map(ToString::to_string).chain(machine_names(listen)).collect();
    Doors { hosts, trusted_proxies: config.web.trusted_proxies.clone() }
}

/// The owner's certificate, or a self-signed one in the data folder, which is made if there is none.
pub(crate) fn certificate_files(config: &Config, dir: &Path, listen: SocketAddr) -> Result<CertificateFiles, TlsError> {
    if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) {
        return Ok(CertificateFiles { certificate: certificate.as_path().into(), key: key.as_path().into() });
    }
    let at_home = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let names: Vec<String> = doors(config, listen).hosts.into_iter().chain(at_home).collect();
    self_signed(&dir.join("tls"), &names, Timestamp::now())
}

/// Where a browser finds the dashboard.
pub(crate) fn url(config: &Config, listen: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let named = doors(config, listen).hosts.into_iter().next().filter(|_| listen.ip().is_unspecified());
    let place = named.map_or_else(|| listen.to_string(), |name| format!("{name}:{}", listen.port()));
    format!("{scheme}://{place}{}", config.web.base_path)
}

/// The machine's own name and addresses at which the dashboard can be reached from outside; none on loopback.
fn machine_names(listen: SocketAddr) -> Vec<String> {
    if listen.ip().is_loopback() {
        return vec![listen.ip().to_string()];
    }
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let hostname = hostname.parse::<HostName>().ok().map(|name| name.to_string());
    let addresses = if listen.ip().is_unspecified() { node::own_addresses() } else { vec![listen.ip()] };
    hostname.into_iter().chain(addresses.iter().map(ToString::to_string)).collect()
}
