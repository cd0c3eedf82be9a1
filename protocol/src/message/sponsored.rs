//! What a sponsor and the coordinator write to each other about a stranger who asks to join.

use crate::codec::{Decode, Encode};
use crate::envelope::Envelope;
use crate::identity::NodeId;
use std::net::IpAddr;

/// A stranger's request to join, passed on by a member that may sponsor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SponsoredRequest {
    /// The stranger's [`super::EnrolRequest`], as it came; its own signature proves whose it is.
    pub request: Envelope,
    /// Where the sponsor saw the stranger; only the sponsor's word.
    pub address: Option<IpAddr>,
}

/// Answers [`SponsoredRequest`]; the sponsor passes it on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SponsoredAnswer {
    /// Who asked.
    pub node: NodeId,
    /// The [`super::EnrolAnswer`], as the stranger is to get it.
    pub answer: Envelope,
}

/// The most requests that one sponsor may pass on in a minute; the coordinator drops what comes beyond.
pub const SPONSORED_A_MINUTE: u32 = 120;

/// New keys that may ask to join from one address in a minute.
pub const NEW_KEYS_A_MINUTE: u32 = 10;
