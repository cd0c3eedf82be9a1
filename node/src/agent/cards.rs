//! What this node tells the others of itself, and the others' cards on disk.

use super::{Agent, Engine};
use crate::config::{StateError, cards};
use protocol::text::Text;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::time::Instant;

/// This node's word on itself, and where the cards lie.
#[derive(Debug)]
pub(crate) struct CardCase {
    path: PathBuf,
    label: Text,
    /// What the owner says in place of where the node listens.
    advertised: Vec<SocketAddr>,
    /// The sum over the cards on disk.
    kept: Option<u64>,
}

impl CardCase {
    pub(crate) fn new(path: PathBuf, label: Text, advertised: Vec<SocketAddr>) -> Self {
        Self { path, label, advertised, kept: None }
    }

    /// Where others reach this node that listens on `real`: as advertised, else there. Loopback addresses count only
    /// when there are no others, and addresses of one link not at all: nobody elsewhere can dial them.
    fn addresses(&self, real: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if !self.advertised.is_empty() {
            return self.advertised.clone();
        }
        let (near, far): (Vec<_>, Vec<_>) =
            real.into_iter().filter(|address| is_of_use(address.ip())).partition(|address| address.ip().is_loopback());
        if far.is_empty() { near } else { far }
    }
}

fn is_of_use(ip: IpAddr) -> bool {
    let of_one_link = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !of_one_link && !ip.is_unspecified()
}

impl<E: Engine> Agent<E> {
    /// Dials by the cards from last time, and writes the own one.
    pub(super) fn take_up_cards(&mut self) {
        self.mesh.add_cards(cards::load(&self.cards.path));
        self.write_card();
    }

    /// Keeps the own card true, and all cards on disk, once a presence.
    pub(super) async fn keep_cards(&mut self, now: Instant) {
        if !self.heartbeat.is_due(now) {
            return;
        }
        self.write_card();
        let sum = self.mesh.cards_digest();
        if self.cards.kept == Some(sum) {
            return;
        }
        let (path, held) = (self.cards.path.clone(), self.mesh.cards());
        let saved = tokio::task::spawn_blocking(move || cards::save(&path, &held)).await;
        let error = match saved {
            Ok(Ok(())) => {
                self.cards.kept = Some(sum);
                return;
            }
            Ok(Err(error)) => error,
            Err(error) => StateError::Io { action: "write", path: self.cards.path.clone(), source: error.into() },
        };
        tracing::warn!(%error, "the cards of the members could not be kept; it is tried again");
    }

    fn write_card(&mut self) {
        let addresses = self.cards.addresses(self.mesh.listen_addresses());
        self.mesh.set_card(addresses, self.cards.label.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_can_dial_are_told() {
        let told = |advertised: &[&str], real: &[&str]| {
            let parse = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
            let case = CardCase::new(PathBuf::new(), "lab".into(), parse(advertised));
            case.addresses(parse(real)).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let real = ["127.0.0.1:9430", "10.0.0.7:9430", "169.254.3.4:9430", "[fe80::1]:9430", "[2001:db8::7]:9430"];
        assert_eq!(told(&[], &real), "10.0.0.7:9430 [2001:db8::7]:9430");
        assert_eq!(told(&[], &["127.0.0.1:9430", "0.0.0.0:9430", "[::1]:9430"]), "127.0.0.1:9430 [::1]:9430");
        assert_eq!(told(&["192.0.2.1:1"], &real), "192.0.2.1:1");
        assert_eq!(told(&[], &[]), "");
    }
}
