//! Proves that an answer is one to our probe, without a note of each probe: the number that every probe carries is a
//! keyed hash of where it goes, and only who saw the probe can send the number back.

use super::packet::Heard;
use super::packet::Unreached;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// A key that is drawn anew for each scan.
pub(super) struct Proof(SipHasher13);

/// What an answer that is proved says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    /// Which host was asked.
    pub(super) address: IpAddr,
    /// Which port, and our port that it was asked from; `None` for an echo request.
    pub(super) port: Option<(u16, u16)>,
    /// What it says.
    pub(super) says: Says,
}

/// What came back to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// A SYN-ACK.
    Open,
    /// A reset.
    Closed,
    /// The answer to an echo request.
    Echo,
    /// A refusal.
    Unreached(Unreached),
}

impl Proof {
    /// Draws a key.
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        Ok(Self::new(getrandom::u64()?, getrandom::u64()?))
    }

    fn new(first: u64, second: u64) -> Self {
        Self(SipHasher13::new_with_keys(first, second))
    }

    /// The sequence number of the probe from our port `source` to `target`.
    pub(super) fn sequence(&self, target: SocketAddr, source: u16) -> u32 {
        self.hash(target.ip(), u32::from(target.port()) << 16 | u32::from(source))
    }

    /// Identifier and sequence number of the echo request to `target`; no TCP port is 0.
    pub(super) fn token(&self, target: IpAddr) -> u32 {
        self.hash(target, 0)
    }

    /// What `heard` says, when it answers a probe of ours.
    pub(super) fn check(&self, heard: Heard) -> Option<Proven> {
        let (address, port, is_proved, says) = match heard {
            Heard::Tcp { from, to, acknowledged, is_open } => {
                let is_proved = acknowledged == self.sequence(from, to).wrapping_add(1);
                (from.ip(), Some((from.port(), to)), is_proved, if is_open { Says::Open } else { Says::Closed })
            }
            Heard::Unreachable { target, source, sequence, why } => {
                let is_proved = sequence == self.sequence(target, source);
                (target.ip(), Some((target.port(), source)), is_proved, Says::Unreached(why))
            }
            Heard::Echo { from, token } => (from, None, token == self.token(from), Says::Echo),
            Heard::EchoUnreachable { target, token, why } => {
                (target, None, token == self.token(target), Says::Unreached(why))
            }
        };
        is_proved.then_some(Proven { address, port, says })
    }

    fn hash(&self, address: IpAddr, ports: u32) -> u32 {
        let mut hasher = self.0;
        match address {
            IpAddr::V4(four) => hasher.write(&four.octets()),
            IpAddr::V6(six) => hasher.write(&six.octets()),
        }
        hasher.write(&ports.to_be_bytes());
        u32::try_from(hasher.finish() >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_answer_to_the_probe_itself_is_taken(
            address: std::net::IpAddr, port in 1..=u16::MAX, to: u16, other: std::net::IpAddr, off in 1..=u32::MAX,
        ) {
            let proof = Proof::new(1, 2);
            let from = SocketAddr::new(address, port);
            let acknowledged = proof.sequence(from, to).wrapping_add(1);
            let answer = Heard::Tcp { from, to, acknowledged, is_open: true };
            prop_assert_eq!(proof.check(answer), Some(Proven { address, port: Some((port, to)), says: Says::Open }));
            let forged = [
                Heard::Tcp { from, to, acknowledged: acknowledged.wrapping_add(off), is_open: true },
                Heard::Tcp { from: SocketAddr::new(address, port ^ 1), to, acknowledged, is_open: true },
                Heard::Tcp { from, to: to ^ 1, acknowledged, is_open: false },
                Heard::Unreachable { target: from, source: to, sequence: acknowledged, why: Unreached::Host },
                Heard::Echo { from: address, token: proof.token(address).wrapping_add(off) },
            ];
            for heard in forged {
                prop_assert_eq!(proof.check(heard), None);
            }
            if other != address {
                prop_assert_eq!(proof.check(Heard::Tcp { from: SocketAddr::new(other, port), to, acknowledged, is_open: true }), None);
                prop_assert_eq!(proof.check(Heard::Echo { from: other, token: proof.token(address) }), None);
            }
        }
    }
}
