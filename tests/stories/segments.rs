//! A chain of segments that do not forward: coordinator — dmz — seg1 — seg2. The last node works as any other.

use crate::harness::{
    Capture, Chain, HOST_PORT, Hosts, Lift, Mesh, Process, Recorder, as_soon_as, holds, may_make_hosts, results_written,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

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
    /// From the hub to the nodes that enrol, until they have; the hub tells of the addresses that it has at its start.
    lifts: BTreeMap<usize, Lift>,
    chain: Chain,
    mesh: Mesh,
    /// dmz, seg1, seg2.
    nodes: Vec<Process>,
    _plant: Hosts,
}

impl Lab {
    fn new() -> Self {
        let chain = Chain::new(&NAMES, 1);
        let mut plant = Hosts::default();
        for last in LASTS {
            let address = SocketAddr::from((chain.add_address(PLANT, last), 2222));
            plant.greet(chain.hosts[PLANT].inside(|| TcpListener::bind(address).unwrap()), GREETING);
        }
        let lifts = [SEG1, SEG2].map(|index| (index, chain.lift(index))).into_iter().collect();
        let mesh = Mesh::start_in(&chain.hosts[HUB]);
        Self { lifts, chain, mesh, nodes: Vec::new(), _plant: plant }
    }

    /// Where a node of the chain listens: towards both sides.
    fn listens(&self, index: usize) -> Vec<Ipv4Addr> {
        vec![self.chain.left(index), self.chain.right(index)]
    }

    fn start(&self, index: usize, invite: Option<&str>) -> Process {
        self.mesh.start_node_in(&self.chain.hosts[index], NAMES[index], &self.listens(index), invite)
    }

    /// Lets in the next node of the chain over a link that is cut then, so that only its neighbours are left.
    fn add(&mut self, index: usize, ranges: &str) {
        let node = self.start(index, Some(&self.mesh.invite()));
        let line = node.line("this node is ");
        let fingerprint = line.split("this node is ").nth(1).unwrap().trim().to_owned();
        node.line("waiting for approval");
        let output = self.mesh.output(&["keys", "approve", &fingerprint, "--label", NAMES[index], "--ranges", ranges]);
        assert!(output.status.success(), "{output:?}");
        node.line("connected to the coordinator");
        if let Some(lift) = self.lifts.remove(&index) {
            node.line("connected to node ");
            drop(lift);
            node.line("the connection to the coordinator is lost");
        }
        self.nodes.push(node);
        self.mesh.until(&fingerprint, "online");
    }

    /// Proves that the chain is one: nobody reaches further than the next host.
    fn assert_cut(&self) {
        let services = [(HUB, self.chain.right(HUB)), (DMZ, self.chain.right(DMZ)), (SEG1, self.chain.right(SEG1))];
        for (from, host) in self.chain.hosts.iter().enumerate() {
            for (to, address) in services.iter().filter(|(to, _)| from.abs_diff(*to) > 1) {
                let failure = host.probe(SocketAddr::from((*address, HOST_PORT)));
                assert!(failure.is_some(), "{} reaches {}", NAMES[from], NAMES[*to]);
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

/// The whole chain with its nodes let in, and a scan of the plant.
fn lab() -> Lab {
    let mut lab = Lab::new();
    let plant = lab.chain.left(PLANT).to_string();
    let net = plant.rsplit_once('.').unwrap().0.to_owned();
    // Those between scan nothing but themselves.
    let (dmz, seg1) = (lab.chain.left(DMZ).to_string(), lab.chain.left(SEG1).to_string());
    for (index, ranges) in [(DMZ, dmz), (SEG1, seg1), (SEG2, format!("{net}.0/24"))] {
        lab.add(index, &ranges);
        lab.assert_cut();
    }
    let targets = format!("{net}.{}-{}", LASTS[0], LASTS[2]);
    lab.mesh.json(&["scans", "create", "plant", "--targets", &targets, "--ports", "2222,8080", "--args=-sV"]);
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
    let mut lab = lab();
    let capture = Capture::on(&lab.chain.hosts[DMZ]);
    let ended = lab.run();
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(3)), "{ended:#}");
    let export = lab.mesh.output(&["reports", "export", &ended["id"].to_string(), "--format", "xml"]);
    let found = String::from_utf8_lossy(&export.stdout);
    assert!(found.contains(BANNER), "the result tells of the service: {found}");
    send_plainly(&lab.chain, "a capture that sees");
    let captured = capture.end();
    assert!(holds(&captured, "a capture that sees") && captured.len() > 10_000, "{} bytes", captured.len());
    let plant = lab.chain.left(PLANT).to_string();
    let net = plant.rsplit_once('.').unwrap().0;
    for text in [BANNER, "SSH-2.0", net, "plant", "seg2"] {
        assert!(!holds(&captured, text), "dmz reads {text:?}");
    }
    // A run during which the only way goes away and comes back.
    let run = lab.mesh.json(&["scans", "run", "plant"])["id"].clone();
    lab.nodes[SEG2 - 1].line(&format!("task {run}.0 started"));
    lab.nodes[DMZ - 1].kill();
    lab.nodes[SEG2 - 1].line(&format!("task {run}.0 done"));
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
