//! The bytes of probes and answers: ours can be read by the rules, and nothing that strangers send breaks the reader.

use super::*;
use proptest::prelude::*;

fn v4() -> (SocketAddr, SocketAddr) {
    ("198.18.0.1:61000".parse().unwrap(), "198.18.0.2:80".parse().unwrap())
}

fn v6() -> (SocketAddr, SocketAddr) {
    ("[2001:db8::1]:61000".parse().unwrap(), "[2001:db8::2]:80".parse().unwrap())
}

/// What `target` would answer to a SYN of ours, as the IPv4 socket sees it.
fn answer4((ours, target): (SocketAddr, SocketAddr), flags: u8, acknowledged: u32) -> Vec<u8> {
    let Packet::Syn4(packet) = Packet::syn(target, ours, 7) else { panic!("IPv4") };
    let mut packet = packet.to_vec();
    packet[28..32].copy_from_slice(&acknowledged.to_be_bytes());
    packet[33] = flags;
    packet
}

/// The message of a router that quotes `quote`.
fn refusal4(code: u8, quote: &[u8]) -> Vec<u8> {
    let header = [0x45, 0, 0, 56, 0, 0, 0, 0, 64, ICMP, 0, 0, 198, 18, 0, 9, 198, 18, 0, 1];
    [&header, &[3, code, 0, 0, 0, 0, 0, 0][..], quote].concat()
}

#[test]
fn a_syn_has_the_checksums_that_a_receiver_computes() {
    let (ours, target) = v4();
    let Packet::Syn4(packet) = Packet::syn(ours, target, 0x0102_0304) else { panic!("IPv4") };
    let pseudo = words(&packet[12..20]) + u32::from(TCP) + 24;
    assert_eq!(checksum(pseudo + words(&packet[20..])), 0);
    assert_eq!((&packet[24..28], packet[33]), (&[1, 2, 3, 4][..], SYN));
    let (ours, target) = v6();
    let Packet::Syn6(segment) = Packet::syn(ours, target, 9) else { panic!("IPv6") };
    let pseudo = words(&octets6(ours.ip())) + words(&octets6(target.ip())) + u32::from(TCP) + 24;
    assert_eq!(checksum(pseudo + words(&segment)), 0);
    let Packet::Echo(echo) = Packet::echo(v4().1.ip(), u32::MAX) else { panic!("echo") };
    assert_eq!(checksum(words(&echo)), 0);
}

#[test]
fn answers_are_told_apart_and_anything_else_is_none() {
    let (ours, target) = v4();
    let heard = |is_open| Some(Heard::Tcp { from: target, to: ours.port(), acknowledged: 8, is_open });
    for (flags, wanted) in [
        (SYN | ACK, heard(true)),
        (RST | ACK, heard(false)),
        (RST, None),
        (SYN, None),
        (ACK, None),
        (SYN | RST | ACK, None),
        (0, None),
    ] {
        assert_eq!(read4(&answer4((ours, target), flags, 8)), wanted, "{flags:02x}");
    }
    let whole = answer4((ours, target), SYN | ACK, 8);
    assert_eq!(read4(&whole[..33]), None, "cut");
    let mut fragment = whole.clone();
    fragment[7] = 1;
    assert_eq!(read4(&fragment), None, "a later fragment");
    let mut other = whole;
    other[9] = 17;
    assert_eq!(read4(&other), None, "another protocol");
    let echo = [&refusal4(0, &[])[..20], &[0, 0, 0, 0, 1, 2, 3, 4]].concat();
    assert_eq!(read4(&echo), Some(Heard::Echo { from: "198.18.0.9".parse().unwrap(), token: 0x0102_0304 }));
}

#[test]
fn refusals_quote_the_probe_and_say_why() {
    let (ours, target) = v4();
    let probe = Packet::syn(ours, target, 77);
    for (code, wanted) in [
        (0, Some("net-unreach")),
        (1, Some("host-unreach")),
        (2, Some("proto-unreach")),
        (3, Some("port-unreach")),
        (9, Some("net-prohibited")),
        (10, Some("host-prohibited")),
        (13, Some("admin-prohibited")),
        (4, None),
        (255, None),
    ] {
        // Eight bytes of the segment is what every device quotes.
        let heard = read4(&refusal4(code, &probe.bytes()[..28]));
        let told = heard.map(|heard| {
            let Heard::Unreachable { target: quoted, source, sequence, why } = heard else { panic!("{heard:?}") };
            assert_eq!((quoted, source, sequence), (target, ours.port(), 77));
            why.reason()
        });
        assert_eq!(told, wanted, "code {code}");
    }
    assert_eq!(read4(&refusal4(1, &probe.bytes()[..27])), None, "cut within the number");
    let echo = [&probe.bytes()[..9], &[ICMP], &probe.bytes()[10..20], &[8, 0, 0, 0, 0, 0, 0, 5]].concat();
    let wanted = Heard::EchoUnreachable { target: target.ip(), token: 5, why: Unreached::Host };
    assert_eq!(read4(&refusal4(1, &echo)), Some(wanted));
}

#[test]
fn the_same_holds_over_ipv6() {
    let (ours, target) = v6();
    let IpAddr::V6(from) = target.ip() else { panic!("IPv6") };
    let Packet::Syn6(mut answer) = Packet::syn(target, ours, 1) else { panic!("IPv6") };
    answer[8..12].copy_from_slice(&5_u32.to_be_bytes());
    answer[13] = RST | ACK;
    let heard = Heard::Tcp { from: target, to: ours.port(), acknowledged: 5, is_open: false };
    assert_eq!(read6(from, Protocol6::Tcp, &answer), Some(heard));
    let mut header = [0; 40];
    (header[0], header[6]) = (0x60, TCP);
    header[24..].copy_from_slice(&octets6(target.ip()));
    let probe = Packet::syn(ours, target, 77);
    let refusal = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &header, probe.bytes()].concat();
    let heard = Heard::Unreachable { target, source: ours.port(), sequence: 77, why: Unreached::Port };
    assert_eq!(read6(from, Protocol6::Icmp, &refusal), Some(heard));
    let reply = [129, 0, 0, 0, 0, 0, 0, 6];
    assert_eq!(read6(from, Protocol6::Icmp, &reply), Some(Heard::Echo { from: target.ip(), token: 6 }));
}

proptest! {
    #[test]
    fn no_packet_breaks_the_reader(packet in proptest::collection::vec(any::<u8>(), 0..128), cut in 0_usize..60) {
        let (ours, target) = v4();
        let probe = Packet::syn(ours, target, 77);
        let _ = read4(&packet);
        let _ = read4(&refusal4(3, &packet));
        let _ = read4(&refusal4(1, &probe.bytes()[..cut.min(44)]));
        for protocol in [Protocol6::Tcp, Protocol6::Icmp] {
            let _ = read6(Ipv6Addr::LOCALHOST, protocol, &packet);
            let _ = read6(Ipv6Addr::LOCALHOST, protocol, &[&[1, 4, 0, 0, 0, 0, 0, 0][..], &packet].concat());
        }
    }
}
