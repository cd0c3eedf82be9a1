//! Disks that fill up under a coordinator and under a node: said clearly, nothing lost, and well again by itself.

use crate::harness::{Hosts, Mesh, Recorder, SmallDisk, as_soon_as, is_long, own_net, results_written, told};
use serde_json::{Value, json};

/// Every sixteenth address has an open port.
fn sixteen_hosts(net: &str) -> Hosts {
    let mut hosts = Hosts::default();
    (5..=245).step_by(16).for_each(|last| hosts.open(&format!("{net}.{last}"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n"));
    hosts
}

fn create_scan(mesh: &Mesh, name: &str, net: &str) {
    let targets = format!("{net}.0/24");
    mesh.json(&["scans", "create", name, "--targets", &targets, "--ports", "2222,8080", "--args=--max-rate 20"]);
}

fn until_ended(mesh: &Mesh, run: &Value) -> Value {
    as_soon_as(|| {
        let seen = mesh.get(&format!("/runs/{run}"));
        if seen["ended"] == true { Ok(seen) } else { Err(format!("{seen:#}")) }
    })
}

/// Says no for lack of room, by name.
fn assert_refused(mesh: &Mesh, arguments: &[&str]) {
    let output = mesh.output(arguments);
    let said = told(&output);
    assert!(!output.status.success() && said.contains("the disk of") && said.contains("MiB free"), "{said}");
}

#[test]
fn a_coordinator_on_a_full_disk_says_so_reads_on_and_loses_nothing() {
    let net = own_net(113);
    let _hosts = sixteen_hosts(&net);
    let mut disk = None;
    let mut mesh = Mesh::start_on(|hub| disk = SmallDisk::at(hub, 64), &["--keep-free", "8"]);
    let Some(disk) = disk else { return };
    let recorder = Recorder::default();
    mesh.add_node("one", &format!("{net}.0/24"));
    create_scan(&mesh, "first", &net);
    create_scan(&mesh, "second", &net);
    let first = mesh.json(&["scans", "run", "first"])["id"].clone();
    assert_eq!(until_ended(&mesh, &first)["hosts_up"], 16);
    let report = mesh.json(&["reports", "show", &first.to_string()]);
    for round in 1..=if is_long() { 20 } else { 3 } {
        let run = mesh.json(&["scans", "run", "first"])["id"].clone();
        mesh.nodes[0].line(&format!("task {run}.0 started"));
        disk.fill();
        assert_refused(&mesh, &["scans", "run", "second"]);
        assert_refused(&mesh, &["scans", "create", "third", "--targets", &net_of_one(&net), "--ports", "22"]);
        as_soon_as(|| match mesh.spooled("one") {
            0 => Err("no result waits on the node".to_owned()),
            _ => Ok(()),
        });
        assert_eq!(mesh.json(&["reports", "show", &first.to_string()]), report, "round {round}: reads go on");
        assert_eq!(mesh.get(&format!("/runs/{run}"))["ended"], false, "round {round}");
        disk.free();
        let ended = until_ended(&mesh, &run);
        assert_eq!(
            (&ended["state"], &ended["hosts_up"]),
            (&json!("completed"), &json!(16)),
            "round {round}: {ended:#}"
        );
        assert_eq!(mesh.json(&["reports", "show", &run.to_string()])["changes"], json!([]), "round {round}");
    }
    let second = mesh.json(&["scans", "run", "second"])["id"].clone();
    assert_eq!(until_ended(&mesh, &second)["hosts_up"], 16);
    let receipts = recorder.tasks(&mesh.nodes, "delivered");
    assert!(mesh.coordinator.stop().success());
    let written = results_written(&mesh.hub());
    assert!(written.values().all(|times| *times == 1), "counted twice: {written:?}");
    assert!(receipts.iter().all(|task| written.contains_key(task)), "{receipts:?}, {written:?}");
    let check = mesh.output(&["db", "check"]);
    assert!(check.status.success(), "{}", told(&check));
}

fn net_of_one(net: &str) -> String {
    format!("{net}.1")
}

#[test]
fn a_node_on_a_full_disk_hands_back_and_goes_on_when_there_is_room() {
    let net = own_net(114);
    let _hosts = sixteen_hosts(&net);
    let mut mesh = Mesh::start();
    let Some(disk) = SmallDisk::at(&mesh.home().join("full"), 8) else { return };
    // Half a gigabyte is to stay free without this, which the whole disk has not.
    std::fs::write(mesh.home().join("full/policy.toml"), "spool_keep_free_mib = 1\n").unwrap();
    mesh.add_node("full", &format!("{net}.0/24"));
    create_scan(&mesh, "all", &net);
    disk.fill();
    let run = mesh.json(&["scans", "run", "all"])["id"].clone();
    let ended = until_ended(&mesh, &run);
    assert_eq!((&ended["state"], &ended["coverage_percent"]), (&json!("failed"), &json!(0.0)), "{ended:#}");
    let reason = ended["reason"].as_str().unwrap();
    assert!(reason.contains("disk"), "{reason}");
    mesh.nodes[0].line(" handed back: ");
    disk.free();
    let ended = until_ended(&mesh, &mesh.json(&["scans", "run", "all"])["id"]);
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(16)), "{ended:#}");
    as_soon_as(|| if mesh.spooled("full") == 0 { Ok(()) } else { Err("results are left".to_owned()) });
}
