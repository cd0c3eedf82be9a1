//! The raw sockets of one scan: what leaves, what comes in, and the ports it comes back to.
//!
//! Raw IP sockets reach 127.0.0.0/8, which packet sockets cannot. The kernel answers a SYN-ACK with a reset by itself,
//! since nothing of ours listens on those ports; so no half-open connection is left behind.

use super::packet::{self, Heard, Packet, Protocol6};
use super::watched::Watched;
use rustix::io::Errno;
use rustix::net::{MMsgHdr, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ports that a scan asks from, one after the other for each try, so that a retry is a new connection to the target.
pub(super) const SOURCE_PORTS: u16 = 16;

/// How often a run of free ports is looked for.
const PORT_TRIES: u32 = 64;

/// Room for answers that wait, as far as the system allows.
const RECEIVE_BYTES: usize = 4 << 20;

/// The most packets of one system call.
pub(super) const BATCH: usize = 64;

/// The longest answer that is read: headers with options, and what an ICMP message quotes.
const LONGEST: usize = 256;

/// The sockets for each family that a scan has targets of.
pub(super) struct Link {
    four: Option<Pair>,
    six: Option<Pair>,
    first_port: u16,
    /// Held, so that the system gives none of the ports to others.
    _ports: Vec<Socket>,
}

/// The raw sockets of one family.
struct Pair {
    tcp: Watched,
    icmp: Watched,
}

impl Link {
    /// Opens what targets of these families need. Fails without the right to.
    pub(super) fn open(four: bool, six: bool) -> io::Result<Self> {
        let (first_port, ports) = reserve(four, six)?;
        let open = |wanted: bool, domain, icmp| wanted.then(|| Pair::open(domain, icmp, first_port)).transpose();
        let (four, six) = (open(four, Domain::IPV4, Protocol::ICMPV4)?, open(six, Domain::IPV6, Protocol::ICMPV6)?);
        Ok(Self { four, six, first_port, _ports: ports })
    }

    /// The port from which try `attempt` is asked.
    pub(super) fn port_of(&self, attempt: u8) -> u16 {
        self.first_port + u16::from(attempt) % SOURCE_PORTS
    }

    /// The try that was asked from `port`.
    pub(super) fn attempt_of(&self, port: u16) -> Option<u8> {
        let attempt = port.checked_sub(self.first_port).filter(|offset| *offset < SOURCE_PORTS)?;
        u8::try_from(attempt).ok()
    }

    /// Sends as many of `packets` as the system takes now; they are all of one kind and family. Gives their number, or
    /// why the first one could not be sent.
    pub(super) fn send(&self, packets: &[(SocketAddr, Packet)]) -> Result<usize, Errno> {
        let Some((target, first)) = packets.first() else { return Ok(0) };
        let pair = if target.is_ipv4() { &self.four } else { &self.six };
        let pair = pair.as_ref().ok_or(Errno::AFNOSUPPORT)?;
        let socket = match first {
            Packet::Echo(_) => &pair.icmp,
            Packet::Syn4(_) | Packet::Syn6(_) => &pair.tcp,
        };
        // Raw sockets take no port; over IPv6 it would be read as a protocol number.
        let targets: Vec<SocketAddrAny> =
            packets.iter().map(|(target, _)| SocketAddr::new(target.ip(), 0).into()).collect();
        let slices: Vec<[IoSlice<'_>; 1]> = packets.iter().map(|(_, packet)| [IoSlice::new(packet.bytes())]).collect();
        let mut control: Vec<SendAncillaryBuffer<'_, '_, '_>> = packets.iter().map(|_| Default::default()).collect();
        let parts = targets.iter().zip(&slices).zip(&mut control);
        let mut messages: Vec<MMsgHdr<'_>> =
            parts.map(|((target, slice), control)| MMsgHdr::new_with_addr(target, slice, control)).collect();
        rustix::net::sendmmsg(socket, &mut messages, SendFlags::DONTWAIT)
    }

    /// Takes what came in, at most `most` packets; true when there may be more.
    pub(super) fn receive(&self, most: usize, mut take: impl FnMut(Heard)) -> bool {
        let mut left = most;
        if let Some(Pair { tcp, icmp }) = &self.four {
            for socket in [tcp, icmp] {
                drain(socket, &mut left, |_, bytes| packet::read4(bytes).into_iter().for_each(&mut take));
            }
        }
        if let Some(Pair { tcp, icmp }) = &self.six {
            for (socket, protocol) in [(tcp, Protocol6::Tcp), (icmp, Protocol6::Icmp)] {
                drain(socket, &mut left, |from, bytes| {
                    let heard = from.and_then(|from| packet::read6(from, protocol, bytes));
                    heard.into_iter().for_each(&mut take);
                });
            }
        }
        left == 0
    }

    /// Waits until something came in. What came before must have been taken to its end.
    pub(super) async fn readable(&self) {
        async fn either(pair: Option<&Pair>) {
            let Some(Pair { tcp, icmp }) = pair else { return std::future::pending().await };
            tokio::select! { () = tcp.readable() => {}, () = icmp.readable() => {} }
        }
        tokio::select! { () = either(self.four.as_ref()) => {}, () = either(self.six.as_ref()) => {} }
    }
}

impl Pair {
    fn open(domain: Domain, icmp: Protocol, first_port: u16) -> io::Result<Self> {
        let is_four = domain == Domain::IPV4;
        let open = |protocol, filter: &[SockFilter]| {
            let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
            socket.attach_filter(filter)?;
            if protocol == Protocol::TCP && is_four {
                socket.set_header_included_v4(true)?;
            }
            // As much as the system allows; less costs retries.
            let _ = socket.set_recv_buffer_size(RECEIVE_BYTES);
            Watched::new(socket)
        };
        Ok(Self { tcp: open(Protocol::TCP, &to_ports(is_four, first_port))?, icmp: open(icmp, &of_kinds(is_four))? })
    }
}

/// Sockets that hold a run of ports whose first is a multiple of their number.
fn reserve(four: bool, six: bool) -> io::Result<(u16, Vec<Socket>)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..PORT_TRIES {
        let random = u16::try_from(getrandom::u32().map_err(io::Error::other)? >> 16).unwrap_or(0);
        // The upper half, where no service is at home; not the very last, so that the run ends below 65,536.
        let first = (random | 0x8000) & !(SOURCE_PORTS - 1);
        match (first..=first + (SOURCE_PORTS - 1)).map(|port| hold(port, four, six)).collect::<io::Result<Vec<_>>>() {
            Ok(held) => return Ok((first, held.into_iter().flatten().collect())),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn hold(port: u16, four: bool, six: bool) -> io::Result<Vec<Socket>> {
    let any = [(four, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), (six, IpAddr::V6(Ipv6Addr::UNSPECIFIED))];
    let bind = |(_, address): (bool, IpAddr)| {
        let target = SocketAddr::new(address, port);
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&target.into())?;
        Ok(socket)
    };
    any.into_iter().filter(|(wanted, _)| *wanted).map(bind).collect()
}

/// Reads what waits at `socket`, `left` packets at most.
fn drain(socket: &Watched, left: &mut usize, mut take: impl FnMut(Option<Ipv6Addr>, &[u8])) {
    let mut buffer = [0; LONGEST];
    while *left > 0 {
        // Any error ends it: what the socket has to say comes with the next packet that is sent.
        let Ok((length, _, from)) = rustix::net::recvfrom(socket, &mut buffer, RecvFlags::DONTWAIT) else {
            return;
        };
        *left -= 1;
        let from = from.and_then(|from| match SocketAddr::try_from(from).ok()?.ip() {
            IpAddr::V6(six) => Some(six),
            IpAddr::V4(_) => None,
        });
        take(from, buffer.get(..length).unwrap_or_default());
    }
}

/// Instructions of the kernel's packet filter. Source: linux/bpf_common.h.
mod bpf {
    pub(super) const LOAD_HEADER_LENGTH: u16 = 0xb1;
    pub(super) const LOAD_SHORT_BEHIND_HEADER: u16 = 0x48;
    pub(super) const LOAD_BYTE_BEHIND_HEADER: u16 = 0x50;
    pub(super) const LOAD_SHORT: u16 = 0x28;
    pub(super) const LOAD_BYTE: u16 = 0x30;
    pub(super) const AND: u16 = 0x54;
    pub(super) const IF_EQUAL: u16 = 0x15;
    pub(super) const RETURN: u16 = 0x06;
}

const fn step(code: u16, value: u32) -> SockFilter {
    SockFilter::new(code, 0, 0, value)
}

/// Lets through only segments to our ports, so that the machine's other traffic costs us nothing.
fn to_ports(is_four: bool, first: u16) -> Vec<SockFilter> {
    let length = u32::try_from(LONGEST).unwrap_or(0);
    let load = if is_four {
        vec![step(bpf::LOAD_HEADER_LENGTH, 0), step(bpf::LOAD_SHORT_BEHIND_HEADER, 2)]
    } else {
        vec![step(bpf::LOAD_SHORT, 2)]
    };
    let check = [
        step(bpf::AND, u32::from(!(SOURCE_PORTS - 1))),
        SockFilter::new(bpf::IF_EQUAL, 0, 1, u32::from(first)),
        step(bpf::RETURN, length),
        step(bpf::RETURN, 0),
    ];
    load.into_iter().chain(check).collect()
}

/// Lets through only echo replies and messages of "unreachable".
fn of_kinds(is_four: bool) -> Vec<SockFilter> {
    let length = u32::try_from(LONGEST).unwrap_or(0);
    let (load, [reply, unreachable]) = if is_four {
        (vec![step(bpf::LOAD_HEADER_LENGTH, 0), step(bpf::LOAD_BYTE_BEHIND_HEADER, 0)], [0, 3])
    } else {
        (vec![step(bpf::LOAD_BYTE, 0)], [129, 1])
    };
    let check = [
        SockFilter::new(bpf::IF_EQUAL, 1, 0, reply),
        SockFilter::new(bpf::IF_EQUAL, 0, 1, unreachable),
        step(bpf::RETURN, length),
        step(bpf::RETURN, 0),
    ];
    load.into_iter().chain(check).collect()
}
