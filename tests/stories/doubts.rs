//! Nodes that look and do not see: blind, or without a disk. None of it becomes a change.

use crate::harness::{FakeNmap, Hosts, Mesh, own_net};
use protocol::TargetSet;
use serde_json::{Value, json};

/// Twelve hosts, each with one port that has a rule.
fn twelve_hosts(net: &str) -> Hosts {
    let mut hosts = Hosts::default();
    for last in 1..=12u8 {
        hosts.open(&format!("{net}.{last}"), [3306, 5432, 5900][usize::from(last % 3)], "SSH-2.0-OpenSSH_9.2p1\r\n");
    }
    hosts
}

fn create_scan(mesh: &Mesh, net: &str, engine: &str) {
    let targets = format!("{net}.1-16");
    mesh.json(&["scans", "create", "all", "--engine", engine, "--targets", &targets, "--ports", "3306,5432,5900"]);
}

/// Runs the scan to its end.
fn run(mesh: &Mesh) -> Value {
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    let output = mesh.output(&["runs", "watch", &run, "--json"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    mesh.get(&format!("/runs/{run}"))
}

fn report(mesh: &Mesh, run: &Value) -> Value {
    mesh.json(&["reports", "show", &run["id"].to_string()])
}

/// Alerts with their states, without the run that looked last.
fn alerts(mesh: &Mesh) -> Vec<String> {
    let alerts = mesh.get("/alerts?state=all&limit=1000");
    let line = |alert: &Value| format!("{} {} {} {}", alert["address"], alert["port"], alert["state"], alert["raised"]);
    alerts["alerts"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn what_a_blind_nmap_swears_is_gone_is_found_again_by_another_node() {
    let net = own_net(72);
    let _hosts = twelve_hosts(&net);
    let mut mesh = Mesh::start();
    let home = mesh.home().to_owned();
    let blind = FakeNmap(&home).blind_at_night("blind-nmap");
    mesh.set_policy("blind", &format!("nmap = {blind:?}\n"));
    for name in ["blind", "sighted"] {
        mesh.add_node(name, &format!("{net}.0/24"));
    }
    create_scan(&mesh, &net, "nmap");
    assert_eq!(run(&mesh)["hosts_up"], 12);
    let before = alerts(&mesh);
    assert_eq!(before.len(), 12);
    std::fs::write(home.join("night"), "").unwrap();
    let dark = run(&mesh);
    assert_eq!(dark["state"], "completed", "{dark:#}");
    let told = report(&mesh, &dark);
    assert_eq!(told["changes"], json!([]), "{told:#}");
    let notes = told["notes"].as_array().unwrap();
    assert!(!notes.is_empty() && notes.iter().all(|note| note["kind"] == "contradicted"), "{told:#}");
    assert_eq!(alerts(&mesh), before);
    std::fs::remove_file(home.join("night")).unwrap();
    assert_eq!(report(&mesh, &run(&mesh))["changes"], json!([]), "and nothing is new in the morning");
}

#[test]
fn what_one_blind_node_alone_may_scan_stays_unconfirmed_though_others_see() {
    let net = own_net(76);
    let _hosts = twelve_hosts(&net);
    let mut mesh = Mesh::start();
    let home = mesh.home().to_owned();
    let blind = FakeNmap(&home).blind_at_night("blind-nmap");
    mesh.set_policy("blind", &format!("nmap = {blind:?}\n"));
    mesh.add_node("blind", &format!("{net}.1-6"));
    mesh.add_node("sighted", &format!("{net}.7-16"));
    create_scan(&mesh, &net, "nmap");
    assert_eq!(run(&mesh)["hosts_up"], 12);
    let before = alerts(&mesh);
    assert_eq!(before.len(), 12);
    std::fs::write(home.join("night"), "").unwrap();
    let dark = run(&mesh);
    assert_eq!((&dark["state"], &dark["hosts_up"]), (&json!("completed"), &json!(6)), "{dark:#}");
    let told = report(&mesh, &dark);
    assert_eq!(told["changes"], json!([]), "{told:#}");
    let notes = told["notes"].as_array().unwrap();
    assert!(!notes.is_empty() && notes.iter().all(|note| note["kind"] == "unconfirmed"), "{told:#}");
    assert_eq!(alerts(&mesh), before);
    std::fs::remove_file(home.join("night")).unwrap();
    assert_eq!(report(&mesh, &run(&mesh))["changes"], json!([]), "and nothing is new in the morning");
}

#[test]
fn results_that_the_disk_does_not_take_are_as_if_nobody_had_looked() {
    let net = own_net(74);
    let _hosts = twelve_hosts(&net);
    let mut mesh = Mesh::start();
    mesh.add_node("full", &format!("{net}.0/24"));
    create_scan(&mesh, &net, "builtin");
    assert_eq!(run(&mesh)["hosts_up"], 12);
    let before = alerts(&mesh);
    let spool = mesh.home().join("full/spool");
    std::fs::rename(&spool, mesh.home().join("away")).unwrap();
    let lost = run(&mesh);
    assert_eq!((&lost["state"], &lost["coverage_percent"]), (&json!("failed"), &json!(0.0)), "{lost:#}");
    assert!(lost["reason"].as_str().unwrap().contains("the result could not be kept"), "{lost:#}");
    let missing = lost["uncovered"].as_array().unwrap().iter().map(|part| part["targets"].as_str().unwrap().parse());
    let missing = missing.fold(TargetSet::empty(), |all, part| all.union(&part.unwrap()));
    assert_eq!(missing.to_string(), format!("{net}.1-{net}.16"), "{lost:#}");
    assert_eq!(alerts(&mesh), before);
    std::fs::rename(mesh.home().join("away"), &spool).unwrap();
    let ended = run(&mesh);
    assert_eq!((&ended["state"], &report(&mesh, &ended)["changes"]), (&json!("completed"), &json!([])));
}
