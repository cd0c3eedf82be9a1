//! The ports that nodes reach: opening them, and where they are to be reached.

use crate::registry::CurrentRoster;
use crate::settings::Settings;
use protocol::envelope::Author;
use protocol::mesh::{EnrolServer, Mesh, MeshConfig, MeshError, Tunables};
use protocol::roster::Role;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Both ports, and where they can be reached.
pub(super) struct Ports {
    pub(super) mesh: Mesh,
    pub(super) mesh_addresses: Vec<SocketAddr>,
    pub(super) enrol: EnrolServer,
    pub(super) enrolment_addresses: Vec<SocketAddr>,
}

/// Where both ports listen.
#[derive(Clone, Copy)]
pub(super) struct Listening {
    pub(super) mesh: SocketAddr,
    pub(super) enrolment: SocketAddr,
}

impl Listening {
    /// Where this machine itself reaches the enrolment port: on loopback, unless it listens at one address alone.
    pub(super) fn here(self) -> SocketAddr {
        let loopback: IpAddr = match self.enrolment {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let address = self.enrolment.ip();
        SocketAddr::new(if address.is_unspecified() { loopback } else { address }, self.enrolment.port())
    }
}

/// Opens both ports.
pub(super) async fn listen(
    author: &Author,
    at: Listening,
    settings: &Settings,
    roster: &CurrentRoster,
) -> Result<Ports, MeshError> {
    let config = MeshConfig {
        author: author.clone(),
        listen: vec![at.mesh],
        role: Role::Coordinator,
        tunables: Tunables::default(),
    };
    let mesh = Mesh::new(config, Some(roster.signed.clone())).await?;
    let enrol = EnrolServer::new(author.keypair(), author.mesh(), vec![at.enrolment]).await?;
    let mesh_addresses = reachable(settings, &mesh.listen_addresses());
    let enrolment_addresses = enrolment_reachable(settings, &enrol.listen_addresses());
    Ok(Ports { mesh, mesh_addresses, enrol, enrolment_addresses })
}

impl Ports {
    /// The same again, for whoever takes this one's place: the ports that the system chose as well.
    pub(super) fn listening(&self, wanted: Listening) -> Listening {
        let real = |wanted: SocketAddr, real: Vec<SocketAddr>| {
            SocketAddr::new(wanted.ip(), real.first().map_or(wanted.port(), SocketAddr::port))
        };
        Listening {
            mesh: real(wanted.mesh, self.mesh.listen_addresses()),
            enrolment: real(wanted.enrolment, self.enrol.listen_addresses()),
        }
    }
}

/// Where nodes reach a port that listens on `real`: as advertised, or there, with the machine's own addresses for
/// "any address".
fn reachable(settings: &Settings, real: &[SocketAddr]) -> Vec<SocketAddr> {
    if !settings.advertised.is_empty() {
        return settings.advertised.clone();
    }
    real.iter()
        .copied()
        .filter(|address| !address.ip().is_unspecified())
        .take(protocol::invite::MAX_ADDRESSES)
        .collect()
}

/// As [`reachable`], for the enrolment port; an advertised mesh address stands for the port after it.
fn enrolment_reachable(settings: &Settings, real: &[SocketAddr]) -> Vec<SocketAddr> {
    let after = |address: &SocketAddr| SocketAddr::new(address.ip(), address.port().saturating_add(1));
    if settings.advertised.is_empty() {
        reachable(settings, real)
    } else {
        settings.advertised.iter().map(after).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_itself_asks_on_loopback_or_at_the_one_address() {
        let here = |enrolment: &str| {
            let enrolment: SocketAddr = enrolment.parse().unwrap();
            Listening { mesh: enrolment, enrolment }.here().to_string()
        };
        let told = ["0.0.0.0:9431", "[::]:9431", "192.0.2.7:9431", "127.0.0.1:7"].map(here);
        assert_eq!(told, ["127.0.0.1:9431", "[::1]:9431", "192.0.2.7:9431", "127.0.0.1:7"]);
    }
}
