//! What answers on an open port: its greeting, or its answer to harmless questions asked side by side.
//!
//! Everything that comes back was written by a stranger: 4 KiB a question and ten seconds a port are all it gets, and parsers
//! return values and never fail. A file per family holds its questions and its parsers.
//!
//! **What changes by itself is not read**: no parser takes an uptime, a counter, a date, a number of a session or a salt
//! into a field, so the same service reads the same each time. Each parser says what it leaves out.

mod certificate;
mod database;
mod found;
mod greeting;
mod http;
mod messages;
mod naming;
mod questions;
mod remote;
mod table;
mod talk;
#[cfg(test)]
mod tests;
mod tls;

use super::auto::PRINTERS;
use super::builtin::ENGINE;
use super::builtin::connect::Dialer;
use super::memory::Memory;
use found::Found;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::observation::{Service, ServiceMethod};
use protocol::text::Text;
use questions::{PROBES, Probe, parse_greeting};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use talk::Answer;
use tokio::time::{Instant, timeout};

/// Time for everything on one port.
const LIMIT: Duration = Duration::from_secs(15);

/// Time for the first connection, before the way is known.
const FIRST_PATIENCE: Duration = Duration::from_secs(4);

/// From this intensity on, every question is asked on every silent port; below, only those that fit its number.
const ASK_ALL: u8 = 2;

/// What nmap calls a port that it has no name for.
const UNKNOWN: &str = "unknown";

/// How long to wait for what, worked out from the round trip of the first connection.
#[derive(Clone, Copy, Debug)]
struct Waits {
    /// For a greeting, before questions are asked too.
    head_start: Duration,
    /// For an answer to the common questions, before all others are asked too.
    pause: Duration,
    /// For the greeting and every question that is asked side by side.
    patience: Duration,
    /// For TLS, when the port has spoken HTTP well.
    grace: Duration,
    /// For each question that is asked alone.
    alone: Duration,
}

impl Waits {
    fn of(trip: Duration) -> Self {
        let wait = |trips: u32, more_ms: u64, most_ms: u64| {
            (trip * trips + Duration::from_millis(more_ms)).min(Duration::from_millis(most_ms))
        };
        Self {
            head_start: wait(4, 150, 1_000),
            pause: wait(4, 250, 1_500),
            patience: wait(10, 3_000, 6_000),
            grace: wait(4, 300, 1_000),
            alone: wait(10, 1_000, 2_000),
        }
    }
}

/// A port that is being asked.
struct Port<'a> {
    dialer: &'a Dialer,
    target: SocketAddr,
    intensity: u8,
    waits: Waits,
}

/// The name that goes with a port number: a guess.
pub(super) fn by_number(port: u16) -> Option<Service> {
    table::name(port).map(|name| Service { name: Text::new(name), ..Service::default() })
}

/// A service that was identified, and how it told what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    way: Way,
    service: Service,
}

/// What made a service tell what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// Nothing: it greets.
    #[default]
    Greeting,
    /// The question at this place of the table.
    Question(usize),
}

/// What answers at `target`; a guess by number when it does not tell, with the shape of what it said. `intensity` is
/// nmap's, 0 to 9. Where `memory` knows a service that answers as before, it is only asked what made it tell then.
pub(super) async fn identify(
    dialer: &Dialer,
    target: SocketAddr,
    intensity: u8,
    memory: &Memory<Known>,
) -> Option<Service> {
    let place = (target, intensity);
    if let Some(known) = memory.recall(place) {
        let answer = timeout(LIMIT, confirm(dialer, target, intensity, known.way)).await.ok().flatten();
        if answer.is_some_and(|found| service(found, target.port()) == known.service) {
            memory.confirm(place);
            return Some(known.service);
        }
    }
    let (way, answer) = timeout(LIMIT, ask(dialer, target, intensity)).await.unwrap_or_default();
    let service = answer.found.map(|found| service(found, target.port()));
    memory.learn(place, service.clone().map(|service| Known { way, service }));
    service.or_else(|| unknown(target.port(), &answer.unknown))
}

/// Makes a service tell as it did before.
async fn confirm(dialer: &Dialer, target: SocketAddr, intensity: u8, way: Way) -> Option<Found> {
    let (mut connection, trip) = talk::connect(dialer, target, Instant::now() + FIRST_PATIENCE).await?;
    let port = Port { dialer, target, intensity, waits: Waits::of(trip) };
    let end = Instant::now() + port.waits.patience;
    let answer = match way {
        Way::Greeting => talk::understand(&mut connection.stream, end, parse_greeting).await,
        Way::Question(place) => {
            let probe = PROBES.get(place)?;
            talk::say(&mut connection.stream, end, &probe.send, probe.read).await
        }
    };
    drop(connection);
    port.with_inside(answer.found?).await
}

/// Asks side by side; where nothing came of it, one by one, for servers that serve one connection at a time.
async fn ask(dialer: &Dialer, target: SocketAddr, intensity: u8) -> (Way, Answer) {
    let Some((mut connection, trip)) = talk::connect(dialer, target, Instant::now() + FIRST_PATIENCE).await else {
        return (Way::default(), Answer::default());
    };
    let port = Port { dialer, target, intensity, waits: Waits::of(trip) };
    let end = Instant::now() + port.waits.patience;
    let listen = async move { talk::understand(&mut connection.stream, end, parse_greeting).await };
    if PRINTERS.contains(&target.port()) {
        return (Way::Greeting, listen.await);
    }
    let (mut way, mut answer) = port.ask_together(listen, end).await;
    // One that said something to the first connection serves more than one.
    if answer.found.is_none()
        && answer.unknown.is_empty()
        && let Some((place, found)) = port.ask_alone().await
    {
        (way, answer.found) = (Way::Question(place), Some(found));
    }
    if let Some(found) = answer.found.take() {
        answer.found = port.with_inside(found).await;
    }
    (way, answer)
}

impl Port<'_> {
    fn fits(&self, probe: &Probe) -> bool {
        probe.ports.contains(&self.target.port())
    }

    /// The places of the questions that are asked first, and of those that are asked when these were not understood.
    fn waves(&self) -> [Vec<usize>; 2] {
        let all = self.intensity >= ASK_ALL;
        let is_first = |probe: &Probe| probe.common && all || self.fits(probe);
        let places = |wanted: &dyn Fn(&Probe) -> bool| -> Vec<usize> {
            PROBES.iter().enumerate().filter(|(_, probe)| wanted(probe)).map(|(place, _)| place).collect()
        };
        [places(&is_first), places(&|probe| all && !probe.rare && !is_first(probe))]
    }

    async fn ask_one(&self, place: usize, end: Instant) -> (usize, Answer) {
        let Some(probe) = PROBES.get(place) else { return (place, Answer::default()) };
        (place, talk::ask(self.dialer, self.target, end, &probe.send, probe.read).await)
    }

    /// Listens, and after a head start asks in two waves. The first answer wins, but HTTP waits for the question for TLS:
    /// such a port may say something in HTTP to whoever comes without TLS, and an error or a way elsewhere is not taken
    /// before that question is answered, however slow that is. Else the same port would be the one thing now and the
    /// other thing then.
    async fn ask_together(&self, listen: impl Future<Output = Answer>, end: Instant) -> (Way, Answer) {
        let mut listen = std::pin::pin!(listen);
        let mut heard = Heard::default();
        if let Ok(greeting) = timeout(self.waits.head_start, &mut listen).await
            && heard.takes_greeting(greeting)
        {
            return heard.into_answer();
        }
        let [first, second] = self.waves();
        heard.wants_tls = first.iter().any(|place| is_tls(*place));
        let mut asked: FuturesUnordered<_> = first.into_iter().map(|place| self.ask_one(place, end)).collect();
        let mut waiting = Some(second);
        let next_wave = Instant::now() + self.waits.pause;
        // A little later, so that what came by the end can still be judged.
        let mut deadline = end + self.waits.grace;
        loop {
            let is_silent = heard.is_listened && asked.is_empty();
            if is_silent && let Some(second) = waiting.take() {
                asked.extend(second.into_iter().map(|place| self.ask_one(place, end)));
            } else if is_silent {
                return heard.into_answer();
            }
            let is_enough = tokio::select! {
                greeting = &mut listen, if !heard.is_listened => heard.takes_greeting(greeting),
                Some((place, answer)) = asked.next() => heard.takes(place, answer),
                () = tokio::time::sleep_until(next_wave), if waiting.is_some() && heard.best.is_none() => {
                    asked.extend(waiting.take().into_iter().flatten().map(|place| self.ask_one(place, end)));
                    false
                }
                () = tokio::time::sleep_until(deadline) => true,
            };
            if is_enough {
                return heard.into_answer();
            }
            if heard.best.as_ref().is_some_and(|(_, best)| !best.may_want_tls) {
                deadline = deadline.min(Instant::now() + self.waits.grace);
            }
        }
    }

    /// The questions that are common or fit the number, one after the other.
    async fn ask_alone(&self) -> Option<(usize, Found)> {
        let [first, _] = self.waves();
        for place in first {
            let (_, answer) = self.ask_one(place, Instant::now() + self.waits.alone).await;
            if let Some(found) = answer.found {
                return Some((place, found));
            }
        }
        None
    }

    /// What was found, or what is inside it when it is TLS.
    async fn with_inside(&self, found: Found) -> Option<Found> {
        Some(if found.tls { self.look_inside(found).await } else { found })
    }

    /// What is spoken inside TLS: a greeting, what fits the number, or HTTP; and whose certificate it is.
    async fn look_inside(&self, outside: Found) -> Found {
        let end = || Instant::now() + self.waits.patience;
        let Some(mut inside) = tls::enter(self.dialer, self.target, end()).await else { return outside };
        let greeting_end = Instant::now() + self.waits.head_start;
        let mut found = talk::understand(&mut inside.stream, greeting_end, parse_greeting).await.found;
        for probe in PROBES.iter().filter(|probe| !probe.common && self.fits(probe)) {
            if found.is_none()
                && let Some(mut other) = tls::enter(self.dialer, self.target, end()).await
            {
                found = talk::say(&mut other.stream, end(), &probe.send, probe.read).await.found;
            }
        }
        for probe in PROBES.iter().filter(|probe| probe.common && !probe.is_tls) {
            if found.is_none() {
                found = talk::say(&mut inside.stream, end(), &probe.send, parse_greeting).await.found;
            }
        }
        let found = found.unwrap_or(outside);
        let certificate = inside.certificate().and_then(certificate::subject).map(|name| format!("certificate {name}"));
        let facts: Vec<String> =
            [found.extra.clone()].into_iter().chain(certificate).filter(|fact| !fact.is_empty()).collect();
        Found { tls: true, ..found }.extra(&facts.join("; "))
    }
}

/// What was heard on one port so far.
#[derive(Default)]
struct Heard {
    best: Option<(Way, Found)>,
    /// What was not understood: of the greeting, or else of the first question in the table that was answered so.
    unknown: Option<(usize, Vec<u8>)>,
    /// Whether the greeting is settled.
    is_listened: bool,
    /// Whether the question for TLS is open.
    wants_tls: bool,
}

impl Heard {
    /// Takes the greeting; true when it tells.
    fn takes_greeting(&mut self, greeting: Answer) -> bool {
        self.is_listened = true;
        self.note(0, greeting.unknown);
        self.best = greeting.found.map(|found| (Way::Greeting, found)).or(self.best.take());
        self.is_enough()
    }

    /// Takes the answer to the question at `place`; true when nothing better can come.
    fn takes(&mut self, place: usize, answer: Answer) -> bool {
        self.wants_tls &= !is_tls(place);
        self.note(place + 1, answer.unknown);
        if let Some(found) = answer.found
            && (self.best.is_none() || !found.is_http())
        {
            self.best = Some((Way::Question(place), found));
        }
        self.is_enough()
    }

    fn is_enough(&self) -> bool {
        self.best.as_ref().is_some_and(|(_, best)| !best.is_http() || !self.wants_tls)
    }

    fn note(&mut self, place: usize, unknown: Vec<u8>) {
        let is_first = self.unknown.as_ref().is_none_or(|(known, _)| place < *known);
        if is_first && !unknown.is_empty() {
            self.unknown = Some((place, unknown));
        }
    }

    fn into_answer(self) -> (Way, Answer) {
        let unknown = self.unknown.map(|(_, bytes)| bytes).unwrap_or_default();
        match self.best {
            Some((way, found)) => (way, Answer { found: Some(found), unknown }),
            None => (Way::default(), Answer { found: None, unknown }),
        }
    }
}

/// True for the question for TLS.
fn is_tls(place: usize) -> bool {
    PROBES.get(place).is_some_and(|probe| probe.is_tls)
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
        by: Text::new(ENGINE),
    }
}

/// A guess by number, with the shape of what was said and not understood.
fn unknown(port: u16, said: &[u8]) -> Option<Service> {
    let shape = found::fingerprint(said);
    if shape.is_empty() {
        return by_number(port);
    }
    let name = Text::new(table::name(port).unwrap_or(UNKNOWN));
    Some(Service { name, extra: Text::new(&format!("says {shape}")), ..Service::default() })
}
