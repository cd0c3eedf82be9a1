//! The API against its own description: schemathesis makes up requests of every kind, and each answer must be one that the
//! description announces. No node is approved, so nothing is scanned.

use crate::harness::{Mesh, is_long, stdout_of, told};
use std::path::Path;
use std::process::Command;

/// Made by `./check` from tests/schema/requirements.txt.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/schemathesis/bin/st");

const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema/schemathesis.toml");

/// A stream that does not end, and what would take the token back that this asks with.
const LEFT_OUT: [&str; 2] = ["/api/v1/events", "/api/v1/tokens/{id}"];

fn command(mesh: &Mesh, token: &str, folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env("HYPOTHESIS_STORAGE_DIRECTORY", folder);
    command.args(["--config-file", SETTINGS, "run"]);
    command.arg(format!("{}/api/openapi.json", mesh.dashboard()));
    command.args(["--header", &format!("Authorization: Bearer {token}"), "--rate-limit", "80/s", "--seed", "1"]);
    command.args(["--max-examples", if is_long() { "50" } else { "10" }, "--no-color"]);
    command
}

/// A scan with a report, so that there is something to read.
fn fill(mesh: &Mesh) {
    stdout_of(&mut mesh.command(&["scans", "create", "lab", "--targets", "127.0.136.0/30", "--ports", "22,3389"]));
    let document = mesh.home().join("lab.xml");
    let text = r#"<?xml version="1.0"?><nmaprun scanner="nmap" args="nmap -sT -p 22,3389 127.0.136.0/30" start="1700000000" version="7.93" xmloutputversion="1.05"><scaninfo type="connect" protocol="tcp" numservices="2" services="22,3389"/><host starttime="1700000000" endtime="1700000001"><status state="up" reason="syn-ack"/><address addr="127.0.136.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="22"><state state="open" reason="syn-ack"/></port><port protocol="tcp" portid="3389"><state state="open" reason="syn-ack"/></port></ports></host><runstats><finished time="1700000002" elapsed="2" exit="success"/><hosts up="1" down="3" total="4"/></runstats></nmaprun>"#;
    std::fs::write(&document, text).unwrap();
    stdout_of(mesh.command(&["import", "--scan", "1"]).arg(&document));
}

#[test]
fn every_answer_of_the_api_is_one_that_its_description_announces() {
    if !crate::harness::have(&[PROGRAM]) {
        return;
    }
    let mesh = Mesh::start();
    fill(&mesh);
    let scopes = ["read", "scans", "alerts", "nodes", "admin"].map(|scope| ["--scope", scope]).concat();
    let token = stdout_of(mesh.command(&["tokens", "create", "schema", "--owner", "ada"]).args(scopes));
    let folder = tempfile::tempdir().unwrap();
    let mut first = command(&mesh, token.trim(), folder.path());
    let first = first.args(LEFT_OUT.map(|path| ["--exclude-path", path]).concat()).output().unwrap();
    assert!(first.status.success(), "{}", told(&first));
    let last = command(&mesh, token.trim(), folder.path()).args(["--include-path", LEFT_OUT[1]]).output().unwrap();
    assert!(last.status.success(), "{}", told(&last));
    let nodes = mesh.get("/nodes");
    assert_eq!(nodes, serde_json::json!([]), "nobody was let in");
}
