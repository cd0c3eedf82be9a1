//! What answers on an open port: its greeting, or its answer to a few harmless questions asked side by side.
//!
//! Everything that comes back was written by a stranger: 4 KiB a question and ten seconds a port are all it gets, and parsers
//! return values and never fail. A file per family holds its questions and its parsers.

mod database;
mod found;
mod http;
mod mail;
mod remote;
mod table;
mod talk;
#[cfg(test)]
mod tests;
mod tls;

use super::builtin::connect::Dialer;
use found::Found;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::observation::{Service, ServiceMethod};
use protocol::text::Text;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Time for the greeting and the questions that are asked side by side.
const PATIENCE: Duration = Duration::from_secs(4);

/// Time for each question that is asked alone.
const PATIENCE_ALONE: Duration = Duration::from_millis(1_500);

/// Time for everything on one port.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a greeting is waited for before questions are asked too.
const HEAD_START: Duration = Duration::from_millis(400);

/// How long better answers are waited for after the first.
const GRACE: Duration = Duration::from_millis(500);

/// From this intensity on, every question is asked on every silent port; below, only those that fit its number.
const ASK_ALL: u8 = 2;

/// Reads what a service said, once that is enough to tell.
type Parser = fn(&[u8]) -> Option<Found>;

/// A question: what to send, how to read the answer, and where it is asked even at low intensity.
struct Probe {
    send: Send,
    read: Parser,
    ports: &'static [u16],
    /// Whether it is common enough to be asked alone on any port.
    alone: bool,
    /// Whether it is the question for TLS.
    is_tls: bool,
}

impl Probe {
    fn is_due(&self, port: u16, intensity: u8) -> bool {
        intensity >= ASK_ALL || self.ports.contains(&port)
    }
}

/// What a question sends.
enum Send {
    Bytes(&'static [u8]),
    Made(fn() -> Vec<u8>),
}

/// Every question. None of them changes anything, logs in, or leaves more than a line in a log.
const PROBES: [Probe; 5] = [
    Probe {
        send: Send::Made(tls::client_hello),
        read: tls::parse,
        ports: &[443, 465, 636, 853, 989, 990, 993, 995, 8443],
        alone: true,
        is_tls: true,
    },
    Probe {
        send: Send::Bytes(http::REQUEST),
        read: http::parse,
        ports: &[80, 81, 591, 3000, 5000, 8000, 8008, 8080, 8888],
        alone: true,
        is_tls: false,
    },
    Probe {
        send: Send::Bytes(database::REDIS_REQUEST),
        read: database::parse_redis,
        ports: &[6379, 6380],
        alone: false,
        is_tls: false,
    },
    Probe {
        send: Send::Bytes(database::POSTGRES_REQUEST),
        read: database::parse_postgres,
        ports: &[5432, 5433],
        alone: false,
        is_tls: false,
    },
    Probe {
        send: Send::Bytes(remote::RDP_REQUEST),
        read: remote::parse_rdp,
        ports: &[3389],
        alone: false,
        is_tls: false,
    },
];

/// Parsers of greetings, the most telling first.
const GREETINGS: [Parser; 9] = [
    remote::parse_ssh,
    remote::parse_vnc,
    remote::parse_telnet,
    mail::parse_smtp,
    mail::parse_ftp,
    mail::parse_pop3,
    mail::parse_imap,
    database::parse_mysql,
    http::parse,
];

/// The name that goes with a port number: a guess.
pub(super) fn by_number(port: u16) -> Option<Service> {
    table::name(port).map(|name| Service { name: Text::new(name), ..Service::default() })
}

/// What answers at `target`; a guess by number when it does not tell. `intensity` is nmap's, 0 to 9.
pub(super) async fn identify(dialer: &Dialer, target: SocketAddr, intensity: u8) -> Option<Service> {
    let found = tokio::time::timeout(LIMIT, ask(dialer, target, intensity)).await.ok().flatten();
    found.map(|found| service(found, target.port())).or_else(|| by_number(target.port()))
}

/// Asks side by side; where nothing came of it, one by one, for servers that serve one connection at a time.
async fn ask(dialer: &Dialer, target: SocketAddr, intensity: u8) -> Option<Found> {
    if let Some(found) = ask_together(dialer, target, intensity).await {
        return Some(found);
    }
    let fits = |probe: &&Probe| probe.alone || probe.ports.contains(&target.port());
    for probe in PROBES.iter().filter(fits).filter(|probe| probe.is_due(target.port(), intensity)) {
        let found = talk::ask(dialer, target, Instant::now() + PATIENCE_ALONE, probe).await;
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Listens, and after a head start asks side by side. TLS wins over what is said around it; else the first answer wins.
/// An answer that a TLS port may give too is not taken before the question for TLS is answered, however slow that is:
/// else the same port would be the one thing now and the other thing then.
async fn ask_together(dialer: &Dialer, target: SocketAddr, intensity: u8) -> Option<Found> {
    let end = Instant::now() + PATIENCE;
    // A little later, so that what came by the end can still be judged.
    let mut deadline = end + GRACE;
    let mut greeting = std::pin::pin!(talk::listen(dialer, target, end, greeting));
    let mut heard = false;
    if let Ok(found) = tokio::time::timeout(HEAD_START, &mut greeting).await {
        if found.is_some() {
            return found;
        }
        heard = true;
    }
    let fitting = || PROBES.iter().filter(|probe| probe.is_due(target.port(), intensity));
    let ask = async |probe: &Probe| (probe.is_tls, talk::ask(dialer, target, end, probe).await);
    let mut answers: FuturesUnordered<_> = fitting().map(ask).collect();
    let mut tls_is_settled = !fitting().any(|probe| probe.is_tls);
    let mut best: Option<Found> = None;
    loop {
        let (settles_tls, answer) = tokio::select! {
            found = &mut greeting, if !heard => { heard = true; (false, found) }
            Some(answer) = answers.next() => answer,
            () = tokio::time::sleep_until(deadline) => return best,
            else => return best,
        };
        tls_is_settled |= settles_tls;
        match answer {
            Some(found) if found.tls => return Some(found),
            Some(found) if best.is_none() => best = Some(found),
            Some(_) | None => {}
        }
        if best.as_ref().is_some_and(|best| tls_is_settled || !best.may_want_tls) {
            deadline = deadline.min(Instant::now() + GRACE);
        }
    }
}

/// Reads a greeting of any kind.
fn greeting(bytes: &[u8]) -> Option<Found> {
    GREETINGS.iter().find_map(|parse| parse(bytes))
}

fn service(found: Found, port: u16) -> Service {
    let name = if found.name == tls::UNKNOWN_INSIDE { table::name_inside_tls(port) } else { found.name };
    Service {
        name: Text::new(name),
        product: Text::new(&found.product),
        version: Text::new(&found.version),
        extra: Text::new(&found.extra),
        tls: found.tls,
        method: ServiceMethod::Probed,
    }
}
