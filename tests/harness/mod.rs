//! What stories are made of: the binary, a mesh of real processes on loopback, and small hosts to scan.

mod api;
mod browser;
mod capture;
mod chance;
mod fake_nmap;
mod hosts;
mod http;
mod mesh;
mod netns;
mod process;
mod proxy;
mod recorder;
mod small_disk;
mod traffic;

pub(crate) use browser::{Browser, Script};
pub(crate) use capture::{Capture, holds};
pub(crate) use chance::Chance;
pub(crate) use fake_nmap::FakeNmap;
pub(crate) use hosts::Hosts;
pub(crate) use http::{Answer, ask, ask_tls, connect, request};
pub(crate) use mesh::{HOST_PORT, Mesh, USUAL_TIMES, set_up};
pub(crate) use netns::{Chain, may_make_hosts};
pub(crate) use process::Process;
pub(crate) use proxy::start_proxy;
pub(crate) use recorder::{Recorder, results_written};
pub(crate) use small_disk::SmallDisk;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// After this a story has failed; long enough for a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The first three numbers of a loopback /24 that no other story uses, nor another run of the stories on this machine.
pub(crate) fn own_net(story: u8) -> String {
    format!("127.{}.{story}", 70 + std::process::id() % 180)
}

/// A password that the accounts of stories have.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The binary under test, with an environment that holds nothing of this machine's user.
pub(crate) fn portdrift(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portdrift"));
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null());
    command
}

/// Standard output of a command that must succeed.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command left behind, in one text.
pub(crate) fn told(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n-- stdout\n{out}-- stderr\n{err}", output.status)
}

/// True when all of these files of other programs are there; says so when not, and fails instead where nothing may be skipped.
pub(crate) fn have(files: &[&str]) -> bool {
    let missing: Vec<_> = files.iter().filter(|file| !Path::new(file).exists()).collect();
    assert!(
        missing.is_empty() || std::env::var("PORTDRIFT_NO_SKIP").as_deref() != Ok("1"),
        "not installed: {missing:?}"
    );
    if !missing.is_empty() {
        println!("skipped: not installed: {missing:?}");
    }
    missing.is_empty()
}

/// Between two looks at what is about to change.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What `look` finds, as soon as it finds it; until then it tells what it saw instead.
pub(crate) fn as_soon_as<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "not in time: {seen}"),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// True in a long run of the suite.
pub(crate) fn is_long() -> bool {
    std::env::var_os("PORTDRIFT_LONG").is_some_and(|value| value == "1")
}
