//! The enrolment port of a member that may sponsor: strangers' requests go to the coordinator as letters, and its answers
//! back to them. It decides nothing but how much it passes on.

use super::{Agent, Engine};
use crate::notice::Notice;
use protocol::envelope::Envelope;
use protocol::identity::NodeId;
use protocol::mesh::{EnrolReply, EnrolRequestArrived, EnrolServer, LetterId, ReplyTo, Turnstile, place};
use protocol::message::{
    EnrolAnswer, EnrolRequest, Enrolment, NEW_KEYS_A_MINUTE, SPONSORED_A_MINUTE, SponsoredAnswer, SponsoredRequest,
};
use protocol::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Strangers that wait for an answer at a time.
const MAX_ASKERS: usize = 128;

/// Keys that the coordinator has answered, which are not counted as new.
const MAX_KNOWN: usize = 1_024;

/// Requests in a minute from one address, so that half is left for the others. A node that waits asks three times.
const ASKS_A_MINUTE: u32 = SPONSORED_A_MINUTE / 2;

/// How long a stranger's request is kept; the coordinator holds it for 20 s, the stranger leaves after 35 s.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// When a port that could not be opened is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(60);

/// The port, and who waits at it.
#[derive(Debug)]
pub(super) struct Sponsor {
    port: Port,
    desk: Desk,
}

#[derive(Debug)]
enum Port {
    Closed,
    /// It could not be opened.
    Failed {
        again: Instant,
    },
    Open(Box<EnrolServer>),
}

/// Who waits, and how much was passed on.
#[derive(Debug)]
struct Desk {
    askers: BTreeMap<NodeId, Asker>,
    known: BTreeSet<NodeId>,
    new_keys: Turnstile<Option<IpAddr>>,
    asks: Turnstile<Option<IpAddr>>,
    letters: Turnstile<()>,
}

#[derive(Debug)]
struct Asker {
    reply: ReplyTo,
    request: SponsoredRequest,
    sent: Option<LetterId>,
    /// Not sent before.
    from: Instant,
    until: Instant,
}

impl Desk {
    fn new() -> Self {
        Self {
            askers: BTreeMap::new(),
            known: BTreeSet::new(),
            new_keys: Turnstile::new(NEW_KEYS_A_MINUTE),
            asks: Turnstile::new(ASKS_A_MINUTE),
            letters: Turnstile::new(SPONSORED_A_MINUTE),
        }
    }

    /// Whether a request of this key, from there, is passed on.
    fn admits(&mut self, key: NodeId, address: Option<IpAddr>, time: Timestamp) -> bool {
        let from = address.map(place);
        let has_room = self.askers.len() < MAX_ASKERS || self.askers.contains_key(&key);
        let is_welcome = self.known.contains(&key) || self.new_keys.admit(from, time);
        has_room && is_welcome && self.asks.admit(from, time)
    }

    /// The coordinator has answered this key.
    fn answered(&mut self, key: NodeId) -> Option<Asker> {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(key);
        self.askers.remove(&key)
    }

    fn due_at(&self) -> Option<Instant> {
        self.askers.values().map(|asker| if asker.sent.is_some() { asker.until } else { asker.from }).min()
    }
}

impl Sponsor {
    pub(super) fn new() -> Self {
        Self { port: Port::Closed, desk: Desk::new() }
    }

    /// The next stranger; never while the port is closed. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> EnrolRequestArrived {
        match &mut self.port {
            Port::Open(server) => server.next().await,
            Port::Closed | Port::Failed { .. } => std::future::pending().await,
        }
    }

    /// A letter was lost: the request goes out again after `wait`.
    pub(super) fn letter_lost(&mut self, id: LetterId, wait: Duration, now: Instant) {
        let asker = self.desk.askers.values_mut().find(|asker| asker.sent == Some(id));
        if let Some(asker) = asker {
            (asker.sent, asker.from) = (None, now + wait);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        match &self.port {
            Port::Open(_) => self.desk.due_at(),
            Port::Failed { again } => Some(*again),
            Port::Closed => None,
        }
    }

    /// Nobody is passed on any more; those who wait are sent away without a word.
    pub(super) fn close(&mut self) -> bool {
        self.desk.askers.clear();
        matches!(std::mem::replace(&mut self.port, Port::Closed), Port::Open(_))
    }
}

impl<E: Engine> Agent<E> {
    /// Opens and closes the port as the roster says.
    pub(super) async fn tend_sponsor(&mut self, time: Timestamp, now: Instant) {
        let member = self.state.roster().member(&self.me).filter(|member| member.is_in(time));
        let may_sponsor = member.is_some_and(|member| member.may_sponsor) && !self.stopping;
        let is_due = match &self.sponsor.port {
            Port::Closed => true,
            Port::Failed { again } => now >= *again,
            Port::Open(_) => false,
        };
        if !may_sponsor {
            if self.sponsor.close() {
                let reason = if self.stopping { "the node stops" } else { "the roster does not allow it any more" };
                self.notices.tell(Notice::NotSponsoring { reason: reason.to_owned() });
            }
        } else if is_due {
            self.open_port(now).await;
        }
    }

    async fn open_port(&mut self, now: Instant) {
        let addresses = enrolment_addresses(&self.listen, &self.mesh.listen_addresses());
        let author = self.post.author();
        let opened = if addresses.is_empty() {
            Err("this node listens nowhere; start it with --listen".to_owned())
        } else {
            let opened = EnrolServer::new(author.keypair(), author.mesh(), addresses).await;
            opened.map_err(|error| error.to_string())
        };
        let is_first = matches!(self.sponsor.port, Port::Closed);
        match opened {
            Ok(server) => {
                tracing::info!(addresses = ?server.listen_addresses(), "requests to join are passed on");
                self.notices.tell(Notice::Sponsoring { addresses: server.listen_addresses() });
                self.sponsor.port = Port::Open(Box::new(server));
            }
            Err(reason) => {
                tracing::warn!(reason, "the enrolment port of this node cannot be opened");
                if is_first {
                    self.notices.tell(Notice::NotSponsoring { reason });
                }
                self.sponsor.port = Port::Failed { again: now + OPEN_AGAIN };
            }
        }
    }

    /// A stranger asks to join.
    pub(super) fn on_stranger(&mut self, arrived: EnrolRequestArrived, time: Timestamp, now: Instant) {
        let EnrolRequestArrived { from, address, envelope, reply } = arrived;
        match envelope.verify::<EnrolRequest>(self.post.author().mesh(), self.hearing.there(now).unwrap_or(time)) {
            Ok(request) if request.sender() == from => {}
            Ok(_) => return tracing::warn!(node.id = %from, "a request in another key's name was dropped"),
            Err(error) => return tracing::debug!(%error, "an unreadable request to join was dropped"),
        }
        let address = address.map(|address| address.ip());
        if !self.sponsor.desk.admits(from, address, time) {
            return tracing::warn!(node.id = %from, ?address, "too many requests to join; one is not passed on");
        }
        let request = SponsoredRequest { request: envelope, address };
        let asker = Asker { reply, request, sent: None, from: now, until: now + KEPT_FOR };
        self.sponsor.desk.askers.insert(from, asker);
    }

    /// Passes on what waits, and lets those go whose time is over.
    pub(super) fn send_requests(&mut self, time: Timestamp, now: Instant) {
        let desk = &mut self.sponsor.desk;
        desk.askers.retain(|_, asker| now < asker.until);
        let is_ready = |asker: &Asker| asker.sent.is_none() && asker.from <= now;
        let ready = desk.askers.iter().filter(|(_, asker)| is_ready(asker));
        let ready: Vec<(NodeId, SponsoredRequest)> = ready.map(|(key, asker)| (*key, asker.request.clone())).collect();
        for (key, request) in ready {
            let sent = if self.sponsor.desk.letters.admit((), time) { self.send(&request, time) } else { None };
            let wait = self.timing.retry_after(1);
            if let Some(asker) = self.sponsor.desk.askers.get_mut(&key) {
                (asker.sent, asker.from) = (sent, now + wait);
            }
        }
    }

    /// The coordinator has answered a stranger. One that was let in is told whom it can dial.
    pub(super) fn on_sponsored_answer(&mut self, answer: SponsoredAnswer, time: Timestamp) {
        let SponsoredAnswer { node, answer } = answer;
        let Some(Asker { reply, .. }) = self.sponsor.desk.answered(node) else { return };
        let cards = if self.lets_in(&answer, time) { self.mesh.introduce() } else { Vec::new() };
        if let Port::Open(server) = &mut self.sponsor.port {
            server.reply(reply, EnrolReply { answer, cards });
        }
    }

    fn lets_in(&self, answer: &Envelope, time: Timestamp) -> bool {
        let answer = answer.verify::<EnrolAnswer>(self.post.author().mesh(), time);
        answer.is_ok_and(|answer| matches!(answer.message().decision, Enrolment::Approved(_)))
    }
}

/// The port after each mesh port; `real` tells which one the system chose where that was left to it.
fn enrolment_addresses(listen: &[SocketAddr], real: &[SocketAddr]) -> Vec<SocketAddr> {
    let chosen = |wanted: &SocketAddr| {
        let ip = wanted.ip();
        let same = |real: &&SocketAddr| real.ip() == ip || ip.is_unspecified() && real.is_ipv4() == wanted.is_ipv4();
        real.iter().find(same).map(SocketAddr::port)
    };
    let port = |wanted: &SocketAddr| if wanted.port() == 0 { chosen(wanted) } else { Some(wanted.port()) };
    let after = |wanted: &SocketAddr| Some(SocketAddr::new(wanted.ip(), port(wanted)?.checked_add(1)?));
    listen.iter().filter_map(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enrolment_port_is_the_one_after_the_mesh_port() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let real = addresses(&["127.0.0.1:4000", "192.0.2.1:4000", "[::1]:4100", "192.0.2.9:9430"]);
        let table = [
            ("192.0.2.9:9430", Some("192.0.2.9:9431")),
            ("0.0.0.0:0", Some("0.0.0.0:4001")),
            ("[::]:0", Some("[::]:4101")),
            ("127.0.0.1:0", Some("127.0.0.1:4001")),
            ("192.0.2.7:0", None),
            ("192.0.2.7:65535", None),
        ];
        for (listen, expected) in table {
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(enrolment_addresses(&addresses(&[listen]), &real), addresses(&expected), "{listen}");
        }
    }

    #[test]
    fn a_flood_of_keys_from_one_address_is_cut_and_shuts_nobody_else_out() {
        let (mut desk, time) = (Desk::new(), Timestamp::from_millis(1_000));
        let key = |number: u8| NodeId::from_bytes([number; 32]);
        let (crowd, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let passed = (0..200).filter(|number| desk.admits(key(*number), crowd, time)).count();
        assert_eq!(passed, usize::try_from(NEW_KEYS_A_MINUTE).unwrap());
        assert!(desk.admits(key(201), other, time));
        assert!(desk.answered(key(202)).is_none());
        assert!(desk.admits(key(202), crowd, time), "the coordinator knows it");
        let again = (0..200).filter(|_| desk.admits(key(202), crowd, time)).count();
        assert_eq!(passed + 1 + again, usize::try_from(ASKS_A_MINUTE).unwrap(), "but it may not ask without end");
        assert!(desk.admits(key(203), other, time));
    }

    #[test]
    fn the_keys_that_are_remembered_are_bounded() {
        let mut desk = Desk::new();
        for number in 0..5_000u16 {
            let [a, b] = number.to_be_bytes();
            let mut bytes = [0; 32];
            (bytes[0], bytes[1]) = (a, b);
            desk.answered(NodeId::from_bytes(bytes));
            assert!(desk.known.len() <= MAX_KNOWN);
        }
    }
}
