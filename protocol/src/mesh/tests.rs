//! Members of a small mesh on loopback, against each other and against strangers.

mod enrolment;
mod frames;
mod handed;
mod hearing;
mod hostile;
mod intruder;
pub(super) mod kit;
mod members;
mod neighbours;
mod revoked;
mod rude;
mod strangers;
mod upkeep;
mod ways;
