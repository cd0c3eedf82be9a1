//! Keys as bytes that sort like the keys themselves, so that ranges scan in order.

use crate::analysis::alert::AlertKey;
use crate::analysis::delta::PortId;
use std::net::IpAddr;

use protocol::task::{RunId, ScanId, TaskId};
use protocol::{NodeId, Protocol, Timestamp};

/// A key of a table. Written bytes order like the values, and end by themselves so that keys can be joined.
pub(crate) trait Key: Sized {
    /// Appends the key's bytes.
    fn write(&self, out: &mut Vec<u8>);
    /// Takes one key off the front; `None` when the bytes are none.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

/// A key that `K` begins with: its rows stand together.
pub(crate) trait PrefixOf<K>: Key {}

impl<A: Key, B: Key> PrefixOf<(A, B)> for A {}
impl<A: Key, B: Key, C: Key> PrefixOf<(A, B, C)> for A {}
impl<A: Key, B: Key, C: Key> PrefixOf<(A, B, C)> for (A, B) {}
impl PrefixOf<TaskId> for RunId {}
impl PrefixOf<AlertKey> for ScanId {}
impl PrefixOf<AlertKey> for (ScanId, IpAddr) {}
impl PrefixOf<AlertKey> for (ScanId, IpAddr, PortId) {}

/// The key of a table that has one row.
impl Key for () {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*key)
    }
}

impl Key for NodeId {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_bytes().write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Key::read(bytes).map(Self::from_bytes)
    }
}

macro_rules! integer_key {
    ($($integer:ty),*) => {$(
        impl Key for $integer {
            fn write(&self, out: &mut Vec<u8>) {
                self.to_be_bytes().write(out);
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Key::read(bytes).map(<$integer>::from_be_bytes)
            }
        }
    )*};
}
integer_key!(u8, u16, u32, u64);

macro_rules! number_key {
    ($($number:ident),*) => {$(
        impl Key for $number {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                u64::read(bytes).map($number)
            }
        }
    )*};
}
number_key!(ScanId, RunId);

impl Key for TaskId {
    fn write(&self, out: &mut Vec<u8>) {
        self.run.write(out);
        self.index.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { run: RunId::read(bytes)?, index: u32::read(bytes)? })
    }
}

/// The protocol's place in [`Protocol::ALL`], and the number.
impl Key for PortId {
    fn write(&self, out: &mut Vec<u8>) {
        let place = Protocol::ALL.iter().position(|protocol| *protocol == self.protocol);
        u8::try_from(place.unwrap_or(usize::MAX)).unwrap_or(u8::MAX).write(out);
        self.port.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let protocol = *Protocol::ALL.get(usize::from(u8::read(bytes)?))?;
        Some(Self { protocol, port: u16::read(bytes)? })
    }
}

impl Key for AlertKey {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { scan, address, port, rule } = self;
        (*scan, *address, *port).write(out);
        rule.as_str().to_owned().write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (scan, address, port) = Key::read(bytes)?;
        Some(Self { scan, address, port, rule: String::read(bytes)?.into() })
    }
}

impl Key for Timestamp {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_millis().write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        u64::read(bytes).map(Self::from_millis)
    }
}

/// The family's number, 4 or 6, and the octets.
impl Key for IpAddr {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(address) => (4u8, address.octets()).write(out),
            Self::V6(address) => (6u8, address.octets()).write(out),
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match u8::read(bytes)? {
            4 => <[u8; 4]>::read(bytes).map(Self::from),
            6 => <[u8; 16]>::read(bytes).map(Self::from),
            _ => None,
        }
    }
}

/// The text with each NUL as 0 255, then 0 0: a shorter text comes before what it begins.
impl Key for String {
    fn write(&self, out: &mut Vec<u8>) {
        for byte in self.bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(255);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        loop {
            match u8::read(bytes)? {
                0 => match u8::read(bytes)? {
                    0 => return Self::from_utf8(text).ok(),
                    255 => text.push(0),
                    _ => return None,
                },
                byte => text.push(byte),
            }
        }
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?, C::read(bytes)?))
    }
}
