//! Who stands behind a request, as far as it can be known before anybody signs in.

use crate::origin;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use coordinator::Origin;
use protocol::text::Text;
use std::convert::Infallible;
use std::net::IpAddr;

/// The longest name of a browser that is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// From where the request comes, and what the browser says it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    pub(crate) from: Origin,
    /// Whether the browser speaks TLS.
    pub(crate) is_tls: bool,
    pub(crate) agent: Text,
}

impl Visitor {
    /// The address, for who comes over the network.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.from {
            Origin::Address(address) => Some(address.to_canonical()),
            Origin::Unknown | Origin::Socket => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let from = origin::noted(&parts.extensions);
        let is_tls = parts.extensions.get::<origin::Origin>().is_some_and(|origin| origin.is_tls);
        let agent = parts.headers.get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
        let agent: String = Text::from_bytes(agent).as_str().chars().take(LONGEST_AGENT).collect();
        Ok(Self { from, is_tls, agent: agent.into() })
    }
}
