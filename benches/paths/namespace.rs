//! Namespaces for a whole bench: of the network without any card, of mounts and of processes, made by `unshare`.
//!
//! However the bench ends, the kernel ends all that it started and removes all that it made.

use crate::Outcome;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus, Stdio};

/// Makes room for names of namespaces, then becomes the program and arguments that follow.
const READY: &str = "mkdir -p /run/netns && mount -t tmpfs none /run/netns && exec \"$@\"";
/// The argument of a bench within its namespaces.
const INSIDE: &str = "--inside";
const NONE: &str = "no namespaces can be made here; run it as root, with util-linux, iproute2 and nftables";

/// True within the namespaces, which end with the process outside. Outside, runs this program with its arguments inside,
/// and gives false when that went well or was skipped because nothing can be made.
pub(crate) fn enter(arguments: &[String]) -> Outcome<bool> {
    if arguments.first().is_some_and(|argument| argument == INSIDE) {
        end_with_the_outside();
        return Ok(true);
    }
    match run_inside(arguments)? {
        Some(status) if status.success() => Ok(false),
        Some(status) => Err(format!("the bench ended with {status}").into()),
        None if std::env::var("PORTDRIFT_NO_SKIP").as_deref() == Ok("1") => Err(NONE.into()),
        None => {
            println!("skipped: {NONE}");
            Ok(false)
        }
    }
}

/// `None` where no namespaces can be made.
fn run_inside(arguments: &[String]) -> Outcome<Option<ExitStatus>> {
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let inside = |program: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        unshare.args(user).args(["sh", "-c", READY, "sh", program]);
        unshare
    };
    match inside("true").stderr(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        Ok(_) | Err(_) => return Ok(None),
    }
    let program = std::env::current_exe()?.display().to_string();
    let mut child = inside(&program).arg(INSIDE).args(arguments).stdin(Stdio::piped()).spawn()?;
    // Its end, which comes with ours at the latest, ends what is inside: signals do not reach it.
    let held = child.stdin.take();
    let status = child.wait()?;
    drop(held);
    Ok(Some(status))
}

/// Ends this process, and so all that it started, when the one outside has ended.
fn end_with_the_outside() {
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}

/// Runs `work` on a thread that is in the namespace `host`; devices and sockets that it opens stay there.
pub(crate) fn inside<T: Send>(host: &str, work: impl FnOnce() -> T + Send) -> Outcome<T> {
    let namespace = File::open(format!("/run/netns/{host}"))?;
    let enter = || move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).map(|()| work());
    let entered = std::thread::scope(|scope| scope.spawn(enter).join());
    Ok(entered.map_err(|_| "a thread on another host broke")??)
}

/// Runs these lines of `ip`, which must succeed.
pub(crate) fn ip(lines: &str) -> Outcome<()> {
    feed(Command::new("ip").args(["-batch", "-"]), lines)
}

/// Runs `command` with `input`; it must succeed.
pub(crate) fn feed(command: &mut Command, input: &str) -> Outcome<()> {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no way to speak to a program")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let told = || format!("{command:?} with {input:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(told().into()) }
}
