//! The last step before a foreign scanner runs: a hidden subcommand of our own binary calls [`exec_guarded`], which ties
//! the process down and then becomes the scanner. Limits set this way need no code between fork and exec.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::set_no_new_privs;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The subcommand: `portdrift exec-nmap -- PATH ARGS…`.
pub const SUBCOMMAND: &str = "exec-nmap";

/// Environment variable that names the process which must still be the parent; without it nothing is checked.
pub const PARENT: &str = "PORTDRIFT_PARENT";

/// What a scanner may have: no core dump, no file written, 2 GiB of memory, 4,096 descriptors.
const LIMITS: [(Resource, u64); 4] =
    [(Resource::Core, 0), (Resource::Fsize, 0), (Resource::As, 2 << 30), (Resource::Nofile, 4_096)];

/// Becomes `program`: with limits, without new privileges, and killed when the thread that started this process ends.
///
/// Returns only when that failed. Start this process from a thread that lives as long as the scan (a worker of the
/// runtime, not a blocking thread), since the kernel watches the thread.
pub fn exec_guarded(program: &OsStr, args: &[impl AsRef<OsStr>]) -> io::Error {
    match tie_down() {
        Ok(()) => Command::new(program).args(args).env_remove(PARENT).exec(),
        Err(error) => error.into(),
    }
}

fn tie_down() -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that ended before the line above never sends the signal.
    if let Ok(parent) = std::env::var(PARENT)
        && parent.parse() != Ok(getppid().map_or(0, Pid::as_raw_pid))
    {
        return Err(Errno::SRCH);
    }
    for (resource, wanted) in LIMITS {
        let allowed = getrlimit(resource).maximum.map_or(wanted, |maximum| maximum.min(wanted));
        setrlimit(resource, Rlimit { current: Some(allowed), maximum: Some(allowed) })?;
    }
    set_no_new_privs(true)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    /// Set in the processes that these tests start of themselves: what they are to do.
    const ROLE: &str = "PORTDRIFT_TEST_GUARD_ROLE";
    /// With this name alone, the role is a shell script to become under the guard.
    const LIMITS: &str = "engine::guard::tests::a_guarded_program_has_limits_and_no_way_to_new_privileges";
    const DEATH: &str = "engine::guard::tests::a_guarded_program_dies_with_the_process_that_started_it";

    /// A launcher, as text for a shell: this test binary under the guard. What the harness says goes nowhere.
    pub(crate) fn launcher() -> String {
        let own = std::env::current_exe().unwrap();
        let own = own.display();
        format!(
            "#!/bin/sh\nshift 2\nexec 3>&1 1>/dev/null\nexport {ROLE}=\"exec $* 1>&3 3>&-\"\nexec {own} --exact {LIMITS} --nocapture\n"
        )
    }

    fn myself(test: &str, role: &str, parent: u32) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(ROLE, role).env(PARENT, parent.to_string());
        command.stdout(Stdio::piped());
        command
    }

    fn become_shell(script: &str) {
        panic!("not executed: {}", exec_guarded(OsStr::new("/bin/sh"), &["-c", script]));
    }

    #[test]
    fn a_guarded_program_has_limits_and_no_way_to_new_privileges() {
        if let Ok(script) = std::env::var(ROLE) {
            become_shell(&script);
        }
        let run = |parent: u32| {
            let script = "ulimit -c -f; grep NoNewPrivs /proc/self/status; echo parent=$PORTDRIFT_PARENT";
            let output = myself(LIMITS, script, parent).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (success, text) = run(std::process::id());
        assert!(success && text.contains("NoNewPrivs:\t1") && text.contains("parent=\n"), "{text}");
        let (success, text) = run(1_234_567_890);
        assert!(!success && !text.contains("NoNewPrivs"), "another parent: {text}");
    }

    #[test]
    fn a_guarded_program_dies_with_the_process_that_started_it() {
        match std::env::var(ROLE).as_deref() {
            Ok("scanner") => become_shell("echo ready; sleep 20; echo survived"),
            Ok(_) => {
                let own = std::process::id();
                myself(DEATH, "scanner", own).stdout(Stdio::inherit()).status().unwrap();
            }
            Err(_) => {
                let mut node = myself(DEATH, "node", 0).spawn().unwrap();
                let mut output = BufReader::new(node.stdout.take().unwrap());
                let mut line = String::new();
                while line.trim() != "ready" {
                    line.clear();
                    assert!(output.read_line(&mut line).unwrap() > 0, "the scanner never started");
                }
                node.kill().unwrap();
                node.wait().unwrap();
                // The scanner holds the other end: it closes when the scanner is gone.
                let mut rest = String::new();
                output.read_to_string(&mut rest).unwrap();
                assert!(!rest.contains("survived"), "{rest}");
            }
        }
    }
}
