//! Serving: over TCP with or without TLS to browsers, over a Unix socket to the command line.

use crate::{App, LocalPeer, router, socket_router};
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use hyper_util::rt::TokioTimer;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;

/// How long a client may take to say its first byte, to agree on TLS, and to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long open requests may go on when the service stops.
const GRACE: Duration = Duration::from_secs(10);

/// The first byte of every TLS connection: a handshake record. Source: RFC 8446 section 5.1.
const TLS_HANDSHAKE: u8 = 22;

const SPEAK_TLS: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
                         this port speaks HTTPS; write https:// in front of the address\n";

/// Serves [`router`] until the app stops and its open requests have ended; over TLS if the app has a certificate.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(app: App, listener: TcpListener) -> io::Result<()> {
    let handle = Handle::new();
    let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener.into_std()?)?.handle(handle.clone());
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(PATIENCE);
    let serving = async {
        let Some(certificates) = &app.certificates else { return server.serve(service).await };
        let config = certificates.server_config().map_err(io::Error::other)?;
        let acceptor = RustlsAcceptor::new(config).handshake_timeout(PATIENCE).acceptor(TlsOnly);
        server.acceptor(acceptor).serve(service).await
    };
    let ending = async {
        app.stop.cancelled().await;
        handle.graceful_shutdown(Some(GRACE));
        std::future::pending().await
    };
    tokio::select! {
        served = serving => served,
        never = ending => never,
    }
}

/// Serves [`socket_router`] until the app stops and its open requests have ended.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve_local(app: App, listener: UnixListener) -> io::Result<()> {
    let stop = app.stop.clone();
    let service = socket_router(app).into_make_service_with_connect_info::<LocalPeer>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Lets TLS pass, and tells who speaks plain HTTP what to write instead.
#[derive(Clone, Copy, Debug)]
struct TlsOnly;

impl<S: Send + 'static> Accept<TcpStream, S> for TlsOnly {
    type Stream = TcpStream;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(TcpStream, S)>> + Send>>;

    fn accept(&self, mut stream: TcpStream, service: S) -> Self::Future {
        Box::pin(async move {
            stream.set_nodelay(true)?;
            let mut first = [0];
            timeout(PATIENCE, stream.peek(&mut first)).await??;
            if first == [TLS_HANDSHAKE] {
                return Ok((stream, service));
            }
            timeout(PATIENCE, tell_to_speak_tls(&mut stream)).await??;
            Err(io::Error::from(io::ErrorKind::InvalidData))
        })
    }
}

/// What was sent is read first, or closing would take the answer back.
async fn tell_to_speak_tls(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = [0; 4096];
    let _read = stream.read(&mut request).await?;
    stream.write_all(SPEAK_TLS.as_bytes()).await?;
    stream.shutdown().await
}
