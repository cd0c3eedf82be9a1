//! A coordinator that is away while its nodes work: on its return every result is there, once.

use crate::harness::{Hosts, Mesh, Recorder, as_soon_as, own_net, results_written};
use serde_json::json;
use std::collections::BTreeSet;

const NODES: [&str; 4] = ["one", "two", "three", "four"];

/// What a node says when it will start nothing until its coordinator is back.
const SILENCE: &str = "no sign of life from the coordinator";

/// Every sixteenth address has an open port.
fn sixteen_hosts(net: &str) -> Hosts {
    let mut hosts = Hosts::default();
    (5..=245).step_by(16).for_each(|last| hosts.open(&format!("{net}.{last}"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n"));
    hosts
}

/// Waits until no node works on anything or will.
fn until_all_have_finished(mesh: &Mesh, recorder: &Recorder) {
    mesh.nodes.iter().for_each(|node| drop(node.line(SILENCE)));
    as_soon_as(|| {
        let (started, done) = (recorder.tasks(&mesh.nodes, "started"), recorder.tasks(&mesh.nodes, "done"));
        if started == done { Ok(()) } else { Err(format!("under way: {:?}", &started - &done)) }
    });
}

#[test]
fn what_four_nodes_finish_while_the_coordinator_is_away_is_there_once_on_its_return() {
    let net = own_net(118);
    let _hosts = sixteen_hosts(&net);
    let (mut mesh, mut recorder) = (Mesh::start(), Recorder::default());
    for name in NODES {
        mesh.add_node(name, &format!("{net}.0/24"));
    }
    let targets = format!("{net}.0/24");
    mesh.json(&["scans", "create", "all", "--targets", &targets, "--ports", "2222,8080", "--args=--max-rate 10"]);
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    mesh.nodes.iter().for_each(|node| drop(node.line(" started")));
    mesh.coordinator.kill();
    until_all_have_finished(&mesh, &recorder);
    let (done, receipts) = (recorder.tasks(&mesh.nodes, "done"), recorder.tasks(&mesh.nodes, "delivered"));
    let waiting: BTreeSet<String> = &done - &receipts;
    assert!(waiting.len() >= NODES.len(), "each node was at work: {waiting:?}");
    assert_eq!(NODES.map(|name| mesh.spooled(name)).into_iter().sum::<usize>(), waiting.len());
    recorder.kill(&mut mesh, 0);
    mesh.restart(0, NODES[0]);
    mesh.start_coordinator();
    let ended = mesh.json(&["runs", "watch", &run]);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(16)), "{ended:#}");
    let again: Vec<_> = ended["tasks"].as_array().unwrap().iter().filter(|task| task["attempts"] != 1).collect();
    let is_waiting = |task: &&&serde_json::Value| waiting.contains(task["id"].as_str().unwrap());
    assert_eq!(again.iter().filter(is_waiting).count(), 0, "looked at twice: {again:#?}");
    as_soon_as(|| {
        let missing = &waiting - &recorder.tasks(&mesh.nodes, "delivered");
        if missing.is_empty() { Ok(()) } else { Err(format!("no receipt for {missing:?}")) }
    });
    assert!(mesh.coordinator.stop().success());
    let written = results_written(&mesh.hub());
    assert!(written.values().all(|times| *times == 1), "counted twice: {written:?}");
    assert_eq!(written.len(), ended["tasks"].as_array().unwrap().len());
}
