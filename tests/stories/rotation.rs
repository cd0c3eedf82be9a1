//! The coordinator takes a new key while it is at work: nodes go on with it by themselves, and the old key is refused.

use crate::harness::{
    Hosts, Mesh, Process, USUAL_TIMES, as_soon_as, own_net, portdrift, results_written, stdout_of, told,
};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a thief takes away of a stopped coordinator: the folder as it is, but for the mesh key, which he did not find.
fn steal(mesh: &Mesh) -> PathBuf {
    let stolen = mesh.home().join("stolen");
    stdout_of(Command::new("cp").arg("-a").arg(mesh.hub()).arg(&stolen));
    let mut export = portdrift(mesh.home());
    export.args(["keys", "export-mesh-key"]).arg(mesh.home().join("unfound.key")).arg("--dir").arg(&stolen);
    stdout_of(&mut export);
    stolen
}

/// At the coordinator's own place, with its old key and an old roster, the thief is nobody to the nodes.
fn is_nobody(mesh: &Mesh, stolen: &Path) {
    let mut rival = portdrift(mesh.home());
    rival.args(["coordinator", "run", "--short-times", "--keep-free", "1", "--dir"]).arg(stolen);
    let rival = Process::start(&mut rival);
    rival.line("ready");
    let refused = "another key answers there";
    let before: Vec<usize> = mesh.nodes.iter().map(|node| node.count(refused)).collect();
    as_soon_as(|| {
        let has_met = mesh.nodes.iter().zip(&before).all(|(node, before)| node.count(refused) > *before);
        if has_met { Ok(()) } else { Err("a node has not met the rival yet".to_owned()) }
    });
    let mut list = portdrift(mesh.home());
    list.args(["nodes", "list", "--json", "--dir"]).arg(stolen);
    let found: serde_json::Value = serde_json::from_str(&stdout_of(&mut list)).unwrap();
    // Who joined later may have asked there whether it still belongs to the mesh, as strangers do; nothing comes of it.
    let states = found.as_array().unwrap().iter().map(|node| (node["label"].as_str(), node["status"].as_str()));
    let (known, strangers): (Vec<_>, Vec<_>) = states.partition(|(label, _)| matches!(label, Some("one" | "two")));
    assert_eq!(known, [(Some("one"), Some("offline")), (Some("two"), Some("offline"))], "{found:#}");
    let is_stranger = strangers.iter().all(|(_, status)| *status == Some("pending"));
    assert!(strangers.len() < 2 && is_stranger, "{found:#}");
}

#[test]
fn a_coordinator_takes_a_new_key_during_a_run_which_ends_complete_and_its_old_key_is_refused() {
    let net = own_net(125);
    let mut hosts = Hosts::default();
    for last in (4..=252).step_by(31) {
        hosts.open(&format!("{net}.{last}"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    }
    // On a busy machine the change alone may take longer than the leases of most stories.
    let mut mesh = Mesh::start_on(|_| (), &[USUAL_TIMES]);
    let ranges = format!("{net}.0/24");
    let names = ["one", "two"];
    let nodes = names.map(|name| mesh.add_node(name, &ranges));
    let invite = mesh.invite();
    mesh.coordinator.kill();
    let stolen = steal(&mesh);
    mesh.start_coordinator();
    nodes.iter().for_each(|node| mesh.until(node, "online"));

    mesh.json(&["scans", "create", "all", "--targets", &ranges, "--ports", "2222,8080,3306", "--args=--max-rate 100"]);
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    mesh.nodes.iter().for_each(|node| drop(node.line(" started")));
    let unsaid = mesh.output(&["keys", "rotate-coordinator"]);
    assert!(told(&unsaid).contains("add --yes"), "{}", told(&unsaid));
    let rotation = mesh.json(&["keys", "rotate-coordinator", "--yes"]);
    let next = rotation["next"].as_str().unwrap();
    assert_eq!(rotation["awaiting_signature"], false);
    mesh.nodes.iter().for_each(|node| drop(node.line(&format!("the coordinator goes on as {next}"))));
    let ended = mesh.json(&["runs", "watch", &run]);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&"completed".into(), &9.into()), "{ended:#}");
    let again = &mesh.json(&["scans", "run", "all", "--wait"])["run"];
    assert_eq!((&again["state"], &again["hosts_up"]), (&"completed".into(), &9.into()), "{again:#}");

    // The invite from before leads to the new key, and so does a node's memory after a restart.
    let late = mesh.start_node_with("late", &invite);
    mesh.nodes[2].line("waiting for approval");
    stdout_of(&mut mesh.command(&["keys", "approve", &late, "--ranges", &ranges]));
    mesh.until(&late, "online");
    mesh.nodes[0].stop();
    mesh.start_again(0, names[0], &nodes[0]);
    mesh.crash_coordinator();
    nodes.iter().for_each(|node| mesh.until(node, "online"));
    assert!(mesh.coordinator.stop().success());
    let written = results_written(&mesh.hub());
    assert!(written.len() > 2 && written.values().all(|times| *times == 1), "lost or doubled: {written:?}");
    is_nobody(&mesh, &stolen);
}

#[test]
fn with_the_mesh_key_elsewhere_a_new_key_of_the_coordinator_waits_for_whoever_holds_it() {
    let mut mesh = Mesh::start();
    let key = mesh.home().join("safe/mesh.key");
    mesh.coordinator.kill();
    stdout_of(mesh.command(&["keys", "export-mesh-key"]).arg(&key));
    mesh.start_coordinator();
    let node = mesh.start_node("one");
    mesh.nodes[0].line("waiting for approval");
    let mut approve = mesh.command(&["keys", "approve", &node, "--ranges", "127.0.0.0/8", "--yes"]);
    stdout_of(approve.arg("--mesh-key").arg(&key));
    mesh.until(&node, "online");
    let waits = mesh.json(&["keys", "rotate-coordinator", "--yes"]);
    assert_eq!(waits["awaiting_signature"], true);
    let next = waits["next"].as_str().unwrap();
    mesh.crash_coordinator();
    mesh.until(&node, "online");
    let mut sign = mesh.command(&["keys", "approve", "--yes"]);
    let signed = told(&sign.arg("--mesh-key").arg(&key).output().unwrap());
    assert!(signed.contains(&format!("lets in {next} as the coordinator")), "{signed}");
    assert!(signed.contains(&format!("new nodes find the coordinator: {next} at ")), "{signed}");
    mesh.nodes[0].line(&format!("the coordinator goes on as {next}"));
    mesh.until(&node, "online");
    let late = mesh.start_node("late");
    mesh.nodes[1].line("waiting for approval");
    assert_eq!(mesh.json(&["keys", "show", &late])["status"], "pending");
}
