//! One TCP connect, judged: what each outcome says about the target, and what it says only about this machine.

use super::pace::{Pace, Slot};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often a probe is tried again when this machine is short of something, and the pause that grows with each try.
const SHORTAGE_TRIES: u32 = 12;
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

/// How often a connection to itself is tried again; a second one in a row has the odds of a free port picked twice.
const SELF_TRIES: u32 = 3;

/// Sockets that are kept for the next connect at most; each is a descriptor more.
const SPARES: usize = 32;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The host answered that nothing listens.
    Refused,
    /// It accepted and cut the connection at once: something listens.
    Reset,
    /// A host or a device on the way answered that there is no way; nmap's word for it.
    Unreachable(&'static str),
    /// No answer in time.
    Silent,
    /// This machine is out of descriptors, ports or memory. Says nothing about the target.
    Shortage(Errno),
    /// This machine could not send: no route, or a local rule. Says nothing about the target.
    NotSent(Errno),
    /// The connection met itself. Nothing listened when its port was picked.
    Itself,
}

/// A connection, with its places in the window and among the descriptors.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) place: Place,
}

/// The places of one connection.
pub(crate) struct Place {
    _slot: Slot,
    _descriptor: OwnedSemaphorePermit,
}

/// Opens connections within the pace of one scan and the descriptors of the whole engine.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) pace: Arc<Pace>,
    pub(crate) descriptors: Arc<Semaphore>,
    pub(crate) spares: Arc<Spares>,
}

/// Sockets whose connect was refused at once. They can connect again, which is cheaper than new ones.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<(Domain, Socket)>>);

impl Spares {
    fn take(&self, domain: Domain) -> Option<Socket> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().rposition(|(of, _)| *of == domain)?;
        Some(kept.swap_remove(place).1)
    }

    fn keep(&self, domain: Domain, socket: Socket) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < SPARES {
            kept.push((domain, socket));
        }
    }
}

/// What came of one connect, and how long it took without the waiting for its turn.
pub(crate) struct Dialed {
    pub(crate) result: Result<Connection, Failure>,
    pub(crate) took: Duration,
}

impl Dialer {
    /// Connects to `target`; waits up to `patience` for its answer. Shortages slow the scan down and are tried again.
    pub(crate) async fn dial(&self, target: SocketAddr, patience: Duration) -> Dialed {
        let mut shortages = 0;
        let mut selves = 0;
        loop {
            let dialed = self.dial_once(target, patience).await;
            match dialed.result {
                Err(Failure::Shortage(_)) if shortages < SHORTAGE_TRIES => {
                    shortages += 1;
                    self.pace.lost();
                    tokio::time::sleep(SHORTAGE_PAUSE * shortages).await;
                }
                Err(Failure::Itself) if selves < SELF_TRIES => selves += 1,
                Err(Failure::Itself) => return Dialed { result: Err(Failure::Refused), ..dialed },
                Ok(_) | Err(_) => return dialed,
            }
        }
    }

    async fn dial_once(&self, target: SocketAddr, patience: Duration) -> Dialed {
        let slot = self.pace.slot().await;
        let descriptor = self.descriptors.clone().acquire_owned().await;
        let start = Instant::now();
        let result = match descriptor {
            Ok(descriptor) => connect(target, patience, &self.spares)
                .await
                .map(|stream| Connection { stream, place: Place { _slot: slot, _descriptor: descriptor } }),
            Err(_) => Err(Failure::Shortage(Errno::MFILE)),
        };
        Dialed { result, took: start.elapsed() }
    }
}

/// True when `address` belongs to this machine: loopback, or an address that a socket can be bound to. Sends nothing.
pub(crate) fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// True when this machine could send to `address` now. Sends nothing: connecting a UDP socket only looks the way up.
pub(crate) fn has_way(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9))).is_ok()
}

async fn connect(target: SocketAddr, patience: Duration, spares: &Spares) -> Result<TcpStream, Failure> {
    let domain = Domain::for_address(target);
    let socket = start(target, spares.take(domain)).map_err(|error| judge_local(&error))?;
    // A host nearby has answered by now, and that spares the watching.
    if let Some(error) = socket.take_error().map_err(|error| judge_local(&error))? {
        let failure = judge_answer(&error);
        if failure == Failure::Refused {
            spares.keep(domain, socket);
        }
        return Err(failure);
    }
    let stream = TcpStream::from_std(socket.into()).map_err(|error| judge_local(&error))?;
    match tokio::time::timeout(patience, stream.writable()).await {
        Err(_) => return Err(Failure::Silent),
        Ok(Err(error)) => return Err(judge_answer(&error)),
        Ok(Ok(())) => {}
    }
    judge_stream(stream)
}

/// Sends the first packet. Closing resets, so that a large scan leaves no ports waiting on this machine.
fn start(target: SocketAddr, spare: Option<Socket>) -> io::Result<Socket> {
    let was_refused = spare.is_some();
    let socket = match spare {
        Some(socket) => socket,
        None => {
            let kind = Type::STREAM.nonblocking();
            let socket = Socket::new(Domain::for_address(target), kind, Some(socket2::Protocol::TCP))?;
            socket.set_linger(Some(Duration::ZERO))?;
            socket
        }
    };
    let mut connected = socket.connect(&target.into());
    // After a refusal that was asked for later, the first connect only ends the old one.
    if was_refused && connected.as_ref().is_err_and(|error| Errno::from_io_error(error) == Some(Errno::CONNABORTED)) {
        connected = socket.connect(&target.into());
    }
    match connected {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// A writable socket has an answer: a connection, an error, or itself.
fn judge_stream(stream: TcpStream) -> Result<TcpStream, Failure> {
    if let Some(error) = stream.take_error().map_err(|error| judge_local(&error))? {
        return Err(judge_answer(&error));
    }
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) if local == peer => Err(Failure::Itself),
        (Ok(_), Ok(_)) => Ok(stream),
        // Connected, and cut before we could look.
        (Err(error), _) | (_, Err(error)) => match Errno::from_io_error(&error) {
            Some(Errno::NOTCONN | Errno::CONNRESET) => Err(Failure::Reset),
            errno => Err(Failure::NotSent(errno.unwrap_or(Errno::IO))),
        },
    }
}

/// An error from the first packet itself. On loopback the answer can be so fast that it comes here.
fn judge_local(error: &io::Error) -> Failure {
    match Errno::from_io_error(error).unwrap_or(Errno::IO) {
        Errno::CONNREFUSED => Failure::Refused,
        Errno::CONNRESET | Errno::PIPE => Failure::Reset,
        errno if is_shortage(errno) => Failure::Shortage(errno),
        errno => Failure::NotSent(errno),
    }
}

/// An error that came back later: the network said so.
fn judge_answer(error: &io::Error) -> Failure {
    match Errno::from_io_error(error).unwrap_or(Errno::IO) {
        Errno::CONNREFUSED => Failure::Refused,
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => Failure::Reset,
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Failure::Unreachable("host-unreach"),
        Errno::NETUNREACH => Failure::Unreachable("net-unreach"),
        Errno::ACCESS | Errno::PERM => Failure::Unreachable("admin-prohibited"),
        Errno::PROTO | Errno::NOPROTOOPT | Errno::OPNOTSUPP => Failure::Unreachable("proto-unreach"),
        Errno::TIMEDOUT => Failure::Silent,
        errno if is_shortage(errno) => Failure::Shortage(errno),
        errno => Failure::NotSent(errno),
    }
}

fn is_shortage(errno: Errno) -> bool {
    [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
        Errno::ADDRINUSE,
        Errno::AGAIN,
        Errno::NOSPC,
    ]
    .contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_before_sending_says_nothing_about_the_target_and_a_later_one_does() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for (errno, local, answer) in [
            (Errno::CONNREFUSED, Failure::Refused, Failure::Refused),
            (Errno::CONNRESET, Failure::Reset, Failure::Reset),
            (Errno::NETUNREACH, Failure::NotSent(Errno::NETUNREACH), Failure::Unreachable("net-unreach")),
            (Errno::HOSTUNREACH, Failure::NotSent(Errno::HOSTUNREACH), Failure::Unreachable("host-unreach")),
            (Errno::ACCESS, Failure::NotSent(Errno::ACCESS), Failure::Unreachable("admin-prohibited")),
            (Errno::MFILE, Failure::Shortage(Errno::MFILE), Failure::Shortage(Errno::MFILE)),
            (Errno::ADDRNOTAVAIL, Failure::Shortage(Errno::ADDRNOTAVAIL), Failure::Shortage(Errno::ADDRNOTAVAIL)),
            (Errno::TIMEDOUT, Failure::NotSent(Errno::TIMEDOUT), Failure::Silent),
            (Errno::NETDOWN, Failure::NotSent(Errno::NETDOWN), Failure::NotSent(Errno::NETDOWN)),
        ] {
            assert_eq!((judge_local(&error(errno)), judge_answer(&error(errno))), (local, answer), "{errno:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_meets_itself_is_not_open() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&"127.77.0.9:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).expect("TCP lets a socket connect to itself");
        socket.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(socket.into()).unwrap();
        assert_eq!(judge_stream(stream).expect_err("itself"), Failure::Itself);
    }

    #[tokio::test]
    async fn after_a_refusal_the_same_socket_connects_again_though_its_first_try_is_aborted() {
        let listener = std::net::TcpListener::bind("127.77.0.10:0").unwrap();
        let (open, closed) = (listener.local_addr().unwrap(), "127.77.0.10:1".parse().unwrap());
        let refused = || {
            let socket = start(closed, None).unwrap();
            let mut error = None;
            while error.is_none() {
                error = socket.take_error().unwrap();
            }
            assert_eq!(judge_answer(&error.unwrap()), Failure::Refused);
            socket
        };
        let aborted = refused().connect(&open.into()).expect_err("the kernel ends the old connect first");
        assert_eq!(Errno::from_io_error(&aborted), Some(Errno::CONNABORTED));
        let again = start(open, Some(refused())).unwrap();
        again.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(again.into()).unwrap();
        stream.writable().await.unwrap();
        assert_eq!(judge_stream(stream).unwrap().peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn a_refused_socket_is_kept_and_used_for_the_next_target() {
        let listener = std::net::TcpListener::bind("127.77.0.11:0").unwrap();
        let spares = Spares::default();
        let kept = || spares.0.lock().unwrap().len();
        let mut tries = 0;
        while kept() == 0 {
            // A refusal that comes later is watched, and its socket not kept.
            let refused = connect("127.77.0.11:1".parse().unwrap(), Duration::from_secs(5), &spares).await;
            assert_eq!(refused.expect_err("refused"), Failure::Refused);
            tries += 1;
            assert!(tries < 1_000, "no refusal was there at once");
        }
        let stream = connect(listener.local_addr().unwrap(), Duration::from_secs(5), &spares).await.unwrap();
        assert_eq!((stream.peer_addr().unwrap(), kept()), (listener.local_addr().unwrap(), 0));
    }

    #[test]
    fn every_loopback_address_is_ours_and_a_foreign_one_is_not() {
        assert!(is_own("127.77.3.4".parse().unwrap()) && is_own("::1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn there_is_a_way_to_loopback_and_none_to_where_this_machine_may_not_send() {
        assert!(has_way("127.77.3.4".parse().unwrap()) && has_way("::1".parse().unwrap()));
        // To send to all on the segment takes a right that the socket did not ask for.
        assert!(!has_way("255.255.255.255".parse().unwrap()));
    }
}
