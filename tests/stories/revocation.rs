//! Keys that are let in and thrown out while the mesh works, and decisions that are signed elsewhere.

use crate::harness::{Hosts, Mesh, own_net, portdrift, told};
use serde_json::Value;
use std::path::Path;

/// Waits until the program has said why it ends.
fn shut_out(mesh: &Mesh, node: usize, reason: &str) {
    mesh.nodes[node].line(&format!("the coordinator shuts this node out: this key was revoked ({reason})"));
}

fn tasks(run: &Value) -> &Vec<Value> {
    run["tasks"].as_array().expect("a run lists its tasks")
}

#[test]
fn a_node_revoked_at_work_loses_its_tasks_to_another_and_never_comes_back() {
    let net = own_net(116);
    let mut hosts = Hosts::default();
    for last in (4..=252).step_by(31) {
        hosts.open(&format!("{net}.{last}"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    }
    let mut mesh = Mesh::start();
    let ranges = format!("{net}.0/24");
    let thief = mesh.add_node("thief", &ranges);
    let heir = mesh.add_node("heir", &ranges);
    let slow = "--args=--max-rate 100";
    mesh.json(&["scans", "create", "all", "--targets", &ranges, "--ports", "2222,8080,3306", slow]);
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    mesh.nodes[0].line(" started");
    let unsaid = mesh.output(&["keys", "revoke", &thief, "--reason", "stolen"]);
    assert!(told(&unsaid).contains("add --yes"), "{}", told(&unsaid));
    mesh.json(&["keys", "revoke", &thief, "--reason", "stolen", "--yes"]);
    let ended = mesh.json(&["runs", "watch", &run]);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&"completed".into(), &9.into()), "{ended:#}");
    let moved: Vec<&Value> = tasks(&ended).iter().filter(|task| task["attempts"].as_u64() > Some(1)).collect();
    assert!(!moved.is_empty(), "nothing of {thief} was under way: {ended:#}");
    assert!(moved.iter().all(|task| task["node"] == heir.as_str()), "{moved:#?}");

    shut_out(&mesh, 0, "stolen");
    let invite = mesh.invite();
    let dir = mesh.home().join("thief");
    let mut again = portdrift(mesh.home());
    let again = again.args(["node", "join", &invite, "--short-times", "--dir"]).arg(dir).output().unwrap();
    assert!(!again.status.success() && told(&again).contains("this key was revoked (stolen)"), "{}", told(&again));
    let back = mesh.output(&["keys", "approve", &thief, "--ranges", &ranges]);
    assert!(told(&back).contains("stays out for good"), "{}", told(&back));
    assert_eq!(mesh.json(&["keys", "show", &thief])["status"], "revoked");
    let after = mesh.json(&["runs", "show", &run]);
    assert_eq!((&after["state"], &after["hosts_up"]), (&ended["state"], &ended["hosts_up"]), "nothing came late");
}

#[test]
fn a_node_suspended_at_work_loses_its_tasks_and_comes_back_by_itself_once_it_is_approved_again() {
    let net = own_net(195);
    let mut hosts = Hosts::default();
    for last in (4..=252).step_by(31) {
        hosts.open(&format!("{net}.{last}"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    }
    let mut mesh = Mesh::start();
    let ranges = format!("{net}.0/24");
    let moving = mesh.add_node("moving", &ranges);
    let heir = mesh.add_node("heir", &ranges);
    let slow = "--args=--max-rate 100";
    mesh.json(&["scans", "create", "all", "--targets", &ranges, "--ports", "2222,8080,3306", slow]);
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    mesh.nodes[0].line(" started");
    let suspend = ["keys", "suspend", &moving, "--reason", "moves", "--yes"];
    assert_eq!(mesh.json(&suspend)[0]["status"], "suspended");
    assert!(told(&mesh.output(&suspend)).contains("it is suspended already"));
    let ended = mesh.json(&["runs", "watch", &run]);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&"completed".into(), &9.into()), "{ended:#}");
    let moved: Vec<&Value> = tasks(&ended).iter().filter(|task| task["attempts"].as_u64() > Some(1)).collect();
    assert!(!moved.is_empty(), "nothing of {moving} was under way: {ended:#}");
    assert!(moved.iter().all(|task| task["node"] == heir.as_str()), "{moved:#?}");

    let shown = mesh.json(&["keys", "show", &moving]);
    assert_eq!((&shown["reason"], &shown["approval"]["ranges"]), (&"moves".into(), &ranges.as_str().into()));
    mesh.json(&["keys", "approve", &moving]);
    mesh.until(&moving, "online");
    let after = mesh.json(&["runs", "show", &run]);
    assert_eq!((&after["state"], &after["hosts_up"]), (&ended["state"], &ended["hosts_up"]), "nothing came late");
}

/// Starts two nodes and waits until both wait.
fn two_waiting(mesh: &mut Mesh) -> [String; 2] {
    let found = [mesh.start_node("one"), mesh.start_node("two")];
    mesh.nodes.iter().for_each(|node| drop(node.line("waiting for approval")));
    found
}

fn sign(mesh: &Mesh, arguments: &[&str], key: &Path) -> String {
    let mut command = mesh.command(arguments);
    let output = command.arg("--mesh-key").arg(key).arg("--yes").output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", told(&output));
    told(&output)
}

#[test]
fn with_the_mesh_key_elsewhere_decisions_wait_for_whoever_holds_it() {
    let mut mesh = Mesh::start();
    let key = mesh.home().join("safe/mesh.key");
    let busy = mesh.command(&["keys", "export-mesh-key"]).arg(&key).output().unwrap();
    assert!(told(&busy).contains("in use by another process"), "{}", told(&busy));
    mesh.coordinator.kill();
    let moved = mesh.command(&["keys", "export-mesh-key"]).arg(&key).output().unwrap();
    assert!(moved.status.success() && !mesh.hub().join("mesh.key").exists(), "{}", told(&moved));
    mesh.crash_coordinator();

    let [one, two] = two_waiting(&mut mesh);
    let all = mesh.output(&["keys", "approve", "--all-pending", "--ranges", "127.0.0.0/8", "--yes"]);
    assert!(told(&all).contains("the mesh key has yet to sign"), "{}", told(&all));
    assert_eq!(mesh.json(&["keys", "show", &one])["status"], "awaiting signature");
    let signed = sign(&mesh, &["keys", "approve"], &key);
    assert!(signed.contains(&format!("lets in {two} for 127.0.0.0/8")), "{signed}");
    assert!(signed.contains("roster epoch 2 is in force"), "{signed}");
    mesh.nodes.iter().for_each(|node| drop(node.line("connected to the coordinator")));
    mesh.until(&one, "online");
    mesh.until(&two, "online");

    let signed = sign(&mesh, &["keys", "revoke", &one, "--reason", "sold"], &key);
    assert!(signed.contains(&format!("revokes {one}")) && signed.contains("epoch 3 is in force"), "{signed}");
    shut_out(&mesh, 0, "sold");
    mesh.until(&two, "online");
    assert!(sign(&mesh, &["keys", "approve"], &key).contains("nothing waits for a signature"));
}
