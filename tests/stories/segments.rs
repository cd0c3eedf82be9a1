//! A chain of segments that do not forward: coordinator — dmz — seg1 — seg2. The last node works as any other.

mod cut_off;

use crate::harness::{
    Capture, Chain, HOST_PORT, Hosts, Mesh, Process, Recorder, as_soon_as, holds, may_make_hosts, results_written,
    stdout_of,
};
use serde_json::{Value, json};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

/// The hosts by their place in the chain; the last one is scanned.
const NAMES: [&str; 5] = ["hub", "dmz", "seg1", "seg2", "plant"];
const HUB: usize = 0;
const DMZ: usize = 1;
const SEG1: usize = 2;
const SEG2: usize = 3;
const PLANT: usize = 4;

/// What a service of the plant says, and what a capture would show of it.
const GREETING: &str = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
const BANNER: &str = "OpenSSH";

/// The last numbers of the plant's hosts.
const LASTS: [u8; 3] = [10, 11, 12];

struct Lab {
    chain: Chain,
    mesh: Mesh,
    /// dmz, seg1, seg2.
    nodes: Vec<Process>,
    /// Their keys.
    keys: Vec<String>,
    _plant: Hosts,
}

impl Lab {
    /// The chain from 198.18.`first`.0/24 on, with nobody in the mesh but its coordinator.
    fn new(first: u8) -> Self {
        let chain = Chain::new(&NAMES, first);
        let mut plant = Hosts::default();
        for last in LASTS {
            let address = SocketAddr::from((chain.add_address(PLANT, last), 2222));
            plant.greet(chain.hosts[PLANT].inside(|| TcpListener::bind(address).unwrap()), GREETING);
        }
        let mesh = Mesh::start_in(&chain.hosts[HUB]);
        Self { chain, mesh, nodes: Vec::new(), keys: Vec::new(), _plant: plant }
    }

    /// The network that the last node is to scan, as `198.18.n`.
    fn plant(&self) -> String {
        let plant = self.chain.left(PLANT).to_string();
        plant.rsplit_once('.').unwrap().0.to_owned()
    }

    fn start(&self, index: usize, invite: Option<&str>) -> Process {
        self.start_beside(index, NAMES[index], HOST_PORT, invite)
    }

    /// Starts a node on host `index` of the chain, which listens towards both sides.
    fn start_beside(&self, index: usize, name: &str, port: u16, invite: Option<&str>) -> Process {
        let listen = [self.chain.left(index), self.chain.right(index)].map(|ip| SocketAddr::from((ip, port)));
        self.mesh.start_node_in(&self.chain.hosts[index], name, &listen, invite)
    }

    /// Lets in the next node of the chain, to scan itself and nothing else. There is no other way than from host to host.
    fn add(&mut self, index: usize) {
        self.assert_cut();
        let node = self.start(index, Some(&self.invite_for(index)));
        let key = self.let_in(&node, NAMES[index], index.checked_sub(DMZ + 1));
        self.nodes.push(node);
        self.keys.push(key);
        self.assert_cut();
    }

    /// The first node of the chain asks the coordinator; each other one knows only the node before it.
    fn invite_for(&self, index: usize) -> String {
        if index == DMZ {
            return self.mesh.invite();
        }
        let sponsor = index - 1;
        stdout_of(&mut self.mesh.command(&["keys", "approve", &self.keys[sponsor - 1], "--sponsor"]));
        self.nodes[sponsor - 1].line("passing on requests to join");
        let desk = SocketAddr::from((self.chain.right(sponsor), HOST_PORT + 1)).to_string();
        let invite = self.mesh.json(&["invites", "create", "--address", &desk]);
        assert_eq!(invite["addresses"], json!([desk]));
        invite["invite"].as_str().unwrap().to_owned()
    }

    /// Approves a node that asks, and waits until it is one of the mesh; gives its key. `sponsor` is the node, as in
    /// [`Self::nodes`], through which it asks.
    fn let_in(&self, node: &Process, name: &str, sponsor: Option<usize>) -> String {
        let line = node.line("this node is ");
        let key = line.split("this node is ").nth(1).unwrap().trim().to_owned();
        node.line("waiting for approval");
        let seen = self.mesh.json(&["keys", "show", &key]);
        assert_eq!(seen["asked_through"], json!(sponsor.map(|sponsor| &self.keys[sponsor])), "{seen:#}");
        let nothing = self.chain.left(DMZ).to_string();
        stdout_of(&mut self.mesh.command(&["keys", "approve", &key, "--label", name, "--ranges", &nothing]));
        node.line("connected to ");
        self.mesh.until(&key, "online");
        key
    }

    /// Lets a node scan the plant, and waits until it knows.
    fn let_scan(&self, node: &Process, key: &str) {
        let ranges = format!("{}.0/24", self.plant());
        stdout_of(&mut self.mesh.command(&["keys", "approve", key, "--ranges", &ranges]));
        node.line(&format!("roster epoch {} is in force", self.epoch()));
    }

    fn epoch(&self) -> u64 {
        self.mesh.get("/roster")["epoch"].as_u64().unwrap()
    }

    fn create_scan(&self, arguments: &str) {
        let targets = format!("{}.{}-{}", self.plant(), LASTS[0], LASTS[2]);
        let arguments = format!("--args={arguments}");
        self.mesh.json(&["scans", "create", "plant", "--targets", &targets, "--ports", "2222,8080", &arguments]);
    }

    /// Proves that the chain is one: everybody reaches the host before and nobody a further one, of those that serve.
    fn assert_cut(&self) {
        for (to, name) in NAMES.iter().enumerate().take(self.nodes.len() + 1) {
            let service = SocketAddr::from((self.chain.right(to), HOST_PORT));
            for (from, host) in self.chain.hosts.iter().enumerate().filter(|(from, _)| *from != to) {
                let failure = host.probe(service);
                let is_next = from == to + 1;
                assert_eq!(failure.is_none(), is_next, "{} to {name}: {failure:?}", NAMES[from]);
            }
        }
    }

    fn run(&self) -> Value {
        let run = self.mesh.json(&["scans", "run", "plant"])["id"].clone();
        self.ended(&run)
    }

    fn ended(&self, run: &Value) -> Value {
        as_soon_as(|| {
            let seen = self.mesh.get(&format!("/runs/{run}"));
            if seen["ended"] == true { Ok(seen) } else { Err(format!("{seen:#}")) }
        })
    }
}

/// The chain with its nodes let in, up to this one.
fn lab(first: u8, last: usize) -> Lab {
    let mut lab = Lab::new(first);
    (DMZ..=last).for_each(|index| lab.add(index));
    lab
}

/// Sends `text` from the hub to dmz as it is, so that a capture that does not see it is known to be blind.
fn send_plainly(chain: &Chain, text: &str) {
    let address = SocketAddr::from((chain.left(DMZ), 7));
    let listener = chain.hosts[DMZ].inside(|| TcpListener::bind(address).unwrap());
    let mut caller = chain.hosts[HUB].inside(|| TcpStream::connect(address).unwrap());
    let _answerer = listener.accept().unwrap();
    caller.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_node_three_segments_away_enrols_scans_and_delivers_and_nobody_between_reads_it() {
    if !may_make_hosts() {
        return;
    }
    let mut lab = lab(1, SEG1);
    let capture = Capture::on(&lab.chain.hosts[DMZ]);
    lab.add(SEG2);
    let (far, plant) = (SEG2 - 1, lab.plant());
    lab.let_scan(&lab.nodes[far], &lab.keys[far]);
    lab.create_scan("-sV");
    let ended = lab.run();
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(3)), "{ended:#}");
    let export = lab.mesh.output(&["reports", "export", &ended["id"].to_string(), "--format", "xml"]);
    let found = String::from_utf8_lossy(&export.stdout);
    assert!(found.contains(BANNER), "the result tells of the service: {found}");
    send_plainly(&lab.chain, "a capture that sees");
    let captured = capture.end();
    assert!(holds(&captured, "a capture that sees") && captured.len() > 10_000, "{} bytes", captured.len());
    for text in [BANNER, "SSH-2.0", &plant, "plant", "seg2"] {
        assert!(!holds(&captured, text), "dmz reads {text:?}");
    }
    // A run during which the only way goes away and comes back.
    let run = lab.mesh.json(&["scans", "run", "plant"])["id"].clone();
    lab.nodes[far].line(&format!("task {run}.0 started"));
    lab.nodes[DMZ - 1].kill();
    lab.nodes[far].line(&format!("task {run}.0 done"));
    lab.nodes[DMZ - 1] = lab.start(DMZ, None);
    let ended = lab.ended(&run);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(3)), "{ended:#}");
    assert_eq!(lab.mesh.json(&["reports", "show", &run.to_string()])["changes"], json!([]));
    assert!(lab.mesh.coordinator.stop().success());
    let written = results_written(&lab.mesh.hub());
    assert!(written.values().all(|times| *times == 1), "counted twice: {written:?}");
    let done = Recorder::default().tasks(&lab.nodes, "done");
    assert!(done.iter().all(|task| written.contains_key(task)), "lost: {done:?}, {written:?}");
}
