//! Two hosts made of network namespaces, and the path between them: a veth pair, or a wire of this bench.

use crate::Outcome;
use crate::field::Field;
use crate::link::Link;
use crate::namespace::{feed, ip};
use crate::part::Part;
use crate::wire::{self, Carried};
use std::process::Command;

/// The namespace of the scanner, and the name of its card.
pub(crate) const NEAR: &str = "near";
/// The namespace of the targets, and the name of their card.
pub(crate) const FAR: &str = "far";
/// The card of the targets, for scanners that want to be told.
pub(crate) const FAR_MAC: &str = "02:00:00:00:00:02";
/// The scanner's own address.
pub(crate) const OWN: &str = "198.18.0.1";
/// For scanners with a TCP of their own: another address of the same card, which the kernel does not answer for.
pub(crate) const SPARE: &str = "198.18.0.9";
const NEAR_MAC: &str = "02:00:00:00:00:01";
const DROP_ALL: &str = "table inet silent { chain in { type filter hook input priority 0; policy drop; }; }";

/// How the scanner reaches its targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Path {
    /// A pair of cards that the kernel joins.
    Veth,
    /// The wire of this bench.
    Wire(Link),
}

/// The hosts, anew for each scan, so that none finds what another left.
pub(crate) struct Lab {
    wire: Option<Part>,
    _listener: Part,
    _hosts: Hosts,
}

/// The two namespaces, removed when dropped.
struct Hosts;

impl Lab {
    pub(crate) fn new(path: Path, field: Field) -> Outcome<Self> {
        let hosts = Hosts;
        ip(&format!("netns add {NEAR}\nnetns add {FAR}\n"))?;
        let program = std::env::current_exe()?;
        let wire = match path {
            Path::Veth => {
                ip(&format!("link add {NEAR} netns {NEAR} type veth peer name {FAR} netns {FAR}\n"))?;
                None
            }
            Path::Wire(link) => Some(Part::start(Command::new(&program).args(wire::words(link)))?),
        };
        give_addresses(field)?;
        if field.is_silent {
            feed(Command::new("ip").args(["netns", "exec", FAR, "nft", "-f", "-"]), DROP_ALL)?;
        }
        let listener = Part::start(Command::new("ip").args(["netns", "exec", FAR]).arg(&program).args(field.words()))?;
        Ok(Self { wire, _listener: listener, _hosts: hosts })
    }

    /// Removes it, and tells what its wire carried.
    pub(crate) fn end(mut self) -> Outcome<Option<Carried>> {
        self.wire.take().map(Part::end).transpose()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // Either may be missing; the next lab says so when one is left.
        let _removed = ip(&format!("netns del {NEAR}\n"));
        let _removed = ip(&format!("netns del {FAR}\n"));
    }
}

fn give_addresses(field: Field) -> Outcome<()> {
    let card = |name: &str, mac: &str, addresses: &str| {
        format!("link set {name} address {mac}\n{addresses}link set lo up\nlink set {name} up\n")
    };
    let near = card(NEAR, NEAR_MAC, &format!("address add {OWN}/23 dev {NEAR}\n"));
    feed(Command::new("ip").args(["-n", NEAR, "-batch", "-"]), &near)?;
    let addresses = field.addresses().map(|address| format!("address add {address}/23 dev {FAR}\n"));
    let far = card(FAR, FAR_MAC, &addresses.collect::<String>());
    let spare = format!("neighbour add {SPARE} lladdr {NEAR_MAC} dev {FAR}\n");
    feed(Command::new("ip").args(["-n", FAR, "-batch", "-"]), &(far + &spare))
}
