//! Who is there on the machine's own segments: ARP, which no firewall of a host keeps quiet about. IPv4 on Ethernet.

use super::watched::Watched;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{LinkAddr, SockaddrStorage, bind};
use protocol::target::TargetSet;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

/// ARP as Ethernet numbers it.
const ETHERTYPE: u16 = 0x0806;

/// Ethernet as ARP numbers it.
const ETHERNET: u16 = 1;

/// The most segments of one machine that are asked on.
const MAX_SEGMENTS: usize = 16;

/// A link address.
pub(in crate::engine::builtin) type Mac = [u8; 6];

/// The machine's Ethernet segments that a scan has targets on.
#[derive(Default)]
pub(super) struct Segments(Vec<Segment>);

struct Segment {
    own: Ipv4Addr,
    mask: u32,
    mac: Mac,
    socket: Watched,
}

impl Segments {
    /// Opens a packet socket on each; one that cannot be opened is left out, and its hosts are asked by other means.
    pub(super) fn open(targets: &TargetSet) -> Self {
        let all: Vec<InterfaceAddress> = getifaddrs().map(Iterator::collect).unwrap_or_default();
        let link = |name: &str| {
            let link = all.iter().find(|one| one.interface_name == name && link_of(one).is_some());
            link.and_then(link_of).copied()
        };
        let wanted = all.iter().filter(|one| speaks_arp(one.flags)).filter_map(|one| {
            let (own, mask) = (ipv4(one.address.as_ref())?, ipv4(one.netmask.as_ref())?.to_bits());
            let (first, last) = (Ipv4Addr::from(own.to_bits() & mask), Ipv4Addr::from(own.to_bits() | !mask));
            let network = TargetSet::from_ranges([(first.into(), last.into())]);
            let has_targets = !network.intersection(targets).is_empty();
            has_targets.then(|| Segment::open(own, mask, &link(&one.interface_name)?)).flatten()
        });
        Self(wanted.take(MAX_SEGMENTS).collect())
    }

    /// Every address on them.
    pub(super) fn addresses(&self) -> TargetSet {
        let network = |segment: &Segment| {
            let (own, mask) = (segment.own.to_bits(), segment.mask);
            (Ipv4Addr::from(own & mask).into(), Ipv4Addr::from(own | !mask).into())
        };
        TargetSet::from_ranges(self.0.iter().map(network))
    }

    /// True when `address` is on one of them.
    pub(super) fn have(&self, address: Ipv4Addr) -> bool {
        self.of(address).is_some()
    }

    /// Asks who has `address`.
    pub(super) fn ask(&self, address: Ipv4Addr) -> rustix::io::Result<()> {
        let Some(segment) = self.of(address) else { return Ok(()) };
        let frame = request(segment.mac, segment.own, address);
        rustix::net::send(&segment.socket, &frame, SendFlags::DONTWAIT).map(drop)
    }

    /// Takes the answers that came in.
    pub(super) fn receive(&self, most: usize, mut take: impl FnMut(Ipv4Addr, Mac)) {
        let mut buffer = [0; 64];
        for segment in &self.0 {
            for _ in 0..most {
                let received = rustix::net::recv(&segment.socket, &mut buffer, RecvFlags::DONTWAIT);
                let Ok((length, _)) = received else { break };
                let answer = buffer.get(..length).and_then(|frame| reply(frame, segment.own));
                answer.into_iter().for_each(|(address, mac)| take(address, mac));
            }
        }
    }

    /// Waits until something came in.
    pub(super) async fn readable(&self) {
        let waits = self.0.iter().map(|segment| Box::pin(segment.socket.readable()));
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(waits).await;
    }

    fn of(&self, address: Ipv4Addr) -> Option<&Segment> {
        self.0.iter().find(|segment| (address.to_bits() ^ segment.own.to_bits()) & segment.mask == 0)
    }
}

impl Segment {
    fn open(own: Ipv4Addr, mask: u32, link: &LinkAddr) -> Option<Self> {
        let open = || -> io::Result<Watched> {
            let protocol = Protocol::from(i32::from(ETHERTYPE.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(protocol))?;
            bind(socket.as_raw_fd(), link)?;
            Watched::new(socket)
        };
        let mac = link.addr().filter(|_| link.halen() == 6)?;
        match open() {
            Ok(socket) => Some(Self { own, mask, mac, socket }),
            Err(error) => {
                tracing::warn!(%error, address = %own, "no packet socket on the segment; its hosts are asked by echo");
                None
            }
        }
    }
}

fn speaks_arp(flags: InterfaceFlags) -> bool {
    let silent = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_NOARP | InterfaceFlags::IFF_POINTOPOINT;
    flags.contains(InterfaceFlags::IFF_UP) && !flags.intersects(silent)
}

fn link_of(interface: &InterfaceAddress) -> Option<&LinkAddr> {
    interface.address.as_ref()?.as_link_addr().filter(|link| link.hatype() == ETHERNET)
}

fn ipv4(address: Option<&SockaddrStorage>) -> Option<Ipv4Addr> {
    Some(address?.as_sockaddr_in()?.ip())
}

/// The frame that asks all on the segment. Source: RFC 826.
fn request(mac: Mac, own: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let all = [0xff; 6];
    let kind = [ETHERTYPE.to_be_bytes(), ETHERNET.to_be_bytes(), [0x08, 0x00], [6, 4], [0, 1]].concat();
    [&all[..], &mac, &kind, &mac, &own.octets(), &[0; 6], &target.octets()].concat()
}

/// Reads an answer to `own`: who has which address.
fn reply(frame: &[u8], own: Ipv4Addr) -> Option<(Ipv4Addr, Mac)> {
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
    let kind = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2];
    let mac: Mac = frame.get(22..28)?.try_into().ok()?;
    let is_ours = frame.get(12..22)? == kind && address(38)? == own;
    is_ours.then_some((address(28)?, mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

    /// What `OTHER` answers to `request`.
    fn answer(mac: Mac) -> Vec<u8> {
        let mut frame = request(mac, OTHER, OWN);
        frame[21] = 2;
        frame
    }

    #[test]
    fn an_answer_to_us_tells_who_has_the_address() {
        let mac = [2, 0, 0, 0, 0, 9];
        assert_eq!(reply(&answer(mac), OWN), Some((OTHER, mac)));
        assert_eq!(reply(&answer(mac), OTHER), None, "to another");
        assert_eq!(reply(&request(mac, OTHER, OWN), OWN), None, "a question");
        assert_eq!(reply(&answer(mac)[..41], OWN), None, "cut");
    }

    proptest! {
        #[test]
        fn no_frame_breaks_the_reader(frame in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = reply(&frame, OWN);
        }
    }
}
