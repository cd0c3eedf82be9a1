//! A coordinator on the network that is scanned, and two nodes beside it, each on a host and a link of its own.

use crate::Outcome;
use crate::field::{Field, NET};
use crate::namespace::{feed, ip};
use crate::part::Part;
use crate::program::{Program, portdrift, told};
use serde::de::DeserializeOwned;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The nodes, and the hosts they are on.
pub(crate) const NODES: [&str; 2] = ["east", "west"];
/// The host of the targets and of the coordinator.
const PLANT: &str = "plant";
const PASSWORD: &str = "correct horse battery staple";
const PORT: u16 = 9430;
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// The running mesh.
pub(crate) struct Mesh {
    home: TempDir,
    _coordinator: Program,
    _nodes: Vec<Program>,
    listener: Option<Part>,
}

impl Mesh {
    /// Makes hosts, coordinator and nodes, and waits until all are one mesh.
    pub(crate) fn start(field: Field) -> Outcome<Self> {
        make_hosts(field)?;
        let home = tempfile::tempdir()?;
        let password = home.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        let listen = format!("0.0.0.0:{PORT}");
        let setup = ["setup", "--admin", "ada", "--mesh-listen", &listen, "--http", "127.0.0.1:0", "--password-file"];
        told(portdrift(home.path(), Some(PLANT), &setup).arg(&password).arg("--dir").arg(hub(home.path())))?;
        let run = ["coordinator", "run", "--keep-free", "1", "--dir"];
        let coordinator = Program::start(portdrift(home.path(), Some(PLANT), &run).arg(hub(home.path())))?;
        coordinator.line("ready")?;
        let mut mesh = Self { home, _coordinator: coordinator, _nodes: Vec::new(), listener: None };
        for (number, name) in NODES.into_iter().enumerate() {
            let node = mesh.add(name, number)?;
            mesh._nodes.push(node);
        }
        mesh.until_online()?;
        Ok(mesh)
    }

    fn add(&self, name: &str, number: usize) -> Outcome<Program> {
        let folder = self.home().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        std::fs::write(folder.join("policy.toml"), "spool_keep_free_mib = 1\n")?;
        let coordinator = format!("198.18.{}.2:{}", 10 + number, PORT + 1);
        let invite = self.ask(&["invites", "create", "--address", &coordinator])?;
        let invite = invite.lines().next().unwrap_or_default().trim().to_owned();
        let listen = format!("198.18.{}.1:{PORT}", 10 + number);
        let words = ["node", "run", "--label", name, "--listen", &listen, "--join", &invite, "--dir"];
        let node = Program::start(portdrift(self.home(), Some(name), &words).arg(folder))?;
        let line = node.line("this node is ")?;
        let fingerprint = line.split("this node is ").nth(1).unwrap_or_default().trim().to_owned();
        node.line("waiting for approval")?;
        let [a, b, c] = NET;
        self.ask(&["keys", "approve", &fingerprint, "--label", name, "--ranges", &format!("{a}.{b}.{c}.0/24")])?;
        node.line("connected to the coordinator")?;
        Ok(node)
    }

    fn until_online(&self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let nodes: Vec<web::api::nodes::Node> = self.get("/nodes")?;
            if nodes.iter().filter(|node| node.status == "online").count() == NODES.len() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("not all nodes are online: {nodes:?}").into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Lets the targets listen as `field` says from now on.
    pub(crate) fn listen(&mut self, field: Field) -> Outcome<()> {
        drop(self.listener.take());
        let program = std::env::current_exe()?;
        let listen = Part::start(Command::new("ip").args(["netns", "exec", PLANT]).arg(program).args(field.words()))?;
        self.listener = Some(listen);
        Ok(())
    }

    /// The folder of everything.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What a command of the coordinator's prints.
    pub(crate) fn ask(&self, words: &[&str]) -> Outcome<String> {
        told(portdrift(self.home(), None, words).arg("--dir").arg(hub(self.home())))
    }

    /// What the API has at `path`. HTTP/1.0 brings the body as it is, up to the end of the connection.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let mut socket = UnixStream::connect(hub(self.home()).join("portdrift.sock"))?;
        write!(socket, "GET /api/v1{path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a body")?;
        serde_json::from_str(body).map_err(|error| format!("{path}: {error}: {body}").into())
    }
}

fn hub(home: &Path) -> PathBuf {
    home.join("hub")
}

/// The plant with all its addresses, and a link from each node's host to it.
fn make_hosts(field: Field) -> Outcome<()> {
    ip(&format!("netns add {PLANT}\n"))?;
    let addresses: String = field.addresses().map(|address| format!("address add {address}/32 dev lo\n")).collect();
    feed(Command::new("ip").args(["-n", PLANT, "-batch", "-"]), &format!("link set lo up\n{addresses}"))?;
    let [a, b, c] = NET;
    for (number, name) in NODES.into_iter().enumerate() {
        let net = 10 + number;
        ip(&format!("netns add {name}\nlink add plant netns {name} type veth peer name {name} netns {PLANT}\n"))?;
        let plant = format!("address add 198.18.{net}.2/24 dev {name}\nlink set {name} up\n");
        feed(Command::new("ip").args(["-n", PLANT, "-batch", "-"]), &plant)?;
        let node = format!(
            "link set lo up\naddress add 198.18.{net}.1/24 dev plant\nlink set plant up\n\
            route add {a}.{b}.{c}.0/24 via 198.18.{net}.2\n"
        );
        feed(Command::new("ip").args(["-n", name, "-batch", "-"]), &node)?;
    }
    Ok(())
}
