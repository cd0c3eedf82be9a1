//! One key on two machines (SECURITY-DESIGN N8): it is noticed, told, and neither gets a task; a restart is no clone.

use crate::harness::{Hosts, Mesh, Process, own_net, stdout_of, told};
use std::process::Command;

#[test]
fn a_copied_node_is_told_and_its_tasks_go_to_others() {
    let net = own_net(117);
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.5"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mut mesh = Mesh::start();
    let ranges = format!("{net}.0/24");
    let copied = mesh.add_node("copied", &ranges);
    mesh.nodes[0].stop();
    let copy = |from: &str, to: &str| {
        let (from, to) = (mesh.home().join(from), mesh.home().join(to));
        stdout_of(Command::new("cp").arg("-a").arg(from).arg(to));
    };
    copy("copied", "copy");
    mesh.start_again(0, "copied", &copied);
    // What was a restart so far is no alarm; the second machine with the same folder is.
    let second = Process::start(&mut mesh.node("copy"));
    second.line("connected to the coordinator");
    mesh.until(&copied, "cloned");
    mesh.coordinator.line("two machines use the key of one node");
    let table = stdout_of(&mut mesh.command(&["keys", "list"]));
    assert!(table.lines().any(|line| line.contains(&copied) && line.contains("cloned")), "{table}");
    let shown = stdout_of(&mut mesh.command(&["keys", "show", &copied]));
    assert!(shown.contains("two machines use its key, and neither gets tasks"), "{shown}");
    let second_thoughts = mesh.output(&["keys", "trust", &copied]);
    assert!(told(&second_thoughts).contains("add --yes"), "{}", told(&second_thoughts));
    let honest = mesh.add_node("honest", &ranges);
    mesh.json(&["scans", "create", "all", "--targets", &format!("{net}.0/28"), "--ports", "2222"]);
    let ended = &mesh.json(&["scans", "run", "all", "--wait"])["run"];
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&"completed".into(), &1.into()), "{ended:#}");
    let tasks = ended["tasks"].as_array().unwrap();
    assert!(!tasks.is_empty() && tasks.iter().all(|task| task["node"] == honest.as_str()), "{ended:#}");

    // The alarm outlives the coordinator and the copy; it ends by a person's word.
    drop(second);
    mesh.crash_coordinator();
    mesh.until(&honest, "online");
    mesh.until(&copied, "cloned");
    mesh.json(&["keys", "trust", &copied, "--yes"]);
    let twice = mesh.output(&["keys", "trust", &copied, "--yes"]);
    assert!(told(&twice).contains("somebody has dismissed that already"), "{}", told(&twice));
    mesh.nodes[0].stop();
    mesh.start_again(0, "copied", &copied);
}
