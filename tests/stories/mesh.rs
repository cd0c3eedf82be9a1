//! The picture of the mesh, and how a node's absence is told: with its reason, and still after a restart.

use crate::harness::{Mesh, as_soon_as, stdout_of};
use serde_json::{Value, json};

/// The member with this label, as the picture has it.
fn member<'a>(picture: &'a Value, label: &str) -> &'a Value {
    picture["members"].as_array().unwrap().iter().find(|member| member["label"] == label).unwrap()
}

/// True when the picture has `count` links, all of which both ends have measured. Nodes link to each other as well.
fn is_measured(picture: &Value, count: usize) -> bool {
    let links = picture["links"].as_array().unwrap();
    let both = |link: &Value| link["ends"].as_array().unwrap().iter().all(|end| end["round_trip_ms"].is_number());
    links.len() == count && links.iter().all(both)
}

/// Waits until a node is offline, and gives the reason.
fn away(mesh: &Mesh, label: &str) -> Value {
    as_soon_as(|| {
        let picture = mesh.json(&["nodes", "mesh"]);
        let seen = member(&picture, label).clone();
        if seen["status"] == "offline" { Ok(seen) } else { Err(format!("{label} is there: {picture:#}")) }
    })
}

#[test]
fn two_nodes_are_seen_linked_to_the_coordinator_and_an_absence_is_told_with_its_reason() {
    let mut mesh = Mesh::start();
    let fingerprints = ["first", "second"].map(|name| mesh.add_node(name, "127.0.0.0/8"));
    let picture = as_soon_as(|| {
        let picture = mesh.json(&["nodes", "mesh"]);
        if is_measured(&picture, 3) { Ok(picture) } else { Err(format!("not yet measured: {picture:#}")) }
    });
    let hub = &member(&picture, "coordinator")["fingerprint"];
    for (label, fingerprint) in ["first", "second"].iter().zip(&fingerprints) {
        let seen = member(&picture, label);
        assert_eq!((&seen["fingerprint"], &seen["hops"], &seen["through"]), (&json!(fingerprint), &json!(1), hub));
        assert!(seen["clock_offset_ms"].as_i64().unwrap().abs() < 60_000, "the same clock: {seen:#}");
    }
    let dialled: Vec<_> = picture["links"].as_array().unwrap().iter().map(|link| &link["dialled_by"]).collect();
    assert!(fingerprints.iter().all(|node| dialled.contains(&&json!(node))), "nodes dial: {picture:#}");
    let told = stdout_of(&mut mesh.command(&["nodes", "mesh"]));
    assert!(told.contains("coordinator") && told.contains("first") && told.contains("stands"), "{told}");

    assert!(mesh.nodes[0].stop().success());
    assert_eq!(away(&mesh, "first")["reason"], "it was stopped in order");
    mesh.nodes[1].kill();
    assert_eq!(away(&mesh, "second")["reason"], "its connection was lost");
    let picture = mesh.json(&["nodes", "mesh"]);
    let links = picture["links"].as_array().unwrap();
    assert!(links.iter().all(|link| link["stale"] == true), "what is left is what was last known: {picture:#}");

    let before = mesh.json(&["nodes", "list"]);
    assert!(mesh.coordinator.stop().success());
    mesh.crash_coordinator();
    let after = mesh.json(&["nodes", "list"]);
    for (index, reason) in ["it was stopped in order", "not heard since the coordinator started"].iter().enumerate() {
        let (before, after) = (&before[index], &after[index]);
        assert!(before["last_seen"].is_string(), "{before:#}");
        assert_eq!((&after["last_seen"], &after["reason"]), (&before["last_seen"], &json!(reason)), "{after:#}");
    }
    mesh.start_again(0, "first", &fingerprints[0]);
}
