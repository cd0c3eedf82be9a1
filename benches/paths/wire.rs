//! The wire: a process that joins two TAP devices in two network namespaces and carries each frame from one to the other.
//!
//! A device hands out whole frames with their checksums done, which a veth pair would leave to a card that is not there.
//! Each direction has a thread. The process ends when its standard input does, and then tells what it carried.

use crate::Outcome;
use crate::lab::{FAR, NEAR};
use crate::link::{Counts, Lane, Link};
use crate::namespace::inside;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// The argument that makes this program the wire; see [`words`] for what follows.
pub(crate) const WIRE: &str = "--wire";
/// Frames taken in at a time before those that have arrived are handed over.
const BURST: usize = 64;
/// Longer than any frame.
const FRAME_BYTES: usize = 2_048;
/// Frames that a device holds until the wire takes them.
const DEVICE_QUEUE: u32 = 50_000;
/// The longest without a look at whether to stop.
const LOOK: Duration = Duration::from_millis(100);
const SEED: u64 = 6;

/// What a wire carried in each direction.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, serde::Serialize)]
pub(crate) struct Carried {
    /// From the scanner to its targets.
    pub(crate) out: Counts,
    pub(crate) back: Counts,
}

/// The arguments that make this program a wire like `link`.
pub(crate) fn words(link: Link) -> Vec<String> {
    let rate = link.bits_per_second.unwrap_or_default();
    let delay = link.delay.as_micros();
    vec![WIRE.to_owned(), delay.to_string(), link.loss_ppm.to_string(), rate.to_string(), link.queue.to_string()]
}

fn link_of(mut words: impl Iterator<Item = String>) -> Outcome<Link> {
    let mut number = || Ok::<u64, Box<dyn std::error::Error>>(words.next().ok_or("a word is missing")?.parse()?);
    Ok(Link {
        delay: Duration::from_micros(number()?),
        loss_ppm: number()?,
        bits_per_second: Some(number()?).filter(|rate| *rate > 0),
        queue: usize::try_from(number()?)?,
    })
}

/// The process: carries until standard input ends.
pub(crate) fn serve(words: impl Iterator<Item = String>) -> Outcome<()> {
    let link = link_of(words)?;
    let open = |host: &str| inside(host, || device(host));
    let (near, far) = (open(NEAR)??, open(FAR)??);
    let stop = AtomicBool::new(false);
    crate::part::say(&"ready")?;
    let carried = std::thread::scope(|scope| {
        let out = scope.spawn(|| carry(&near, &far, Lane::new(link, SEED, Instant::now()), &stop));
        let back = scope.spawn(|| carry(&far, &near, Lane::new(link, SEED + 1, Instant::now()), &stop));
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
        let joined = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "the wire broke");
        Ok::<_, Box<dyn std::error::Error>>(Carried { out: joined(out)??, back: joined(back)?? })
    })?;
    crate::part::say(&carried)?;
    Ok(std::io::stdout().flush()?)
}

/// A TAP device of the namespace that this thread is in.
fn device(name: &str) -> Result<SyncDevice, String> {
    let built = DeviceBuilder::new().name(name).layer(Layer::L2).with(|device| {
        device.tx_queue_len(DEVICE_QUEUE);
    });
    let device = built.build_sync().map_err(|error| format!("no TAP device can be made: {error}"))?;
    device.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(device)
}

fn carry(from: &SyncDevice, to: &SyncDevice, mut lane: Lane, stop: &AtomicBool) -> Result<Counts, String> {
    let mut buffer = [0; FRAME_BYTES];
    while !stop.load(Ordering::Relaxed) {
        take_in(from, &mut lane, &mut buffer)?;
        let now = Instant::now();
        while let Some(frame) = lane.arrived(now) {
            if to.send(&frame).is_err() {
                lane.counts.refused += 1;
            }
        }
        let pause = lane.next().map_or(LOOK, |next| next.saturating_duration_since(Instant::now())).min(LOOK);
        let pause = Timespec::try_from(pause).map_err(|error| error.to_string())?;
        let mut readable = [PollFd::new(from, PollFlags::IN)];
        match poll(&mut readable, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(lane.counts)
}

fn take_in(from: &SyncDevice, lane: &mut Lane, buffer: &mut [u8]) -> Result<(), String> {
    for _ in 0..BURST {
        match from.recv(buffer) {
            Ok(length) => lane.take(buffer.get(..length).unwrap_or_default(), Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(format!("the device gives no frames: {error}")),
        }
    }
    Ok(())
}
