//! What was refused since the hub started, to be shown: an attack that fails leaves its traces here.

use protocol::mesh::{Counters, EnrolCounters};

/// What the mesh port, the enrolment port and the hub have counted since the coordinator started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeshCounters {
    /// Of the mesh port.
    pub mesh: Counters,
    /// Of the enrolment port.
    pub enrolment: EnrolCounters,
    /// Of what came through either and was not acted on.
    pub refused: Refused,
}

/// What could be read and was not acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Letters that are not sealed to the coordinator, or were changed.
    pub unopened: u64,
    /// Letters of keys that are no approved node.
    pub strangers: u64,
    /// Letters that are forged, damaged, or out of time.
    pub unbelieved: u64,
    /// Letters that were heard before.
    pub replayed: u64,
    /// Letters of a kind that nodes may not send.
    pub wrong_role: u64,
    /// Results that are too large, damaged, or claim what their task does not ask.
    pub results: u64,
    /// Requests to join that are forged, too many, or show a secret that opens nothing.
    pub requests: u64,
}
