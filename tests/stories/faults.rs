//! Processes that die without warning: nothing that was acknowledged is lost, nothing counts twice, all work ends.

use crate::harness::{Hosts, Mesh, is_long, own_net};
use serde_json::Value;
use std::collections::BTreeSet;

const PORTS: [u16; 3] = [2222, 8080, 3306];

/// Hosts at every eighth address of a /24, each with one open port.
fn spread_hosts(net: &str) -> (Hosts, u64) {
    let mut hosts = Hosts::default();
    let lasts: Vec<u8> = (4..=252).step_by(8).collect();
    for (index, last) in lasts.iter().enumerate() {
        hosts.open(&format!("{net}.{last}"), PORTS[index % PORTS.len()], "SSH-2.0-OpenSSH_9.2p1\r\n");
    }
    (hosts, lasts.len() as u64)
}

fn create_scan(mesh: &Mesh, net: &str, options: &str) {
    let (targets, args) = (format!("{net}.0/24"), format!("--args={options}"));
    mesh.json(&["scans", "create", "all", "--targets", &targets, "--ports", "2222,8080,3306", &args]);
}

/// The tasks of `run` whose results the coordinator has for good, as their node heard it, once there are `count`.
fn receipted(mesh: &Mesh, run: &str, count: usize) -> BTreeSet<String> {
    let task_in = |line: &String| {
        let task = line.strip_prefix("result of task ").and_then(|rest| rest.strip_suffix(" delivered"));
        task.unwrap_or_else(|| panic!("not a receipt: {line}")).to_owned()
    };
    mesh.nodes[0].lines(&format!("result of task {run}."), count).iter().map(task_in).collect()
}

fn tasks(run: &Value) -> &Vec<Value> {
    run["tasks"].as_array().expect("a run lists its tasks")
}

fn done(run: &Value) -> BTreeSet<String> {
    let is_done = |task: &&Value| task["state"] == "done";
    tasks(run).iter().filter(is_done).map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_coordinator_killed_during_ingest_loses_nothing_and_counts_nothing_twice() {
    let net = own_net(61);
    let (_hosts, hosts_up) = spread_hosts(&net);
    let mut mesh = Mesh::start();
    mesh.add_node("one", &format!("{net}.0/24"));
    create_scan(&mesh, &net, "-sV");
    for round in 1..=if is_long() { 50 } else { 10 } {
        let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
        let receipted = receipted(&mesh, &run, 1 + round % 3);
        mesh.crash_coordinator();
        let kept = done(&mesh.json(&["runs", "show", &run]));
        assert!(receipted.is_subset(&kept), "round {round}: receipted {receipted:?}, kept {kept:?}");
        let ended = mesh.json(&["runs", "watch", &run]);
        assert_eq!(ended["state"], "completed", "round {round}: {ended:#}");
        assert_eq!((&ended["hosts_up"], &ended["open_ports"]), (&hosts_up.into(), &hosts_up.into()), "round {round}");
        assert_eq!(done(&ended).len(), tasks(&ended).len(), "round {round}: {ended:#}");
        let report = mesh.json(&["reports", "show", &run]);
        assert_eq!(report["changes"], serde_json::json!([]), "round {round}");
    }
}

#[test]
fn a_task_of_a_killed_node_ends_on_another_one() {
    let net = own_net(62);
    let (_hosts, hosts_up) = spread_hosts(&net);
    let mut mesh = Mesh::start();
    let ranges = format!("{net}.0/24");
    let doomed = mesh.add_node("doomed", &ranges);
    let heir = mesh.add_node("heir", &ranges);
    create_scan(&mesh, &net, "--max-rate 100");
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    mesh.nodes[0].line(" started");
    mesh.nodes[0].kill();
    let ended = mesh.json(&["runs", "watch", &run]);
    assert_eq!(ended["state"], "completed", "{ended:#}");
    assert_eq!(ended["hosts_up"], hosts_up);
    let moved: Vec<&Value> = tasks(&ended).iter().filter(|task| task["attempts"].as_u64() > Some(1)).collect();
    assert!(!moved.is_empty(), "no task of {doomed} was under way: {ended:#}");
    assert!(moved.iter().all(|task| task["node"] == heir.as_str()), "{moved:#?}");
}
