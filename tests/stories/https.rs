//! HTTPS: a certificate of one's own at the first start, pinned by a client, exchanged while it serves, never without need.

use crate::harness::{Answer, Mesh, PASSWORD, as_soon_as, ask, ask_tls, connect, portdrift, request, set_up, told};
use rustls::version::{TLS12, TLS13};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Writes the configuration of a coordinator that is set up next.
pub(crate) fn configure(hub: &Path, text: &str) {
    std::fs::DirBuilder::new().mode(0o700).create(hub).unwrap();
    std::fs::write(hub.join("portdrift.toml"), text).unwrap();
}

/// Where a dashboard listens, from its URL.
pub(crate) fn address_of(url: &str) -> SocketAddr {
    url.split('/').nth(2).unwrap().parse().unwrap()
}

fn sign_in(ask: impl Fn(&str) -> io::Result<Answer>) -> Answer {
    let form = format!("name=ada&password={}", PASSWORD.replace(' ', "+"));
    ask(&request("POST", "localhost", "/auth/login", "", &form)).unwrap()
}

#[test]
fn a_client_that_pins_the_certificate_speaks_https_and_follows_its_exchange() {
    let mesh = Mesh::start_on(|hub| configure(hub, "[tls]\nmode = \"on\"\n"), &[]);
    assert!(mesh.dashboard().starts_with("https://127.0.0.1:"), "{}", mesh.dashboard());
    let (address, folder) = (address_of(mesh.dashboard()), mesh.hub().join("tls"));
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let printed = mesh.coordinator.line("certificate  ");
    assert_eq!(printed.matches(':').count(), 31, "{printed}");
    let login = request("GET", "localhost", "/auth/login", "", "");
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let page = ask_tls(address, &certificate, versions, &login).unwrap();
        assert_eq!((page.status, page.header("strict-transport-security")), (200, "max-age=31536000"));
    }
    let signed_in = sign_in(|text| ask_tls(address, &certificate, &[&TLS13], text));
    let cookie = signed_in.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("__Host-session=") && cookie.contains("Secure") && cookie.contains("Path=/"),
        "{cookie}"
    );
    let general = request("GET", "localhost", "/settings/general", cookie.split(';').next().unwrap(), "");
    let general = ask_tls(address, &certificate, &[&TLS13], &general).unwrap();
    assert!(general.body.contains(printed.split_whitespace().last().unwrap()), "the page shows another fingerprint");

    let plain = ask(connect(address).unwrap(), &login).unwrap();
    assert!(plain.status == 400 && plain.body.contains("write https://"), "{plain:?}");

    // A new certificate at SIGHUP: who pinned the old one notices, who pins the new one goes on.
    let kept = mesh.home().join("kept");
    std::fs::rename(&folder, &kept).unwrap();
    mesh.coordinator.hang_up();
    mesh.coordinator.line("the certificate was exchanged");
    assert!(ask_tls(address, &kept.join("certificate.pem"), &[&TLS13], &login).is_err());
    assert_eq!(ask_tls(address, &certificate, &[&TLS13], &login).unwrap().status, 200);

    // And when the files change, without being told.
    std::fs::copy(kept.join("key.pem"), &key).unwrap();
    std::fs::copy(kept.join("certificate.pem"), &certificate).unwrap();
    as_soon_as(|| match ask_tls(address, &kept.join("certificate.pem"), &[&TLS13], &login) {
        Ok(page) if page.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn plain_http_is_refused_where_others_can_listen() {
    let home = tempfile::tempdir().unwrap();
    let hub = home.path().join("hub");
    set_up(home.path(), &hub, "127.0.0.1:0".parse().unwrap());
    let run = |words: &[&str], mode: &str| {
        let mut command = portdrift(home.path());
        command.args(["coordinator", "run", "--http", "198.18.0.1:5000"]).args(words).arg("--dir").arg(&hub);
        told(&command.env("PORTDRIFT_TLS__MODE", mode).output().unwrap())
    };
    let refused = run(&[], "off");
    assert!(refused.contains("--http: web.listen: plain HTTP at 198.18.0.1:5000"), "{refused}");
    assert!(refused.contains("--insecure-http"), "{refused}");
    // With TLS or with permission it goes on, up to the address that this machine does not have.
    for (words, mode) in [(&[][..], "auto"), (&["--insecure-http"], "off")] {
        let tried = run(words, mode);
        assert!(tried.contains("the dashboard cannot listen at 198.18.0.1:5000"), "{tried}");
    }
    assert!(hub.join("tls/certificate.pem").exists(), "the first start over TLS makes a certificate");
}
