//! The kill storm: whoever dies whenever, no result is lost, none counts twice, and all work ends.

use crate::harness::{Chance, Hosts, Mesh, Recorder, as_soon_as, is_long, own_net, results_written};
use protocol::TargetSet;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The nodes with the last numbers of their addresses: every address has three nodes or more.
const NODES: [(&str, &str); 6] = [
    ("north", "0-127"),
    ("south", "128-255"),
    ("middle", "64-191"),
    ("wide", "0-255"),
    ("west", "0-200"),
    ("east", "50-255"),
];

/// The scans, which run side by side.
const SCANS: [(&str, &str); 3] = [("plain", "-T4"), ("versions", "-T4 -sV"), ("again", "-T4 -sV --max-retries 1")];

/// Each opens one port of three.
const PORTS: [u16; 3] = [2222, 8080, 3306];

/// Hosts at every eighth address.
fn spread_hosts(net: &str) -> (Hosts, BTreeSet<String>) {
    let mut hosts = Hosts::default();
    let addresses: Vec<String> = (4..=252).step_by(8).map(|last| format!("{net}.{last}")).collect();
    for (address, port) in addresses.iter().zip(PORTS.into_iter().cycle()) {
        hosts.open(address, port, "SSH-2.0-OpenSSH_9.2p1\r\n");
    }
    (hosts, addresses.into_iter().collect())
}

struct Storm {
    mesh: Mesh,
    fingerprints: Vec<String>,
    recorder: Recorder,
    /// The latest run of each scan, and all there were.
    open: Vec<u64>,
    runs: Vec<u64>,
    /// A node that stays dead until the next blow.
    down: Option<usize>,
}

impl Storm {
    fn new(net: &str) -> Self {
        let mut mesh = Mesh::start();
        let fingerprints =
            NODES.into_iter().map(|(name, lasts)| mesh.add_node(name, &format!("{net}.{lasts}"))).collect();
        let mut storm =
            Self { mesh, fingerprints, recorder: Recorder::default(), open: Vec::new(), runs: Vec::new(), down: None };
        for (name, options) in SCANS {
            let (targets, args) = (format!("{net}.0/24"), format!("--args={options}"));
            let what = ["scans", "create", name, "--targets", &targets, "--ports", "2222,8080,3306", &args];
            storm.mesh.json(&what);
            let run = storm.run(name);
            storm.open.push(run);
        }
        storm
    }

    fn run(&mut self, scan: &str) -> u64 {
        let run = self.mesh.json(&["scans", "run", scan])["id"].as_u64().unwrap();
        self.runs.push(run);
        run
    }

    fn has_ended(&self, run: u64) -> bool {
        self.mesh.get(&format!("/runs/{run}"))["ended"] == true
    }

    /// Starts the scans anew whose runs have ended.
    fn keep_running(&mut self) {
        for (index, (name, _)) in SCANS.into_iter().enumerate() {
            if self.has_ended(self.open[index]) {
                self.open[index] = self.run(name);
            }
        }
    }

    /// Waits until the nodes have said `count` more things about tasks, or nothing is left to do.
    fn wait_for(&self, count: usize) {
        let said = || self.mesh.nodes.iter().map(|node| node.count("task ")).sum::<usize>();
        let before = said();
        as_soon_as(|| {
            let over = said() >= before + count || self.open.iter().all(|run| self.has_ended(*run));
            over.then_some(()).ok_or_else(|| format!("{} of {count} lines came", said() - before))
        });
    }

    fn bring_back(&mut self) {
        if let Some(index) = self.down.take() {
            self.mesh.restart(index, NODES[index].0);
        }
    }

    /// Kills somebody; most are started again at once, some stay dead for a while, some die twice.
    fn strike(&mut self, chance: &mut Chance) {
        self.bring_back();
        match chance.below(1 + NODES.len()) {
            0 => (0..=chance.below(4) / 3).for_each(|_| self.mesh.crash_coordinator()),
            node => {
                self.recorder.kill(&mut self.mesh, node - 1);
                self.down = Some(node - 1);
                if chance.below(3) > 0 {
                    self.bring_back();
                }
            }
        }
    }

    /// Everybody is there, every run ended, and no node has a result left.
    fn calm_down(&mut self) {
        self.bring_back();
        self.fingerprints.iter().for_each(|fingerprint| self.mesh.until(fingerprint, "online"));
        for run in &self.open {
            as_soon_as(|| {
                let seen = self.mesh.get(&format!("/runs/{run}"));
                if seen["ended"] == true { Ok(()) } else { Err(format!("{seen:#}")) }
            });
        }
        for (name, _) in NODES {
            as_soon_as(|| match self.mesh.spooled(name) {
                0 => Ok(()),
                left => Err(format!("{left} results are left on {name}")),
            });
        }
    }

    /// Checks one run by itself; gives its tasks that have a result.
    fn check_run(&self, run: u64, hosts: &BTreeSet<String>) -> BTreeSet<String> {
        let seen = self.mesh.get(&format!("/runs/{run}"));
        let tasks = seen["tasks"].as_array().unwrap();
        let state = |task: &Value| task["state"].as_str().unwrap().to_owned();
        let ended = ["done", "partial", "failed", "cancelled"];
        assert!(tasks.iter().all(|task| ended.contains(&state(task).as_str())), "{seen:#}");
        let taken_in: Vec<&Value> = tasks.iter().filter(|task| ended[..2].contains(&state(task).as_str())).collect();
        let mut looked_at = TargetSet::empty();
        for task in taken_in.iter().filter(|task| task["second_look"] == false) {
            let targets = addresses(&task["targets"]);
            assert!(looked_at.minus(&targets) == looked_at, "{} was looked at twice: {seen:#}", task["targets"]);
            looked_at = looked_at.union(&targets);
        }
        let uncovered = seen["uncovered"].as_array().unwrap().iter().map(|part| addresses(&part["targets"]));
        let uncovered = uncovered.fold(TargetSet::empty(), |all, part| all.union(&part));
        assert_eq!(looked_at.union(&uncovered).count(), 256, "some addresses are neither here nor there: {seen:#}");
        let up = hosts.iter().filter(|host| !uncovered.contains(host.parse().unwrap())).count();
        assert_eq!(seen["hosts_up"], up, "{seen:#}");
        if seen["state"] != "failed" {
            let report = self.mesh.json(&["reports", "show", &run.to_string()]);
            assert_eq!(report["changes"], json!([]), "nothing has changed: {report:#}");
        }
        taken_in.into_iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn addresses(targets: &Value) -> TargetSet {
    targets.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_storm_of_kills_loses_no_result_and_counts_none_twice() {
    let mut chance = Chance::of("storm");
    let net = own_net(119);
    let (_hosts, hosts) = spread_hosts(&net);
    let mut storm = Storm::new(&net);
    let kills = if is_long() { 200 } else { 20 };
    for _ in 0..kills {
        storm.keep_running();
        storm.wait_for(chance.below(8));
        storm.strike(&mut chance);
    }
    storm.calm_down();
    let taken_in: BTreeSet<String> = storm.runs.iter().flat_map(|run| storm.check_run(*run, &hosts)).collect();
    let receipts = storm.recorder.tasks(&storm.mesh.nodes, "delivered");
    assert!(storm.mesh.coordinator.stop().success());
    let written = results_written(&storm.mesh.hub());
    println!("{kills} blows, {} runs, {} results, {} receipts", storm.runs.len(), written.len(), receipts.len());
    assert!(written.values().all(|times| *times == 1), "counted twice: {written:?}");
    assert_eq!(written.into_keys().collect::<BTreeSet<_>>(), taken_in, "what is written is what is shown");
    assert!(receipts.is_subset(&taken_in), "lost: {:?}", &receipts - &taken_in);
    assert!(receipts.len() > usize::try_from(kills).unwrap(), "a storm over idle nodes proves nothing");
    let check = storm.mesh.output(&["db", "check"]);
    assert!(check.status.success(), "{check:?}");
}
