//! One conversation: connect, perhaps send, read until it is understood, too long or too late.

use super::found::Found;
use super::{Parser, Probe, Send};
use crate::engine::builtin::connect::{Connection, Dialer};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// The most bytes that are read from one connection.
const MAX_BYTES: usize = 4_096;

/// Waits for a greeting.
pub(super) async fn listen(dialer: &Dialer, target: SocketAddr, deadline: Instant, read: Parser) -> Option<Found> {
    let connection = connect(dialer, target, deadline).await?;
    understand(connection, deadline, read).await
}

/// Asks one question.
pub(super) async fn ask(dialer: &Dialer, target: SocketAddr, deadline: Instant, probe: &Probe) -> Option<Found> {
    let mut connection = connect(dialer, target, deadline).await?;
    let bytes = match probe.send {
        Send::Bytes(bytes) => bytes.to_vec(),
        Send::Made(make) => make(),
    };
    timeout_at(deadline, connection.stream.write_all(&bytes)).await.ok()?.ok()?;
    understand(connection, deadline, probe.read).await
}

async fn connect(dialer: &Dialer, target: SocketAddr, deadline: Instant) -> Option<Connection> {
    let patience = deadline.saturating_duration_since(Instant::now());
    timeout_at(deadline, dialer.dial(target, patience)).await.ok()?.result.ok()
}

/// Reads until the bytes are understood. A line that never ends is judged as it stands when the bytes or the time run out.
async fn understand(mut connection: Connection, deadline: Instant, read: Parser) -> Option<Found> {
    let mut bytes = Vec::with_capacity(256);
    let mut piece = [0; 1_024];
    while bytes.len() < MAX_BYTES {
        let Ok(Ok(count @ 1..)) = timeout_at(deadline, connection.stream.read(&mut piece)).await else { break };
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
        bytes.truncate(MAX_BYTES);
        if let Some(found) = read(&bytes) {
            return Some(found);
        }
    }
    bytes.extend_from_slice(b"\r\n\r\n");
    read(&bytes)
}
