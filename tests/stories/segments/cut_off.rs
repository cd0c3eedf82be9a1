//! Nodes of the furthest segment are revoked: with the coordinator there, without it, and while one of them is at work.

use super::{DMZ, HOST_PORT, Lab, SEG1, SEG2, lab};
use crate::harness::{Process, may_make_hosts, results_written, told};
use serde_json::{Value, json};
use std::time::Instant;

/// What a node says when a neighbour of this key has gone.
fn lost(key: &str) -> String {
    format!("the connection to node {key} is lost")
}

impl Lab {
    /// Lets one more node in on the host of the last one; it asks through the node of the segment before.
    fn add_beside_last(&self, name: &str, port: u16) -> (Process, String) {
        let node = self.start_beside(SEG2, name, port, Some(&self.invite_for(SEG2)));
        let key = self.let_in(&node, name, Some(SEG1 - 1));
        for neighbour in &self.nodes[SEG1 - 1..] {
            neighbour.line(&format!("connected to node {key}"));
        }
        (node, key)
    }

    fn revoke(&self, key: &str) -> Value {
        self.mesh.json(&["keys", "revoke", key, "--reason", "stolen", "--yes"])
    }

    /// How often the nodes of the chain have let this one in.
    fn let_in_again(&self, key: &str) -> usize {
        self.nodes.iter().map(|node| node.count(&format!("connected to node {key}"))).sum()
    }
}

/// It learns so from the roster, when that comes before it is cut off, or else from whoever it asks.
fn is_told(node: &Process) {
    node.line("key was revoked");
}

#[test]
fn a_revoked_node_is_cut_off_by_all_that_it_reaches_with_the_coordinator_and_without() {
    if !may_make_hosts() {
        return;
    }
    let mut lab = lab(11, SEG2);
    let (mole, mole_key) = lab.add_beside_last("mole", HOST_PORT + 10);
    let (spy, spy_key) = lab.add_beside_last("spy", HOST_PORT + 20);
    mole.line(&format!("connected to node {spy_key}"));
    let began = Instant::now();
    lab.revoke(&mole_key);
    for neighbour in [&lab.nodes[SEG1 - 1], &lab.nodes[SEG2 - 1], &spy] {
        neighbour.line(&lost(&mole_key));
    }
    println!("with the coordinator: cut off {:?} after the command began", began.elapsed());
    is_told(&mole);

    let epoch = lab.epoch() + 1;
    lab.revoke(&spy_key);
    lab.nodes[DMZ - 1].line(&format!("roster epoch {epoch} is in force"));
    lab.mesh.coordinator.kill();
    let began = Instant::now();
    for neighbour in &lab.nodes[SEG1 - 1..] {
        neighbour.line(&lost(&spy_key));
        neighbour.line(&format!("roster epoch {epoch} is in force"));
    }
    println!("without the coordinator: cut off {:?} after its first neighbour knew", began.elapsed());

    // It knocks on, started anew too, while nobody is there to ask but those that have cut it off.
    let before = lab.let_in_again(&spy_key);
    drop(spy);
    let spy = lab.start_beside(SEG2, "spy", HOST_PORT + 20, None);
    spy.line("listening at");
    lab.mesh.start_coordinator();
    is_told(&spy);
    assert_eq!(lab.let_in_again(&spy_key), before);
    let back = lab.mesh.output(&["keys", "approve", &spy_key, "--ranges", "198.18.0.0/16"]);
    assert!(told(&back).contains("stays out for good"), "{}", told(&back));
}

#[test]
fn what_a_node_found_before_it_was_thrown_out_counts_for_nothing_after() {
    if !may_make_hosts() {
        return;
    }
    let mut lab = lab(21, SEG2);
    let (thief, thief_key) = lab.add_beside_last("thief", HOST_PORT + 10);
    let heir = lab.keys[SEG2 - 1].clone();
    lab.let_scan(&thief, &thief_key);
    lab.create_scan("-sV");
    let run = lab.mesh.json(&["scans", "run", "plant"])["id"].clone();
    thief.line(&format!("task {run}.0 started"));
    // The way is cut, so its result waits while it is thrown out.
    lab.nodes[DMZ - 1].kill();
    thief.line(&format!("task {run}.0 done"));
    let ranges = format!("{}.0/24", lab.plant());
    assert!(lab.mesh.output(&["keys", "approve", &heir, "--ranges", &ranges]).status.success());
    lab.revoke(&thief_key);
    lab.nodes[DMZ - 1] = lab.start(DMZ, None);
    for neighbour in &lab.nodes[SEG1 - 1..] {
        neighbour.line(&lost(&thief_key));
    }
    let ended = lab.ended(&run);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(3)), "{ended:#}");
    let counted: Vec<&Value> =
        ended["tasks"].as_array().unwrap().iter().filter(|task| task["state"] == "done").collect();
    assert!(!counted.is_empty() && counted.iter().all(|task| task["node"] == heir.as_str()), "{ended:#}");
    is_told(&thief);
    assert_eq!(thief.count("delivered"), 0);
    assert!(lab.mesh.spooled("thief") > 0, "it keeps what nobody took");
    let after = lab.mesh.get(&format!("/runs/{run}"));
    assert_eq!((&after["tasks"], &after["hosts_up"]), (&ended["tasks"], &json!(3)), "nothing came late");
    assert!(lab.mesh.coordinator.stop().success());
    let written = results_written(&lab.mesh.hub());
    assert_eq!(written.len(), counted.len(), "{written:?}");
    assert!(written.values().all(|times| *times == 1), "{written:?}");
}
