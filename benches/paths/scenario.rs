//! What is measured: each path with its targets, who scans there, and what is promised for it.

use crate::field::Field;
use crate::lab::Path;
use crate::link::Link;
use crate::scanner::{CONNECT, SYN, Scanner};
use std::time::Duration;

/// One path with its targets.
pub(crate) struct Scenario {
    /// A word to choose it by.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) path: Path,
    pub(crate) field: Field,
    pub(crate) scanners: Vec<Scanner>,
    pub(crate) claims: Vec<Claim>,
}

/// What is promised. That the product finds everything and nothing else in less than 64 MiB is promised everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim {
    /// The first is so many times faster than the second.
    Faster(Scanner, Scanner, f64),
    /// So many times faster than the fastest peer that found everything.
    FasterThanBest(Scanner, f64),
    /// The first takes at most this part of the processor time of the second.
    LessProcessor(Scanner, Scanner, f64),
    /// At most so many times what the link takes for one probe of each port.
    NearLink(Scanner, f64),
}

const HALF_CONNECT: Scanner = Scanner::Nmap("-sS -T4");
const FULL_CONNECT: Scanner = Scanner::Nmap("-sT -T4");
const HURRIED: Scanner = Scanner::Nmap("-sS -T5 --min-rate 20000");

const LOSSY: Link = Link { delay: Duration::from_millis(20), loss_ppm: 10_000, ..Link::clear() };
const NARROW: Link = Link { bits_per_second: Some(10_000_000), queue: 200, ..Link::clear() };

/// All of them; small ones only show that the bench works.
pub(crate) fn all(is_small: bool) -> Vec<Scenario> {
    let field = |hosts, ports, open| Field { hosts, ports, open, is_silent: false };
    let (one, many) =
        if is_small { (field(1, 2_000, 20), field(4, 100, 5)) } else { (field(1, 65_535, 200), field(254, 1_000, 10)) };
    let silent = Field { is_silent: true, ..field(1, if is_small { 40 } else { 1_000 }, 10) };
    let title = |field: Field, path: &str| match field.hosts {
        1 => format!("{} ports, {path}", field.ports),
        hosts => format!("{hosts} hosts x {} ports, {path}", field.ports),
    };
    vec![
        Scenario {
            name: "clean",
            title: title(one, "clean veth"),
            path: Path::Veth,
            field: one,
            scanners: vec![SYN, CONNECT, HALF_CONNECT, FULL_CONNECT, Scanner::Masscan(100_000), Scanner::Rustscan],
            claims: vec![
                Claim::Faster(SYN, HALF_CONNECT, 1.7),
                Claim::Faster(SYN, Scanner::Rustscan, 8.0),
                Claim::Faster(CONNECT, FULL_CONNECT, 2.0),
                Claim::LessProcessor(SYN, HALF_CONNECT, 0.8),
                Claim::LessProcessor(CONNECT, FULL_CONNECT, 0.8),
            ],
        },
        Scenario {
            name: "lossy",
            title: title(one, "20 ms and 1 % loss each way"),
            path: Path::Wire(LOSSY),
            field: one,
            scanners: vec![SYN, CONNECT, HURRIED, HALF_CONNECT, Scanner::Masscan(20_000), Scanner::Rustscan],
            claims: vec![Claim::Faster(SYN, HURRIED, 2.4), Claim::Faster(SYN, HALF_CONNECT, 40.0)],
        },
        Scenario {
            name: "many",
            title: title(many, "20 ms and 1 % loss each way"),
            path: Path::Wire(LOSSY),
            field: many,
            scanners: vec![SYN, CONNECT, HURRIED, HALF_CONNECT, Scanner::Masscan(20_000)],
            claims: vec![Claim::FasterThanBest(SYN, 3.0)],
        },
        Scenario {
            name: "narrow",
            title: title(one, "10 Mbit/s with a queue of 200"),
            path: Path::Wire(NARROW),
            field: one,
            scanners: vec![SYN, CONNECT, HURRIED, HALF_CONNECT, Scanner::Masscan(20_000)],
            claims: vec![Claim::NearLink(SYN, 1.15)],
        },
        Scenario {
            name: "silent",
            title: title(silent, "a host that drops everything"),
            path: Path::Veth,
            field: silent,
            scanners: vec![SYN, CONNECT, HALF_CONNECT],
            claims: vec![Claim::Faster(SYN, HALF_CONNECT, 20.0), Claim::Faster(CONNECT, HALF_CONNECT, 20.0)],
        },
    ]
}
