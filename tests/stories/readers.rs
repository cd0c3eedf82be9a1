//! An exported run in the hands of other programs: nmap's document type, ndiff, python-libnmap, and our own import and diff.

use super::exports::{Changes, changed_network, changes_of_document, export};
use crate::harness::{Hosts, Mesh, have, own_net, portdrift, told};
use serde_json::{Value, json};
use std::process::{Command, Output};

const DTD: &str = "/usr/share/nmap/nmap.dtd";
/// Prints each open port with what the reader knows of its service.
const LIBNMAP: &str = "import sys; from libnmap.parser import NmapParser as P
r = P.parse_fromfile(sys.argv[1])
print(r.hosts_up, r.hosts_total)
for h in r.hosts:
    for s in h.services:
        if s.open(): print(h.address, s.port, s.service, s.service_dict.get('version', '-'))";

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The first two runs of the mesh as documents.
pub(super) fn documents(mesh: &Mesh) -> [String; 2] {
    ["1", "2"].map(|run| {
        let file = mesh.home().join(format!("{run}.xml")).to_str().unwrap().to_owned();
        export(mesh, &[run, "--output", &file]);
        file
    })
}

fn other_readers(net: &str, [first, second]: &[String; 2]) {
    if have(&[DTD, "/usr/bin/xmllint"]) {
        let read = run("/usr/bin/xmllint", &["--noout", "--dtdvalid", DTD, first, second]);
        assert!(read.status.success(), "{}", told(&read));
    }
    if have(&["/usr/bin/ndiff"]) {
        let same = run("/usr/bin/ndiff", &[second, second]);
        assert_eq!(same.status.code(), Some(0), "{}", told(&same));
        let differ = run("/usr/bin/ndiff", &[first, second]);
        assert_eq!(differ.status.code(), Some(1), "{}", told(&differ));
        let has =
            |sign: char, port: &str| out(&differ).lines().any(|line| line.starts_with(sign) && line.contains(port));
        assert!(has('+', "8080/tcp open") && has('+', "8081/tcp open"), "{}", told(&differ));
        assert!(has('-', "3306/tcp open") && !has('-', "2222/tcp") && !has('+', "2222/tcp"), "{}", told(&differ));
    }
    if have(&["/usr/bin/python3", "/usr/lib/python3/dist-packages/libnmap/__init__.py"]) {
        let read = run("/usr/bin/python3", &["-c", LIBNMAP, second]);
        let expected = format!(
            "1 1\n{net}.1 2222 ssh 9.2p1\n{net}.1 8080 ssh =cmd|' /C calc'!A0 \\u{{202e}}gpj\\u{{1b}}[31m\n{net}.1 8081 http -\n"
        );
        assert_eq!(out(&read), expected, "{}", told(&read));
    }
}

/// Kind, address and port of each change that `portdrift diff` finds.
pub(super) fn changes_of_files(mesh: &Mesh, files: &[String; 2]) -> Changes {
    let [first, second] = files;
    let output = portdrift(mesh.home()).args(["diff", first, second, "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let line = |line: &Value| (text(&line["kind"]), text(&line["host"]), line["port"].to_string());
    comparison["changes"].as_array().unwrap().iter().map(line).collect()
}

fn alerts(mesh: &Mesh) -> Vec<[Value; 3]> {
    let of = |alert: &Value| ["address", "port", "state"].map(|key| alert[key].clone());
    mesh.json(&["alerts", "list", "--state", "all"]).as_array().unwrap().iter().map(of).collect()
}

#[test]
fn an_exported_run_is_read_by_others_and_taken_back_without_a_change() {
    let net = own_net(93);
    let (mesh, _hosts) = changed_network(&net);
    let documents = documents(&mesh);
    other_readers(&net, &documents);

    let report: Value = serde_json::from_str(&export(&mesh, &["2", "--format", "json"])).unwrap();
    let changes = changes_of_document(&report);
    assert_eq!(changes.len(), 3);
    assert_eq!(changes_of_files(&mesh, &documents), changes);

    let (before, latest) = (alerts(&mesh), &documents[1]);
    for authoritative in [&[][..], &["--authoritative"]] {
        let taken = mesh.json(&[&["import", latest, "--scan", "R&D lab"], authoritative].concat());
        let report = &taken[0]["report"];
        assert_eq!((&taken[0]["run"]["state"], &report["coverage_percent"]), (&json!("completed"), &json!(100.0)));
        assert_eq!((&report["changes"], &report["notes"]), (&json!([]), &json!([])), "{report:#}");
        assert_eq!((&report["newly_covered_cells"], &report["no_longer_covered_cells"]), (&json!(0), &json!(0)));
        assert_eq!(alerts(&mesh), before);
    }
}

#[test]
fn a_document_of_a_partial_run_claims_no_address_that_nobody_scanned() {
    let net = own_net(98);
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.1"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mut mesh = Mesh::start();
    mesh.add_node("half", &format!("{net}.0/31"));
    mesh.json(&["scans", "create", "wide", "--targets", &format!("{net}.0/30"), "--ports", "2222"]);
    for _ in 1..=2 {
        assert_eq!(mesh.json(&["scans", "run", "wide", "--wait"])["run"]["state"], "partial");
    }
    let [first, second] = documents(&mesh);
    assert_eq!(changes_of_files(&mesh, &[first, second.clone()]), [].into());
    let taken = &mesh.json(&["import", &second, "--scan", "wide", "--authoritative"])[0];
    let report = &taken["report"];
    assert_eq!((&report["changes"], &report["notes"]), (&json!([]), &json!([])), "{report:#}");
    assert_eq!((&report["coverage_percent"], &taken["run"]["state"]), (&json!(50.0), &json!("partial")), "{taken:#}");
    assert_eq!(report["uncovered"][0]["targets"], format!("{net}.2/31"), "{report:#}");
}
