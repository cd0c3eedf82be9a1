//! What a coordinator is told once, at setup, and the times that its parts keep.

use protocol::codec::{Decode, Encode};
use std::net::SocketAddr;
use std::time::Duration;

/// The mesh port, unless another is chosen.
pub const DEFAULT_MESH_PORT: u16 = 9430;

/// The dashboard's address, unless another is chosen.
pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);

/// Where the coordinator listens. Kept in the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Settings {
    /// The mesh port; port 0 takes a free one at each start.
    pub mesh: SocketAddr,
    /// Where nodes reach the mesh port, when that is another address than it listens on.
    pub advertised: Vec<SocketAddr>,
    /// The dashboard and the API.
    pub http: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        let any = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        Self { mesh: SocketAddr::new(any, DEFAULT_MESH_PORT), advertised: Vec::new(), http: DEFAULT_HTTP }
    }
}

impl Settings {
    /// The enrolment port: the one after the mesh port, or a free one beside a free one.
    pub fn enrolment(&self) -> SocketAddr {
        let port = self.mesh.port();
        SocketAddr::new(self.mesh.ip(), if port == 0 { 0 } else { port.saturating_add(1) })
    }
}

/// The times that the hub keeps; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two beacons.
    pub beacon: Duration,
    /// A lease without renewal.
    pub lease: Duration,
    /// What every lease gets after a restart of the coordinator.
    pub grace: Duration,
    /// A node that was not heard for so long is offline.
    pub offline_after: Duration,
    /// A run or task that no node can take fails after this.
    pub queue_deadline: Duration,
    /// Between two looks at leases, queues and schedules.
    pub tick: Duration,
    /// The longest that one attempt at a task may take.
    pub task_limit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            beacon: Duration::from_secs(10),
            lease: Duration::from_secs(45),
            grace: Duration::from_secs(90),
            offline_after: Duration::from_secs(35),
            queue_deadline: Duration::from_secs(600),
            tick: Duration::from_secs(1),
            task_limit: Duration::from_secs(4 * 3600),
        }
    }
}
