//! Nodes whose clock is wrong: they join, scan and deliver by the mesh's time, and say how far off they are.

use crate::harness::{Hosts, Mesh, Process, as_soon_as, own_net};

const TWO_YEARS_S: i64 = 2 * 365 * 86_400;

/// The offset that the coordinator shows of a node, in whole seconds, once it shows one of about `wanted`.
fn shown_offset(mesh: &Mesh, fingerprint: &str, wanted: i64) {
    as_soon_as(|| {
        let nodes = mesh.get("/nodes");
        let node = nodes.as_array().unwrap().iter().find(|node| node["fingerprint"] == fingerprint).unwrap();
        let offset = node["clock_offset_ms"].as_i64().unwrap_or_default();
        let is_near = (offset - wanted * 1_000).abs() < 10_000;
        is_near.then_some(()).ok_or_else(|| format!("{offset} ms instead of {wanted} s"))
    });
}

#[test]
fn nodes_ten_minutes_or_two_years_off_join_scan_and_deliver() {
    let net = own_net(115);
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.5"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mesh = Mesh::start();
    let scan = ["scans", "create", "all", "--targets", &format!("{net}.0/28"), "--ports", "2222"];
    mesh.json(&scan);
    let invite = mesh.invite();
    let mut node = Process::start(mesh.node("late").args(["--join", &invite, "--clock-off=-600"]));
    let fingerprint = node.line("this node is ").split("this node is ").nth(1).unwrap().trim().to_owned();
    node.line("waiting for approval");
    mesh.json(&["keys", "approve", &fingerprint, "--ranges", &format!("{net}.0/24")]);
    for (off, told) in [(-600, "s behind the coordinator's"), (TWO_YEARS_S, "s ahead of the coordinator's")] {
        node.line(told);
        mesh.until(&fingerprint, "online");
        shown_offset(&mesh, &fingerprint, off);
        let ended = &mesh.json(&["scans", "run", "all", "--wait"])["run"];
        assert_eq!((&ended["state"], &ended["hosts_up"]), (&"completed".into(), &1.into()), "{off} s off: {ended:#}");
        node.line("delivered");
        node.stop();
        node = Process::start(mesh.node("late").arg(format!("--clock-off={TWO_YEARS_S}")));
    }
}
