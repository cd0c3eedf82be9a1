//! Alerts as a person meets them: raised, decided about, ended by evidence; rules edited; changes accepted as expected.

use crate::harness::{Hosts, Mesh, own_net};
use serde_json::{Value, json};
use std::process::Output;

const OLD: &str = "SSH-2.0-OpenSSH_9.2p1\r\n";
const NEW: &str = "SSH-2.0-OpenSSH_9.6p1\r\n";

/// A host with one open port, closed when dropped.
fn port(address: &str, number: u16, greeting: &'static str) -> Hosts {
    let mut host = Hosts::default();
    host.open(address, number, greeting);
    host
}

/// A mesh with one scan, `office`, of one /30.
fn office(net: &str) -> Mesh {
    let mut mesh = Mesh::start();
    let targets = format!("{net}.4/30");
    mesh.add_node("one", &targets);
    mesh.json(&["scans", "create", "office", "--targets", &targets, "--ports", "2222,3306,3389,8080", "--args=-sV"]);
    mesh
}

fn run(mesh: &Mesh) -> Value {
    let ended = mesh.json(&["scans", "run", "office", "--wait"]);
    assert_eq!(ended["run"]["state"], "completed", "{ended:#}");
    ended["report"].clone()
}

/// Rule and state of each alert.
fn standing(mesh: &Mesh, filter: &[&str]) -> Vec<String> {
    let list = mesh.json(&[&["alerts", "list"], filter].concat());
    let shown = |alert: &Value| format!("{} {}", alert["rule"].as_str().unwrap(), alert["state"].as_str().unwrap());
    list.as_array().unwrap().iter().map(shown).collect()
}

fn told(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status.code().unwrap())
}

fn said(mesh: &Mesh, arguments: &[&str]) -> String {
    told(&mesh.output(arguments))
}

#[test]
fn an_alert_is_raised_decided_about_and_ended_by_what_a_run_saw() {
    let net = own_net(81);
    let (host, other) = (format!("{net}.5"), format!("{net}.6"));
    let (mesh, _stays) = (office(&net), port(&other, 2222, OLD));
    let database = port(&host, 3306, OLD);
    run(&mesh);
    assert_eq!(standing(&mesh, &[]), ["MySQL open"]);
    let id = format!("1-{host}-3306-tcp-MySQL");
    assert_eq!(said(&mesh, &["alerts", "list", "--quiet"]), format!("0\n{id}\n"));

    assert_eq!(said(&mesh, &["alerts", "action", &id, "--comment", "ticket 7"]), "0\n1 alert marked actioned\n");
    assert_eq!(said(&mesh, &["alerts", "ignore", "--all-matching", "--rule", "mysql"]), "0\n1 alert ignored\n");
    assert_eq!(standing(&mesh, &[]), Vec::<String>::new());
    assert_eq!(said(&mesh, &["alerts", "reopen", &id]), "0\n1 alert undone\n");
    assert_eq!(standing(&mesh, &["--state", "actioned"]), ["MySQL actioned"]);
    run(&mesh);
    assert_eq!(standing(&mesh, &[]), ["MySQL actioned"], "a decision survives a run");

    drop(database);
    run(&mesh);
    assert_eq!(standing(&mesh, &["--state", "all"]), ["MySQL resolved"]);
    let shown = mesh.json(&["alerts", "show", &id]);
    assert_eq!(shown["resolved"]["evidence"], "host-gone");
    let steps: Vec<&Value> = shown["steps"].as_array().unwrap().iter().map(|step| &step["what"]).collect();
    let undone = json!({ "undone": "actioned" });
    assert_eq!(
        steps,
        [&json!("raised"), &json!("actioned"), &json!("ignored"), &undone, &json!({ "resolved": "host-gone" })]
    );
    assert_eq!(shown["steps"][1]["comment"], "ticket 7");
    let refused = said(&mesh, &["alerts", "ignore", &id]);
    assert!(refused.starts_with("1\n0 alerts ignored, 1 could not be changed\n"), "{refused}");
    assert!(refused.contains("it was resolved in run 3"), "{refused}");
    let text = said(&mesh, &["alerts", "show", &id]);
    assert!(
        text.contains("run 3: resolved: the host is gone") && text.contains("marked actioned (ticket 7)"),
        "{text}"
    );
}

#[test]
fn an_edited_rule_counts_from_the_next_run_on() {
    let net = own_net(82);
    let (mesh, _host) = (office(&net), port(&format!("{net}.5"), 8080, OLD));
    run(&mesh);
    assert_eq!(standing(&mesh, &["--state", "all"]), Vec::<String>::new());
    let set = said(&mesh, &["rules", "set", "8080/tcp", "--name", "admin console", "--severity", "high"]);
    assert_eq!(set, "0\n8080/tcp (admin console) is high from the next run of each scan on\n");
    assert_eq!(standing(&mesh, &[]), Vec::<String>::new());
    run(&mesh);
    assert_eq!(standing(&mesh, &["--severity", "high"]), ["admin console open"]);
    mesh.json(&["rules", "remove", "8080/tcp"]);
    assert_eq!(said(&mesh, &["rules", "remove", "8080/tcp"]).lines().next(), Some("3"));
    run(&mesh);
    assert_eq!(standing(&mesh, &["--state", "all"]), ["admin console resolved"]);
    mesh.json(&["rules", "set", "9999/udp", "--name", "odd", "--severity", "low"]);
    assert_eq!(mesh.json(&["rules", "list"]).as_array().unwrap().len(), 9);
    assert_eq!(said(&mesh, &["rules", "reset", "--yes"]), "0\nthe 8 default rules are in force\n");
    let port = said(&mesh, &["rules", "set", "70000/tcp", "--name", "x", "--severity", "low"]);
    assert!(port.starts_with("2\nerror: ") && port.contains("\"70000/tcp\" is not a port"), "{port}");
    let name = said(&mesh, &["rules", "set", "80/tcp", "--name", "new port", "--severity", "low"]);
    assert_eq!(name, "2\nerror: name: \"new port\" is what alerts without a rule are called; take another name\n");
}

#[test]
fn an_accepted_change_counts_no_more_until_it_changes_again() {
    let net = own_net(83);
    let host = format!("{net}.5");
    let mut mesh = office(&net);
    let _stays = port(&format!("{net}.6"), 2222, OLD);
    let shell = port(&host, 2222, OLD);
    run(&mesh);
    drop(shell);
    let (shell, desktop) = (port(&host, 2222, NEW), port(&host, 3389, OLD));
    let report = run(&mesh);
    assert_eq!((&report["status"], &report["run"]), (&json!("critical"), &json!(2)), "{report:#}");
    assert_eq!(standing(&mesh, &[]), ["RDP open", "service change open"]);

    let one = said(&mesh, &["reports", "accept", "2", "--port", "3389/tcp", "--comment", "planned"]);
    assert!(one.starts_with("0\n1 change accepted as expected; report 2 has score "), "{one}");
    assert_eq!(standing(&mesh, &[]), ["service change open"]);
    let rest = mesh.json(&["reports", "accept", "2", "--all"]);
    assert_eq!((&rest["selected"], &rest["changed"]), (&json!(2), &json!(1)), "{rest:#}");
    assert_eq!((&rest["report"]["status"], &rest["report"]["score"]["value"]), (&json!("stable"), &json!(100)));
    let shown = mesh.json(&["reports", "show", "2"]);
    let comments: Vec<&Value> =
        shown["changes"].as_array().unwrap().iter().map(|change| &change["accepted"]["comment"]).collect();
    assert_eq!(comments, ["", "planned"]);
    mesh.crash_coordinator();
    mesh.nodes[0].line("connected to the coordinator");
    let calm = run(&mesh);
    assert_eq!((&calm["changes"], &calm["score"]["value"]), (&json!([]), &json!(100)), "{calm:#}");
    assert_eq!(standing(&mesh, &[]), Vec::<String>::new());

    // The accepted version is the expected one now: the old one is a change.
    drop(shell);
    let _shell = port(&host, 2222, OLD);
    drop(desktop);
    run(&mesh);
    assert_eq!(standing(&mesh, &[]), ["service change open"]);
    let _desktop = port(&host, 3389, OLD);
    run(&mesh);
    assert_eq!(standing(&mesh, &[]), ["RDP open", "service change open"]);
    let undone = mesh.json(&["reports", "accept", "2", "--all", "--undo"]);
    assert_eq!((&undone["changed"], &undone["report"]["status"]), (&json!(2), &json!("critical")));
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let mesh = Mesh::start();
    let cases: [(&[&str], &str); 8] = [
        (&["alerts", "show", "nope"], "3\nerror: \"nope\" is no alert's id; one looks like 3-192.0.2.7-22-tcp-SSH; "),
        (&["alerts", "ignore", "1-192.0.2.7-22-tcp-SSH"], "3\nerror: there is no alert 1-192.0.2.7-22-tcp-SSH; "),
        (&["alerts", "list", "--severity", "worst"], "2\nerror: severity: \"worst\" is not one of critical, high, "),
        (&["alerts", "list", "--host", "10.0.0.0/40"], "2\nerror: address: target \"10.0.0.0/40\" "),
        (&["alerts", "ignore"], "2\nerror: the following required arguments were not provided"),
        (
            &["alerts", "ignore", "1-192.0.2.7-22-tcp-SSH", "--rule", "SSH"],
            "2\nerror: a filter or --dry-run goes with ",
        ),
        (&["reports", "accept", "7"], "2\nerror: the following required arguments were not provided"),
        (&["reports", "accept", "7", "--all"], "3\nerror: there is no report 7; "),
    ];
    for (arguments, expected) in cases {
        let told = said(&mesh, arguments);
        assert!(told.starts_with(expected), "{arguments:?}\n{told}");
    }
    assert_eq!(said(&mesh, &["alerts", "ignore", "--all-matching"]), "0\n0 alerts ignored\n");
    assert_eq!(mesh.json(&["alerts", "list"]), json!([]));
}
