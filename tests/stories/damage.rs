//! A data folder that was damaged: the coordinator says so, or everything it shows is as it was.

use crate::harness::{Chance, Hosts, Mesh, Process, is_long, own_net, portdrift, told};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What says what is to be done about damage that cannot be mended.
const NEXT_STEPS: [&str; 3] = ["restore the folder from a backup", "portdrift db rebuild", "use the newer program"];

/// Everything that is compared.
fn shown(mesh: &Mesh, runs: &[String]) -> Vec<Value> {
    let mut shown = vec![mesh.get("/scans"), mesh.get("/alerts?state=all&limit=1000"), mesh.json(&["runs", "list"])];
    for run in runs {
        shown.push(mesh.get(&format!("/runs/{run}")));
        shown.push(mesh.json(&["reports", "show", run]));
    }
    shown
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Flips a bit of a file in `dir`, or cuts it; says what it did.
fn harm(chance: &mut Chance, dir: &Path) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.metadata().unwrap().len() > 0);
    files.sort();
    let path = chance.pick(&files);
    let mut bytes = std::fs::read(&path).unwrap();
    // Most of the index's file is zeros.
    let place = chance.below(bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1));
    let is_cut = chance.below(4) == 0;
    if is_cut {
        bytes.truncate(place);
    } else {
        bytes[place] ^= 1 << chance.below(8);
    }
    std::fs::write(&path, bytes).unwrap();
    format!("{} {} at {place}", path.display(), if is_cut { "cut" } else { "flipped" })
}

/// A stopped coordinator with two runs, what it showed, and a copy of its store.
fn sound(net: &str) -> (Mesh, Vec<String>, Vec<Value>, PathBuf) {
    let mut mesh = Mesh::start();
    let mut hosts = Hosts::default();
    (1..=12).for_each(|last| hosts.open(&format!("{net}.{last}"), 3306, "SSH-2.0-OpenSSH_9.2p1\r\n"));
    mesh.add_node("one", &format!("{net}.0/24"));
    mesh.json(&["scans", "create", "all", "--targets", &format!("{net}.1-30"), "--ports", "22,3306"]);
    let runs: Vec<String> = (0..2)
        .map(|_| {
            let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
            assert_eq!(mesh.json(&["runs", "watch", &run])["state"], "completed");
            hosts.close(&format!("{net}.{run}"), 3306);
            run
        })
        .collect();
    assert!(mesh.nodes[0].stop().success());
    assert!(mesh.coordinator.stop().success());
    // What is compared was never told by a node since the start.
    mesh.start_coordinator();
    let before = shown(&mesh, &runs);
    assert!(mesh.coordinator.stop().success());
    let copy = mesh.home().join("copy");
    copy_dir(&mesh.hub().join("store"), &copy);
    (mesh, runs, before, copy)
}

#[test]
fn a_damaged_store_is_refused_with_a_next_step_or_shows_what_it_showed() {
    let mut chance = Chance::of("damage");
    let (mut mesh, runs, before, copy) = sound(&own_net(67));
    let store = mesh.hub().join("store");
    for round in 0..if is_long() { 100 } else { 8 } {
        std::fs::remove_dir_all(&store).unwrap();
        copy_dir(&copy, &store);
        let part = ["journal", "index"][round % 2];
        let what = format!("round {round}: {}", harm(&mut chance, &store.join(part)));
        if part == "journal" {
            let check = mesh.output(&["db", "check"]);
            assert!(!check.status.success(), "{what}: {}", told(&check));
            let mut start = portdrift(mesh.home());
            let refused = Process::start(start.args(["coordinator", "run", "--dir"]).arg(mesh.hub())).line("error:");
            assert!(NEXT_STEPS.iter().any(|step| refused.contains(step)), "{what}: {refused}");
        } else {
            if round % 4 == 1 {
                let rebuilt = mesh.output(&["db", "rebuild"]);
                assert!(rebuilt.status.success(), "{what}: {}", told(&rebuilt));
            }
            mesh.start_coordinator();
            assert_eq!(shown(&mesh, &runs), before, "{what}");
            assert!(mesh.coordinator.stop().success(), "{what}");
        }
    }
}
