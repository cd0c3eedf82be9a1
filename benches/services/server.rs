//! One running service: its folder, its processes, and their end.

use super::catalogue::{Entry, folders};
use rustix::process::{Pid, Signal, kill_process_group};
use std::error::Error;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where services listen that do not mind.
const ADDRESS: &str = "127.77.9.1";

/// The first port; each service has three.
const FIRST_PORT: usize = 30_000;

/// How long a service may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// A service; it ends, with all it started, when this is dropped.
pub(crate) struct Server {
    pub(crate) entry: Entry,
    pub(crate) target: SocketAddr,
    folder: PathBuf,
    child: Child,
}

impl Server {
    /// Prepares and starts the service at `place` of the catalogue; does not wait until it listens.
    pub(crate) fn start(entry: Entry, place: usize, base: &Path) -> Result<Self, Box<dyn Error>> {
        let folder = base.join(place.to_string());
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(base, std::fs::Permissions::from_mode(0o755))?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
        let port = FIRST_PORT + place * 3;
        let address = entry.address.clone().unwrap_or_else(|| ADDRESS.to_owned());
        let fill = |text: &str| {
            let pairs = [
                ("{dir}", folder.display().to_string()),
                ("{address}", address.clone()),
                ("{port}", port.to_string()),
                ("{next}", (port + 1).to_string()),
                ("{epmd}", (port + 2).to_string()),
            ];
            pairs.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
        };
        for (name, text) in &entry.files {
            std::fs::write(folder.join(name), fill(text))?;
        }
        let user = entry.user.as_deref().filter(|_| rustix::process::geteuid().is_root());
        if let Some(user) = user {
            Command::new("chown").arg("-R").arg(user).arg(&folder).status()?;
        }
        let command = |words: &[String]| -> Result<Command, Box<dyn Error>> {
            let words: Vec<String> = words.iter().map(|word| fill(word)).collect();
            let mut command = as_user(user, &words)?;
            command.env("PATH", std::env::join_paths(folders())?).current_dir(&folder).stdin(Stdio::null());
            command.envs(entry.environment.iter().map(|(name, value)| (name, fill(value))));
            let log = std::fs::File::options().create(true).append(true).open(folder.join("out"))?;
            command.stdout(log.try_clone()?).stderr(log).process_group(0);
            Ok(command)
        };
        for words in &entry.prepare {
            command(words)?.status()?;
        }
        let child = command(&entry.start)?.spawn()?;
        let target = SocketAddr::new(address.parse()?, u16::try_from(port)?);
        Ok(Self { entry, target, folder, child })
    }

    /// True when it accepts connections.
    pub(crate) fn listens(&self) -> bool {
        TcpStream::connect_timeout(&self.target, Duration::from_millis(300)).is_ok()
    }

    /// The end of what it wrote.
    pub(crate) fn complaint(&self) -> String {
        let text = std::fs::read(self.folder.join("out")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
    }
}

/// The command, as another user when that is wanted.
fn as_user(user: Option<&str>, words: &[String]) -> Result<Command, Box<dyn Error>> {
    let wrap: Vec<OsString> = match user {
        Some(user) => ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"].map(OsString::from).into(),
        None => Vec::new(),
    };
    let mut all = wrap.into_iter().chain(words.iter().map(OsString::from));
    let mut command = Command::new(all.next().ok_or("an empty command")?);
    command.args(all);
    Ok(command)
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let Some(group) = group else { return };
        // The only failure there is: the group has ended already.
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}
