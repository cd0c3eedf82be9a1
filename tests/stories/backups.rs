//! A backup that is taken while the mesh works, and a coordinator that goes on from it on another disk.

use crate::harness::{Hosts, Mesh, as_soon_as, own_net, portdrift, results_written, told};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// Every sixteenth address has an open port.
fn sixteen_hosts(net: &str) -> Hosts {
    let mut hosts = Hosts::default();
    (5..=245).step_by(16).for_each(|last| hosts.open(&format!("{net}.{last}"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n"));
    hosts
}

fn epoch(mesh: &Mesh) -> u64 {
    mesh.get("/roster")["epoch"].as_u64().unwrap()
}

/// The scan, whatever it was watched by, ended whole with all hosts.
fn is_whole(ended: &Value) {
    assert_eq!((&ended["state"], &ended["hosts_up"]), (&json!("completed"), &json!(16)), "{ended:#}");
}

#[test]
fn a_mesh_goes_on_from_a_backup_and_nothing_is_doubled_and_no_epoch_falls() {
    let net = own_net(145);
    let (_hosts, ranges) = (sixteen_hosts(&net), format!("{net}.0/24"));
    let mut mesh = Mesh::start();
    mesh.add_node("one", &ranges);
    mesh.json(&["scans", "create", "all", "--targets", &ranges, "--ports", "2222,8080", "--args=--max-rate 60"]);
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    mesh.nodes[0].line(" started");
    let file = mesh.home().join("monday.portdrift");
    let file = file.to_str().unwrap();
    let saved = mesh.json(&["db", "backup", file, "--with-keys"]);
    assert_eq!(saved["keys"], json!(["coordinator.key", "mesh.key"]), "{saved:#}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    // What the backup does not know: a second node, a roster, and the end of the run.
    mesh.add_node("two", &ranges);
    is_whole(&mesh.json(&["runs", "watch", &run]));
    let lost = epoch(&mesh);
    mesh.coordinator.kill();
    std::fs::rename(mesh.hub(), mesh.home().join("lost")).unwrap();
    let restored = mesh.json(&["db", "restore", file]);
    assert_eq!(restored["missing_keys"], json!([]), "{restored:#}");
    mesh.start_coordinator();

    mesh.coordinator.line("a member holds a newer roster than this store");
    mesh.coordinator.line("rosters are issued again");
    as_soon_as(|| if epoch(&mesh) >= lost { Ok(()) } else { Err(format!("epoch {}", epoch(&mesh))) });
    is_whole(&mesh.json(&["runs", "watch", &run]));
    mesh.add_node("three", &ranges);
    assert!(epoch(&mesh) > lost, "the next one comes after all that were");
    assert_eq!(mesh.get("/roster")["alarm"], Value::Null, "no two rosters of one epoch");
    let next = mesh.json(&["scans", "run", "all"])["id"].as_u64().unwrap();
    assert!(next > 100_000, "no number of a run is given twice: {next}");
    is_whole(&mesh.json(&["runs", "watch", &next.to_string()]));
    assert!(mesh.coordinator.stop().success());
    assert!(results_written(&mesh.hub()).values().all(|times| *times == 1), "counted twice");
    assert_eq!(mesh.json(&["db", "check"])["damage"], json!([]));
}

fn refused(output: &Output, words: &str) {
    assert!(!output.status.success() && told(output).contains(words), "{}", told(output));
}

#[test]
fn a_stopped_store_is_compacted_restored_and_reset_and_a_running_one_is_left_alone() {
    let mut mesh = Mesh::start();
    mesh.json(&["scans", "create", "all", "--targets", &format!("{}.1", own_net(146)), "--ports", "1"]);
    for command in [&["db", "compact"][..], &["db", "reset", "--yes"], &["db", "reset", "--all", "--yes"]] {
        refused(&mesh.output(command), "in use by");
    }
    assert!(mesh.coordinator.stop().success());
    assert_eq!(mesh.json(&["db", "compact"])["compacted"], true);
    assert_eq!(mesh.json(&["db", "compact"])["compacted"], false);
    let file = mesh.home().join("b.portdrift");
    mesh.json(&["db", "backup", file.to_str().unwrap()]);
    refused(&mesh.output(&["db", "backup", file.to_str().unwrap()]), "exists already");
    refused(&mesh.output(&["db", "restore", file.to_str().unwrap()]), "is not empty");
    refused(&mesh.output(&["db", "reset"]), "add --yes");
    assert!(mesh.json(&["db", "reset", "--yes"])["rows"].as_u64().unwrap() > 0);
    mesh.start_coordinator();
    assert_eq!(mesh.get("/scans"), json!([]));
    assert!(mesh.coordinator.stop().success());

    // Without its keys a restored coordinator does not start, and says what is missing.
    let keyless = mesh.home().join("keyless");
    let mut restore = portdrift(mesh.home());
    let restored = restore.args(["db", "restore"]).arg(&file).arg("--dir").arg(&keyless).output().unwrap();
    assert!(told(&restored).contains("the backup lacks coordinator.key and mesh.key"), "{}", told(&restored));
    let mut start = portdrift(mesh.home());
    refused(&start.args(["coordinator", "run", "--dir"]).arg(&keyless).output().unwrap(), "coordinator.key is missing");
    for key in ["coordinator.key", "mesh.key"] {
        std::fs::copy(mesh.hub().join(key), keyless.join(key)).unwrap();
    }
    mesh.json(&["db", "reset", "--all", "--yes"]);
    std::fs::remove_dir_all(mesh.hub()).unwrap();
    std::fs::rename(keyless, mesh.hub()).unwrap();
    mesh.start_coordinator();
    assert_eq!(mesh.get("/scans").as_array().unwrap().len(), 1);
}
