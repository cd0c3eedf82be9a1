//! One conversation: connect, perhaps send, read until it is understood, too long or too late.

use super::found::{Found, Said};
use super::questions::{Parser, Send};
use crate::engine::builtin::connect::{Connection, Dialer};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// The most bytes that are read in one conversation.
const MAX_BYTES: usize = 4_096;

/// The bytes of an unknown answer that are kept.
const MAX_KEPT: usize = 128;

/// What came of one conversation.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) found: Option<Found>,
    /// The beginning of what was said and not understood.
    pub(super) unknown: Vec<u8>,
}

/// Waits for a greeting; tells how long the connection took.
pub(super) async fn connect(dialer: &Dialer, target: SocketAddr, deadline: Instant) -> Option<(Connection, Duration)> {
    let patience = deadline.saturating_duration_since(Instant::now());
    let dialed = timeout_at(deadline, dialer.dial(target, patience)).await.ok()?;
    Some((dialed.result.ok()?, dialed.took))
}

/// Connects and asks one question.
pub(super) async fn ask(dialer: &Dialer, target: SocketAddr, deadline: Instant, send: &Send, read: Parser) -> Answer {
    let Some((mut connection, _)) = connect(dialer, target, deadline).await else { return Answer::default() };
    say(&mut connection.stream, deadline, send, read).await
}

/// Asks one question on an open connection.
pub(super) async fn say(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    deadline: Instant,
    send: &Send,
    read: Parser,
) -> Answer {
    match timeout_at(deadline, stream.write_all(&send.bytes())).await {
        Ok(Ok(())) => understand(stream, deadline, read).await,
        Ok(Err(_)) | Err(_) => Answer::default(),
    }
}

/// Reads until the bytes are understood. What never ends is judged as it stands when the bytes or the time run out.
pub(super) async fn understand(stream: &mut (impl AsyncRead + Unpin), deadline: Instant, read: Parser) -> Answer {
    let mut bytes = Vec::with_capacity(256);
    let mut piece = [0; 1_024];
    while bytes.len() < MAX_BYTES {
        let Ok(Ok(count @ 1..)) = timeout_at(deadline, stream.read(&mut piece)).await else { break };
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
        bytes.truncate(MAX_BYTES);
        let found = read(&Said { bytes: &bytes, is_over: false });
        if found.is_some() {
            return Answer { found, unknown: Vec::new() };
        }
    }
    let found = read(&Said { bytes: &bytes, is_over: true });
    if found.is_none() {
        bytes.truncate(MAX_KEPT);
    } else {
        bytes.clear();
    }
    Answer { found, unknown: bytes }
}
