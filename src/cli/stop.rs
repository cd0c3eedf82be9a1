//! When a service ends: Ctrl-C, a polite signal, or the end of the process that started it.

use anyhow::Context;
use std::io;
use std::os::fd::AsFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGINT or SIGTERM and, with `with_parent`, by the end of standard input: a pipe that the
/// process which started this one holds open while it lives.
pub(crate) fn on_signal(with_parent: bool) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let parent = if with_parent {
        Some(parent_pipe().context("--stop-with-parent needs a pipe as standard input")?)
    } else {
        None
    };
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = closed(parent) => {}
        }
        token.cancel();
    });
    Ok(stop)
}

fn parent_pipe() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

/// Ends when the pipe does; never when there is none.
async fn closed(pipe: Option<pipe::Receiver>) {
    let Some(mut pipe) = pipe else { return std::future::pending().await };
    let mut ignored = [0; 64];
    while matches!(pipe.read(&mut ignored).await, Ok(length) if length > 0) {}
}
