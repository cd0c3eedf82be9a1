//! For the tests of the engines: tasks made from text, an engine run to its end, and small servers on loopback.

use super::{Engine, EngineError, Progress};
use crate::policy::{AdmittedTask, Policy};
use protocol::observation::{Coverage, HostObservation, HostState, PortState};
use protocol::target::TargetSet;
use protocol::task::{EngineChoice, RunId, Task, TaskId, TaskSpec};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A task; an empty `ports` is an empty port field.
pub(crate) fn task(targets: &str, ports: &str, args: &str) -> Task {
    let spec = TaskSpec {
        targets: targets.parse().unwrap(),
        ports: (!ports.is_empty()).then(|| ports.parse().unwrap()),
        args: args.parse().unwrap_or_else(|error| panic!("{args}: {error}")),
        engine: EngineChoice::Auto,
        time_limit: Duration::from_secs(120),
    };
    Task { id: TaskId { run: RunId(1), index: 0 }, fence: 1, lease: Duration::from_secs(45), spec }
}

/// The task as a policy without own rules admits it.
pub(crate) fn admitted(targets: &str, ports: &str, args: &str) -> AdmittedTask {
    admit(task(targets, ports, args))
}

pub(crate) fn admit(task: Task) -> AdmittedTask {
    let everything: TargetSet = "0.0.0.0/0,::/0".parse().unwrap();
    Policy::default().admit(task, &everything).unwrap()
}

/// What one scan gave.
pub(crate) struct Scanned {
    pub(crate) hosts: Vec<HostObservation>,
    pub(crate) result: Result<Coverage, EngineError>,
    pub(crate) progress: Progress,
}

/// Runs a scan to its end.
pub(crate) async fn scan(engine: &impl Engine, task: AdmittedTask) -> Scanned {
    scan_until(engine, task, usize::MAX).await
}

/// Runs a scan and stops it when `enough` hosts have come.
pub(crate) async fn scan_until(engine: &impl Engine, task: AdmittedTask, enough: usize) -> Scanned {
    let (sender, mut receiver) = mpsc::channel(1);
    let (progress, seen) = watch::channel(Progress::default());
    let stop = CancellationToken::new();
    let mut hosts: Vec<HostObservation> = Vec::new();
    let collect = async {
        while let Some(host) = receiver.recv().await {
            hosts.push(host);
            if hosts.len() >= enough {
                stop.cancel();
            }
        }
    };
    let (result, ()) = tokio::join!(engine.scan(task, sender, progress, stop.clone()), collect);
    hosts.sort_by_key(|host| host.address);
    let progress = *seen.borrow();
    Scanned { hosts, result, progress }
}

impl Scanned {
    /// The coverage; checks that exactly the covered hosts were sent, each once.
    pub(crate) fn coverage(&self) -> &Coverage {
        let coverage = self.result.as_ref().unwrap();
        let sent: TargetSet = self.hosts.iter().map(|host| host.address).collect();
        assert_eq!(sent, coverage.asked, "what was sent and what is covered");
        assert_eq!(sent.count(), self.hosts.len() as u128, "each host once");
        assert!(coverage.probed.iter().all(|cells| coverage.asked.covers(&cells.targets)));
        coverage
    }

    /// The open ports of `address`.
    pub(crate) fn open(&self, address: &str) -> Vec<u16> {
        let host = self.host(address);
        assert_eq!(host.state, HostState::Up);
        host.ports.iter().filter(|port| port.state == PortState::Open).map(|port| port.port).collect()
    }

    pub(crate) fn host(&self, address: &str) -> &HostObservation {
        self.hosts
            .iter()
            .find(|host| host.address.to_string() == address)
            .unwrap_or_else(|| panic!("{address} not seen"))
    }
}

/// How a small server behaves towards each connection.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Says this at once.
    Greets(&'static [u8]),
    /// Says the second when it is told something that starts with the first; else it hangs up.
    Answers(&'static [u8], &'static [u8]),
    /// The same, one connection at a time.
    AnswersAlone(&'static [u8], &'static [u8]),
    /// Answers the first question at once, and the second one only after a second.
    AnswersLate([(&'static [u8], &'static [u8]); 2]),
    /// Says this without end, as fast as it can.
    Floods(&'static [u8]),
    /// Says one byte of this now and then, without end.
    Drips(u8),
    /// Says nothing.
    Waits,
}

/// Starts a server; it ends with the test's runtime.
pub(crate) async fn serve(address: &str, manner: Manner) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let talk = tokio::spawn(behave(stream, manner));
            if matches!(manner, Manner::AnswersAlone(..)) {
                let _ = talk.await;
            }
        }
    });
    port
}

async fn behave(mut stream: TcpStream, manner: Manner) {
    let mut heard = [0; 1_024];
    match manner {
        Manner::Greets(words) => {
            let _ = stream.write_all(words).await;
        }
        Manner::Answers(question, words) | Manner::AnswersAlone(question, words) => {
            let count = stream.read(&mut heard).await.unwrap_or(0);
            if heard[..count].starts_with(question) {
                let _ = stream.write_all(words).await;
            } else {
                return;
            }
        }
        Manner::AnswersLate([(early, at_once), (_, late)]) => {
            let count = stream.read(&mut heard).await.unwrap_or(0);
            let words = if heard[..count].starts_with(early) {
                at_once
            } else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                late
            };
            let _ = stream.write_all(words).await;
        }
        Manner::Floods(words) => while stream.write_all(words).await.is_ok() {},
        Manner::Drips(byte) => {
            while stream.write_all(&[byte]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Manner::Waits => {}
    }
    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
}

/// A port where nothing listens.
pub(crate) fn closed_port(address: &str) -> u16 {
    std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

/// A port that stays silent: a listener whose queue is full, with the connections that fill it.
pub(crate) async fn silent_port(address: &str) -> (socket2::Socket, Vec<TcpStream>, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&format!("{address}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let target = socket.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(target)).await {
        filling.push(stream.unwrap());
    }
    (socket, filling, target.port())
}

/// Writes a program. Another process does it, so that no fork of this one holds the file open for writing.
pub(crate) fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    path
}
