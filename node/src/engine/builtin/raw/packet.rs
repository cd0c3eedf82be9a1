//! The packets that are sent and the ones that come back, as bytes. Pure.
//!
//! What comes back was written by strangers: what is cut, odd or no answer to a probe at all is `None`. Whether an
//! answer is one to ours is for [`super::proof`] to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// IP protocol numbers.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP6: u8 = 58;

/// Flags of a TCP segment.
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A packet that is ready to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// A whole IPv4 packet with a SYN in it; the kernel adds the header's checksum and identification.
    Syn4([u8; 44]),
    /// A SYN, for the kernel to put an IPv6 header around it.
    Syn6([u8; 24]),
    /// An ICMP or ICMPv6 echo request; of the latter the kernel adds the checksum.
    Echo([u8; 8]),
}

/// Why there is no way to a port, as a device on the way or the host itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unreached {
    Net,
    Host,
    Protocol,
    Port,
    NetProhibited,
    HostProhibited,
    AdminProhibited,
}

/// An answer as it stands in its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A SYN-ACK, or a reset that acknowledges.
    Tcp { from: SocketAddr, to: u16, acknowledged: u32, is_open: bool },
    /// A refusal that quotes a SYN.
    Unreachable { target: SocketAddr, source: u16, sequence: u32, why: Unreached },
    /// The answer to an echo request.
    Echo { from: IpAddr, token: u32 },
    /// A refusal that quotes an echo request.
    EchoUnreachable { target: IpAddr, token: u32, why: Unreached },
}

impl Packet {
    /// The SYN from `source` to `target`. The checksum is ours: no device is trusted to make it.
    pub(super) fn syn(source: SocketAddr, target: SocketAddr, sequence: u32) -> Self {
        let ports = (source.port(), target.port());
        let bare = segment(ports, sequence, 0);
        let sum = match (source.ip(), target.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => words(&from.octets()) + words(&to.octets()),
            (from, to) => words(&octets6(from)) + words(&octets6(to)),
        };
        let segment = segment(ports, sequence, checksum(sum + u32::from(TCP) + 24 + words(&bare)));
        match (source.ip(), target.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Self::Syn4(whole(from, to, segment)),
            (_, _) => Self::Syn6(segment),
        }
    }

    /// The echo request with `token` as its identifier and sequence number.
    pub(super) fn echo(target: IpAddr, token: u32) -> Self {
        let kind = if target.is_ipv4() { 8 } else { 128 };
        let [a, b, c, d] = token.to_be_bytes();
        let [high, low] = checksum(words(&[kind, 0, 0, 0, a, b, c, d])).to_be_bytes();
        Self::Echo([kind, 0, high, low, a, b, c, d])
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Syn4(bytes) => bytes,
            Self::Syn6(bytes) => bytes,
            Self::Echo(bytes) => bytes,
        }
    }
}

/// A SYN that offers the usual segment size, as every operating system does.
fn segment((source, target): (u16, u16), sequence: u32, checksum: u16) -> [u8; 24] {
    let ([s0, s1], [t0, t1]) = (source.to_be_bytes(), target.to_be_bytes());
    let ([q0, q1, q2, q3], [c0, c1]) = (sequence.to_be_bytes(), checksum.to_be_bytes());
    [s0, s1, t0, t1, q0, q1, q2, q3, 0, 0, 0, 0, 0x60, SYN, 4, 0, c0, c1, 0, 0, 2, 4, 0x05, 0xb4]
}

/// An IPv4 header that forbids fragments, and the segment.
fn whole(from: Ipv4Addr, to: Ipv4Addr, segment: [u8; 24]) -> [u8; 44] {
    let ([f0, f1, f2, f3], [t0, t1, t2, t3]) = (from.octets(), to.octets());
    let header = [0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, TCP, 0, 0, f0, f1, f2, f3, t0, t1, t2, t3];
    let mut packet = [0; 44];
    packet.iter_mut().zip(header.into_iter().chain(segment)).for_each(|(place, byte)| *place = byte);
    packet
}

fn octets6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

/// The sum of the 16-bit words of `bytes`, whose number is even.
fn words(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(u16::from_be_bytes).map(u32::from).sum()
}

/// The internet checksum of a sum of words. Source: RFC 1071.
fn checksum(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    let folded = (once & 0xffff) + (once >> 16);
    !u16::try_from(folded & 0xffff).unwrap_or(0)
}

impl Unreached {
    /// nmap's word.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Net => "net-unreach",
            Self::Host => "host-unreach",
            Self::Protocol => "proto-unreach",
            Self::Port => "port-unreach",
            Self::NetProhibited => "net-prohibited",
            Self::HostProhibited => "host-prohibited",
            Self::AdminProhibited => "admin-prohibited",
        }
    }

    /// Codes of "destination unreachable" that tell of a filter or of no way. Source: RFC 792, RFC 1122, RFC 1812.
    fn of_icmp(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Net,
            1 => Self::Host,
            2 => Self::Protocol,
            3 => Self::Port,
            9 => Self::NetProhibited,
            10 => Self::HostProhibited,
            13 => Self::AdminProhibited,
            _ => return None,
        })
    }

    /// The same of ICMPv6. Source: RFC 4443, section 3.1.
    fn of_icmp6(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Net,
            1 | 5 => Self::AdminProhibited,
            3 => Self::Host,
            4 => Self::Port,
            6 => Self::NetProhibited,
            _ => return None,
        })
    }
}

/// Reads what the IPv4 sockets take in: a packet with its header.
pub(super) fn read4(packet: &[u8]) -> Option<Heard> {
    let (from, _, protocol, body) = header4(packet)?;
    match protocol {
        TCP => read_segment(from.into(), body),
        ICMP => match body.get(..2)? {
            [0, 0] => Some(Heard::Echo { from: from.into(), token: long(body, 4)? }),
            [3, code] => quoted4(body.get(8..)?, Unreached::of_icmp(*code)?),
            _ => None,
        },
        _ => None,
    }
}

/// Reads what the IPv6 sockets take in: what follows the header of a packet from `from`.
pub(super) fn read6(from: Ipv6Addr, protocol: Protocol6, body: &[u8]) -> Option<Heard> {
    match protocol {
        Protocol6::Tcp => read_segment(from.into(), body),
        Protocol6::Icmp => match body.get(..2)? {
            [129, 0] => Some(Heard::Echo { from: from.into(), token: long(body, 4)? }),
            [1, code] => quoted6(body.get(8..)?, Unreached::of_icmp6(*code)?),
            _ => None,
        },
    }
}

/// Which of the IPv6 sockets took a packet in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol6 {
    Tcp,
    Icmp,
}

fn read_segment(from: IpAddr, segment: &[u8]) -> Option<Heard> {
    let (port, to, acknowledged) = (short(segment, 0)?, short(segment, 2)?, long(segment, 8)?);
    let is_open = match segment.get(13)? & (SYN | RST | ACK) {
        flags if flags == SYN | ACK => true,
        flags if flags == RST | ACK => false,
        _ => return None,
    };
    Some(Heard::Tcp { from: SocketAddr::new(from, port), to, acknowledged, is_open })
}

/// Reads the packet of ours that an ICMP message quotes.
fn quoted4(quote: &[u8], why: Unreached) -> Option<Heard> {
    let (_, target, protocol, body) = header4(quote)?;
    match protocol {
        TCP => quoted_syn(SocketAddrV4::new(target, short(body, 2)?).into(), body, why),
        ICMP if *body.first()? == 8 => {
            Some(Heard::EchoUnreachable { target: target.into(), token: long(body, 4)?, why })
        }
        _ => None,
    }
}

fn quoted6(quote: &[u8], why: Unreached) -> Option<Heard> {
    let address: [u8; 16] = quote.get(24..40)?.try_into().ok()?;
    let (target, body) = (Ipv6Addr::from(address), quote.get(40..)?);
    if quote.first()? >> 4 != 6 {
        return None;
    }
    match *quote.get(6)? {
        TCP => quoted_syn(SocketAddrV6::new(target, short(body, 2)?, 0, 0).into(), body, why),
        ICMP6 if *body.first()? == 128 => {
            Some(Heard::EchoUnreachable { target: target.into(), token: long(body, 4)?, why })
        }
        _ => None,
    }
}

fn quoted_syn(target: SocketAddr, segment: &[u8], why: Unreached) -> Option<Heard> {
    Some(Heard::Unreachable { target, source: short(segment, 0)?, sequence: long(segment, 4)?, why })
}

/// Source, target, protocol and body of a packet that is no later fragment.
fn header4(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, u8, &[u8])> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || length < 20 || short(packet, 6)? & 0x1fff != 0 {
        return None;
    }
    let (from, to) = (Ipv4Addr::from(long(packet, 12)?), Ipv4Addr::from(long(packet, 16)?));
    Some((from, to, *packet.get(9)?, packet.get(length..)?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
