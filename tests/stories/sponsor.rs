//! A node whose invite names only another node: it asks there, is let in, scans and delivers.

use crate::harness::{Hosts, Mesh, own_net, stdout_of};

/// The words after `text` in what a process said.
fn after(line: &str, text: &str) -> String {
    line.split(text).nth(1).unwrap().trim().to_owned()
}

#[test]
fn a_node_that_knows_only_another_node_joins_there_scans_and_delivers() {
    let net = own_net(111);
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.5"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mut mesh = Mesh::start();
    let gate = mesh.add_node("gate", "127.0.0.1");
    stdout_of(&mut mesh.command(&["keys", "approve", &gate, "--sponsor"]));
    let port = after(&mesh.nodes[0].line("passing on requests to join"), "that come to ");
    let invite = mesh.json(&["invites", "create", "--address", &port]);
    assert_eq!(invite["addresses"], serde_json::json!([port]));
    let everywhere = mesh.json(&["invites", "create"]);
    let places: Vec<&str> = everywhere["addresses"].as_array().unwrap().iter().filter_map(|at| at.as_str()).collect();
    assert!(places.len() == 2 && places[1] == port, "the coordinator, then the sponsor: {places:?}");

    let far = mesh.start_node_with("far", invite["invite"].as_str().unwrap());
    let node = mesh.nodes.last().unwrap();
    assert_eq!(after(&node.line("asking to join"), "asking to join at "), port);
    node.line("waiting for approval");
    let range = format!("{net}.0/28");
    stdout_of(&mut mesh.command(&["keys", "approve", &far, "--label", "far", "--ranges", &range]));
    node.line("approved to scan");
    node.line("connected to node");
    mesh.until(&far, "online");

    mesh.json(&["scans", "create", "far", "--targets", &range, "--ports", "2222"]);
    let run = mesh.json(&["scans", "run", "far", "--wait"])["run"].clone();
    assert_eq!((&run["state"], &run["hosts_up"]), (&"completed".into(), &1.into()), "{run:#}");
    assert_eq!(run["tasks"][0]["node"], far.as_str(), "{run:#}");

    // Without its place on the roster the sponsor passes nothing on any more.
    stdout_of(&mut mesh.command(&["keys", "approve", &gate, "--no-sponsor"]));
    mesh.nodes[0].line("requests to join are not passed on");
    mesh.start_node_with("late", invite["invite"].as_str().unwrap());
    mesh.nodes.last().unwrap().line("no answer to the request to join");
}
