//! One TCP connect, judged: what each outcome says about the target, and what it says only about this machine.

use super::pace::{Pace, Slot};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often a probe is tried again when this machine is short of something, and the pause that grows with each try.
const SHORTAGE_TRIES: u32 = 12;
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

/// How often a connection to itself is tried again; a second one in a row has the odds of a free port picked twice.
const SELF_TRIES: u32 = 3;

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
            Ok(descriptor) => connect(target, patience)
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

async fn connect(target: SocketAddr, patience: Duration) -> Result<TcpStream, Failure> {
    let socket = start(target).map_err(|error| judge_local(&error))?;
    let stream = TcpStream::from_std(socket.into()).map_err(|error| judge_local(&error))?;
    match tokio::time::timeout(patience, stream.writable()).await {
        Err(_) => return Err(Failure::Silent),
        Ok(Err(error)) => return Err(judge_answer(&error)),
        Ok(Ok(())) => {}
    }
    judge_stream(stream)
}

/// Sends the first packet. Closing resets, so that a large scan leaves no ports waiting on this machine.
fn start(target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), Some(socket2::Protocol::TCP))?;
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&target.into()) {
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
