//! What is really there: fifty hosts, their services, and what changes about them.

use crate::harness::{Chance, Hosts};
use std::collections::BTreeMap;

/// The ports that are scanned; four of them have a rule.
pub(super) const PORTS: [u16; 6] = [2222, 3306, 3389, 5432, 5900, 8080];

/// The last number of the addresses that are scanned.
pub(super) const ADDRESSES: std::ops::RangeInclusive<u8> = 1..=60;

const GREETINGS: [&str; 4] = [
    "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    "SSH-2.0-OpenSSH_8.4p1 Debian-5\r\n",
    "220 (vsFTPd 3.0.3)\r\n",
    "SSH-2.0-dropbear_2022.83\r\n",
];

/// What a host has open, and how each port greets.
pub(super) type Ports = BTreeMap<u16, &'static str>;

/// The hosts, as they run.
pub(super) struct World {
    net: String,
    hosts: Hosts,
    pub(super) ports: BTreeMap<u8, Ports>,
}

impl World {
    /// Five hosts of each six addresses, with one port or two.
    pub(super) fn new(net: &str) -> Self {
        let mut world = Self { net: net.to_owned(), hosts: Hosts::default(), ports: BTreeMap::new() };
        for address in ADDRESSES.filter(|address| address % 6 != 0) {
            let number = usize::from(address);
            world.open(address, PORTS[number / 6 % PORTS.len()], GREETINGS[number % GREETINGS.len()]);
            if address % 3 == 0 {
                world.open(address, PORTS[(number / 6 + 1 + number % 5) % PORTS.len()], GREETINGS[0]);
            }
        }
        assert_eq!(world.ports.len(), 50);
        world
    }

    /// One true change, in words.
    pub(super) fn change(&mut self, chance: &mut Chance) -> String {
        let hosts: Vec<u8> = self.ports.keys().copied().collect();
        let address = chance.pick(&hosts);
        let open: Vec<(u16, &'static str)> = self.ports[&address].iter().map(|(port, said)| (*port, *said)).collect();
        let (port, said) = chance.pick(&open);
        match chance.below(5) {
            0 => {
                self.close(address, port);
                format!("{address}: {port} closed")
            }
            1 => {
                self.close(address, port);
                let others: Vec<&'static str> = GREETINGS.into_iter().filter(|other| *other != said).collect();
                self.open(address, port, chance.pick(&others));
                format!("{address}: {port} says something else")
            }
            2 => {
                open.iter().for_each(|(port, _)| self.close(address, *port));
                format!("{address}: gone")
            }
            _ => self.open_somewhere(chance),
        }
    }

    /// Opens a closed port of any address.
    fn open_somewhere(&mut self, chance: &mut Chance) -> String {
        let cells = ADDRESSES.flat_map(|address| PORTS.map(|port| (address, port)));
        let is_closed = |(address, port): &(u8, u16)| !self.ports.get(address).is_some_and(|of| of.contains_key(port));
        let closed: Vec<(u8, u16)> = cells.filter(is_closed).collect();
        let (address, port) = chance.pick(&closed);
        self.open(address, port, chance.pick(&GREETINGS));
        format!("{address}: {port} open")
    }

    fn open(&mut self, address: u8, port: u16, greeting: &'static str) {
        self.hosts.open(&format!("{}.{address}", self.net), port, greeting);
        self.ports.entry(address).or_default().insert(port, greeting);
    }

    fn close(&mut self, address: u8, port: u16) {
        self.hosts.close(&format!("{}.{address}", self.net), port);
        let left = self.ports.get_mut(&address).unwrap();
        left.remove(&port);
        if left.is_empty() {
            self.ports.remove(&address);
        }
    }
}
