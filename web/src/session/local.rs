//! Callers on the local socket: the kernel says who they are.

use super::Caller;
use crate::error::WebError;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use coordinator::Actor;
use tokio::net::UnixListener;

/// The account at the other end of a Unix socket, in the words of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPeer {
    /// `None` when the kernel does not tell.
    uid: Option<u32>,
}

impl LocalPeer {
    /// Root and the account that runs the coordinator are administrators; nobody else is let in.
    fn actor(self, own_uid: u32) -> Option<Actor> {
        self.uid.filter(|uid| *uid == 0 || *uid == own_uid).map(Actor::local)
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for LocalPeer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|peer| peer.uid()) }
    }
}

/// Finds out who is asking and notes it on the request.
pub(crate) async fn identify_local(mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<LocalPeer>>().map(|info| info.0);
    match peer.and_then(|peer| peer.actor(rustix::process::getuid().as_raw())) {
        Some(actor) => {
            request.extensions_mut().insert(Caller(actor));
            next.run(request).await
        }
        None => {
            let reason =
                "this socket is for root and for the account that runs the coordinator; run the command as one of them";
            WebError::Forbidden(reason.to_owned()).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_own_account_are_let_in() {
        let name = |uid| LocalPeer { uid }.actor(1_000).map(|actor| actor.name.to_string());
        assert_eq!(
            [name(Some(0)), name(Some(1_000)), name(Some(1_001)), name(None)],
            [Some("os:0".to_owned()), Some("os:1000".to_owned()), None, None]
        );
    }
}
