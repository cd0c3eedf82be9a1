//! A coordinator and its nodes as real processes, each with a data folder of its own, on loopback addresses of their own.

use super::netns::{Entrance, Host};
use super::{PASSWORD, Process, api, as_soon_as, portdrift, stdout_of, told};
use serde_json::Value;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};
use tempfile::TempDir;

/// A mesh that is stopped and removed when dropped.
pub(crate) struct Mesh {
    pub(crate) coordinator: Process,
    pub(crate) nodes: Vec<Process>,
    /// More of the coordinator's command line.
    words: &'static [&'static str],
    /// Where the coordinator runs, when it is on a host of its own.
    entrance: Option<Entrance>,
    dashboard: String,
    address: Ipv4Addr,
    mesh_port: u16,
    folder: TempDir,
}

/// The mesh port of those that have a host of their own.
pub(crate) const HOST_PORT: u16 = 9430;

static NEXT: AtomicU8 = AtomicU8::new(1);

/// A loopback address that no other mesh of this test program uses.
fn own_address() -> Ipv4Addr {
    Ipv4Addr::new(127, 60, u8::try_from(std::process::id() % 250).unwrap(), NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Two neighbouring ports that are free, the first for the mesh and the second for those who ask to join.
fn free_ports(address: Ipv4Addr) -> u16 {
    let is_free = |port: u16| TcpListener::bind((address, port)).is_ok();
    let mut picked = std::iter::from_fn(|| Some(TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()));
    picked.find(|port| port.checked_add(1).is_some_and(is_free)).unwrap()
}

/// Sets up a coordinator in `dir`, listening for its mesh at `listen`.
pub(crate) fn set_up(home: &Path, dir: &Path, listen: SocketAddr) -> String {
    let password = home.join("password");
    std::fs::File::create(&password).unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let mut setup = portdrift(home);
    setup.args(["setup", "--admin", "ada", "--mesh-listen", &listen.to_string(), "--http", "127.0.0.1:0"]);
    stdout_of(setup.arg("--dir").arg(dir).arg("--password-file").arg(&password))
}

impl Mesh {
    /// Sets up and starts a coordinator.
    pub(crate) fn start() -> Self {
        Self::start_on(|_| (), &[])
    }

    /// As [`Self::start`], with the coordinator's data folder prepared before, and with more words on its command line.
    pub(crate) fn start_on(prepare: impl FnOnce(&Path), words: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(&folder.path().join("hub"));
        let address = own_address();
        let mesh_port = free_ports(address);
        set_up(folder.path(), &folder.path().join("hub"), SocketAddr::from((address, mesh_port)));
        let (coordinator, dashboard) = start_coordinator(folder.path(), words, None);
        Self { coordinator, nodes: Vec::new(), words, entrance: None, dashboard, address, mesh_port, folder }
    }

    /// Sets up and starts a coordinator on a host of its own, where it listens at every address.
    pub(crate) fn start_in(host: &Host) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), Ipv4Addr::UNSPECIFIED);
        set_up(folder.path(), &folder.path().join("hub"), SocketAddr::from((address, HOST_PORT)));
        let entrance = Some(host.entrance());
        let (coordinator, dashboard) = start_coordinator(folder.path(), &[], entrance.as_ref());
        Self { coordinator, nodes: Vec::new(), words: &[], entrance, dashboard, address, mesh_port: HOST_PORT, folder }
    }

    /// The folder that holds every data folder of this mesh.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    /// The coordinator's data folder.
    pub(crate) fn hub(&self) -> PathBuf {
        self.home().join("hub")
    }

    /// Where the dashboard answers now.
    pub(crate) fn dashboard(&self) -> &str {
        &self.dashboard
    }

    /// A client command, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = portdrift(self.home());
        command.args(arguments).arg("--dir").arg(self.hub());
        command
    }

    /// Runs a client command, whatever comes of it.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a client command that must succeed, and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}\n{}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the API has at `path`, for what no command prints.
    pub(crate) fn get(&self, path: &str) -> Value {
        api::get(&self.hub(), path)
    }

    /// An invite as a node needs it.
    pub(crate) fn invite(&self) -> String {
        stdout_of(&mut self.command(&["invites", "create"])).lines().next().unwrap().to_owned()
    }

    /// Starts a node that asks to join, and gives its fingerprint.
    pub(crate) fn start_node(&mut self, name: &str) -> String {
        let invite = self.invite();
        self.start_node_with(name, &invite)
    }

    /// The same, with an invite of its own.
    pub(crate) fn start_node_with(&mut self, name: &str, invite: &str) -> String {
        let node = Process::start(self.node(name).args(["--join", invite]));
        let line = node.line("this node is ");
        self.nodes.push(node);
        line.split("this node is ").nth(1).unwrap().trim().to_owned()
    }

    /// The node of this name, not yet started.
    pub(crate) fn node(&self, name: &str) -> Command {
        self.node_at(name, &[SocketAddr::from((self.address, 0))])
    }

    fn node_at(&self, name: &str, listen: &[SocketAddr]) -> Command {
        let mut command = portdrift(self.home());
        command.args(["node", "run", "--short-times", "--label", name]).arg("--dir").arg(self.home().join(name));
        command.args(listen.iter().flat_map(|address| ["--listen".to_owned(), address.to_string()]));
        command
    }

    /// Starts a node on another host that listens at these addresses, with an invite where it needs one. It is not one
    /// of [`Self::nodes`].
    pub(crate) fn start_node_in(
        &self,
        host: &Host,
        name: &str,
        listen: &[SocketAddr],
        invite: Option<&str>,
    ) -> Process {
        let mut command = self.node_at(name, listen);
        command.args(invite.into_iter().flat_map(|invite| ["--join", invite]));
        Process::start(&mut host.entrance().command(&command))
    }

    /// Starts the node that was `nodes[index]` again, on the same data, and waits until it is one of the mesh.
    pub(crate) fn start_again(&mut self, index: usize, name: &str, fingerprint: &str) {
        self.restart(index, name);
        self.nodes[index].line("connected to the coordinator");
        self.until(fingerprint, "online");
    }

    /// Starts the node that was `nodes[index]` again, on the same data.
    pub(crate) fn restart(&mut self, index: usize, name: &str) {
        self.nodes[index] = Process::start(&mut self.node(name));
    }

    /// How many results wait on a node's disk.
    pub(crate) fn spooled(&self, name: &str) -> usize {
        let spool = self.home().join(name).join("spool");
        let is_result = |path: &Path| path.extension().is_some_and(|ending| ending == "result");
        std::fs::read_dir(spool).unwrap().filter(|file| is_result(&file.as_ref().unwrap().path())).count()
    }

    /// Writes down what the owner of a node lets it do, before it is started.
    pub(crate) fn set_policy(&self, name: &str, policy: &str) {
        std::fs::DirBuilder::new().mode(0o700).create(self.home().join(name)).unwrap();
        std::fs::write(self.home().join(name).join("policy.toml"), policy).unwrap();
    }

    /// Starts a node, approves it for `ranges`, and waits until it is one of the mesh.
    pub(crate) fn add_node(&mut self, name: &str, ranges: &str) -> String {
        let fingerprint = self.start_node(name);
        let node = self.nodes.last().unwrap();
        node.line("waiting for approval");
        stdout_of(&mut self.command(&["keys", "approve", &fingerprint, "--label", name, "--ranges", ranges]));
        node.line("connected to the coordinator");
        self.until(&fingerprint, "online");
        fingerprint
    }

    /// Waits until the coordinator counts the node as `status`; a run that is planned before it is online does without it.
    pub(crate) fn until(&self, fingerprint: &str, status: &str) {
        as_soon_as(|| {
            let nodes = self.get("/nodes");
            let is_so = |node: &Value| node["fingerprint"] == fingerprint && node["status"] == status;
            let found = nodes.as_array().unwrap().iter().any(is_so);
            found.then_some(()).ok_or_else(|| format!("{fingerprint} is not {status}: {nodes:#}"))
        });
    }

    /// Ends the coordinator without warning and starts it again on the same data.
    pub(crate) fn crash_coordinator(&mut self) {
        self.coordinator.kill();
        self.start_coordinator();
    }

    /// Starts the coordinator on the same data once the one before has ended.
    pub(crate) fn start_coordinator(&mut self) {
        (self.coordinator, self.dashboard) = start_coordinator(self.folder.path(), self.words, self.entrance.as_ref());
    }

    /// Where the mesh listens.
    pub(crate) fn mesh_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.mesh_port))
    }
}

fn start_coordinator(home: &Path, words: &[&str], entrance: Option<&Entrance>) -> (Process, String) {
    let mut command = portdrift(home);
    command.args(["coordinator", "run", "--short-times"]).args(words).arg("--dir").arg(home.join("hub"));
    if let Some(entrance) = entrance {
        command = entrance.command(&command);
    }
    let process = Process::start(&mut command);
    let dashboard =
        process.line("dashboard").split_whitespace().find(|word| word.starts_with("http")).unwrap().to_owned();
    process.line("ready");
    (process, dashboard)
}
