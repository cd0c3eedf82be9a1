//! Work that is spread over nodes: what nobody covers is named, and looked at later alone.

use crate::harness::{Hosts, Mesh, own_net, stdout_of};

#[test]
fn what_no_node_covers_is_named_and_run_again_alone_once_one_does() {
    let net = own_net(65);
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.5"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    hosts.open(&format!("{net}.200"), 8080, "");
    let mut mesh = Mesh::start();
    let lower = mesh.add_node("lower", &format!("{net}.0/25"));
    let targets = format!("{net}.0/24");
    mesh.json(&["scans", "create", "all", "--targets", &targets, "--ports", "2222,8080", "--args=-T4"]);
    let run = mesh.json(&["scans", "run", "all"])["id"].to_string();
    let half = mesh.json(&["runs", "watch", &run]);
    assert_eq!((&half["state"], &half["coverage_percent"]), (&"partial".into(), &50.0.into()), "{half:#}");
    let upper_half = format!("{net}.128/25");
    assert_eq!(half["uncovered"][0]["targets"], upper_half.as_str(), "{half:#}");
    assert_eq!(half["uncovered"][0]["reason"], "no approved node has them in its ranges");
    let node = &half["progress"]["nodes"][0];
    assert_eq!((&node["node"], &node["label"], &node["addresses_done"]), (&lower.into(), &"lower".into(), &128.into()));

    let partial = stdout_of(&mut mesh.command(&["runs", "list", "--scan", "all", "--state", "partial", "--quiet"]));
    assert_eq!(partial.trim(), run);
    let upper = mesh.add_node("upper", &upper_half);
    let rest = mesh.json(&["runs", "retry-missing", &run, "--wait"]);
    assert_eq!((&rest["state"], &rest["coverage_percent"]), (&"completed".into(), &100.0.into()), "{rest:#}");
    assert_eq!((&rest["part"], &rest["hosts_up"]), (&upper_half.into(), &1.into()), "{rest:#}");
    let holders = rest["tasks"].as_array().unwrap().iter().map(|task| task["node"].as_str().unwrap());
    assert!(holders.clone().count() > 0 && holders.clone().all(|holder| holder == upper), "{rest:#}");
    let again = mesh.output(&["runs", "retry-missing", &rest["id"].to_string()]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("only what a partial or failed run missed"), "{said}");
    let whole = mesh.json(&["scans", "run", "all", "--wait"]);
    assert_eq!(whole["run"]["state"], "completed", "{whole:#}");
    assert_eq!(whole["report"]["changes"], serde_json::json!([]), "{whole:#}");
}
