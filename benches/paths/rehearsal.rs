//! The wire measured by itself, so that nobody takes its limits for those of a scanner.

use crate::Outcome;
use crate::field::Field;
use crate::lab::{FAR, Lab, NEAR, OWN, Path};
use crate::link::Link;
use crate::namespace::inside;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FIELD: Field = Field { hosts: 1, ports: 100, open: 1, is_silent: false };
/// As long as the frame of a probe.
const PAYLOAD: [u8; 16] = [0; 16];
const PORT: u16 = 9;
/// Connections that the delay is measured with.
const CONNECTS: usize = 5;

/// Prints how many frames the wire carries when nothing holds it up, and what its delay and its loss really are.
pub(crate) fn tell(frames: u32) -> Outcome<()> {
    let lab = Lab::new(Path::Wire(Link::clear()), FIELD)?;
    let took = flood(frames)?;
    let carried = lab.end()?.ok_or("this lab has a wire")?.out;
    let (carried, dropped) = (carried.frames - carried.dropped, carried.dropped + carried.refused);
    println!(
        "the wire by itself: {:.0} frames a second one way; of {frames} sent as fast as it goes, {} did not fit the \
        sender's card, {dropped} the wire",
        ratio(carried, 1) / took.as_secs_f64(),
        u64::from(frames).saturating_sub(carried),
    );
    let link = Link { delay: Duration::from_millis(20), loss_ppm: 10_000, ..Link::clear() };
    let lab = Lab::new(Path::Wire(link), FIELD)?;
    let mut waited: Vec<Duration> = connect_times()?;
    waited.sort();
    let round_trip = waited.get(waited.len() / 2).copied().unwrap_or_default();
    flood(frames)?;
    let carried = lab.end()?.ok_or("this lab has a wire")?.out;
    let lost = 100.0 * ratio(carried.lost, carried.frames);
    println!("20 ms and 1 % each way: a connect takes {round_trip:.1?}, {lost:.2} % are lost");
    Ok(())
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    let number = |value: u64| u32::try_from(value).map_or(f64::from(u32::MAX), f64::from);
    number(part) / number(whole).max(1.0)
}

/// Sends as fast as the card takes it; gives the time until the last one arrived.
fn flood(frames: u32) -> Outcome<Duration> {
    let target = SocketAddr::from((FIELD.addresses().next().ok_or("no target")?, PORT));
    let sender = inside(NEAR, || UdpSocket::bind((OWN, 0)))??;
    let receiver = inside(FAR, || UdpSocket::bind(target))??;
    receiver.set_read_timeout(Some(Duration::from_millis(300)))?;
    let is_sent = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&receiver, &is_sent));
        let began = Instant::now();
        for _ in 0..frames {
            // A card without room drops it, and the counters tell.
            let _sent = sender.send_to(&PAYLOAD, target);
        }
        is_sent.store(true, Ordering::Relaxed);
        let last = receiving.join().map_err(|_| "the receiver broke")??;
        Ok(last.saturating_duration_since(began))
    })
}

/// When the last one arrived.
fn receive(socket: &UdpSocket, is_sent: &AtomicBool) -> std::io::Result<Instant> {
    let mut last = Instant::now();
    loop {
        match socket.recv(&mut [0; 64]) {
            Ok(_) => last = Instant::now(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if is_sent.load(Ordering::Relaxed) {
                    return Ok(last);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn connect_times() -> Outcome<Vec<Duration>> {
    let open = SocketAddr::from(*FIELD.open().first().ok_or("nothing listens")?);
    let connect = || {
        let began = Instant::now();
        TcpStream::connect(open).map(|_| began.elapsed())
    };
    Ok(inside(NEAR, || (0..CONNECTS).map(|_| connect()).collect::<Result<_, _>>())??)
}
