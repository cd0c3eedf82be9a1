//! Logs: three files that tell what the coordinator did, read and followed from the command line, for administrators alone.

use super::https::address_of;
use crate::harness::{Mesh, Process, as_soon_as, ask, connect, request};
use std::os::unix::fs::PermissionsExt;

fn refuse_a_sign_in(mesh: &Mesh) {
    let form = request("POST", "localhost", "/auth/login", "", "name=ada&password=guess");
    assert_eq!(ask(connect(address_of(mesh.dashboard())).unwrap(), &form).unwrap().status, 401);
}

#[test]
fn what_goes_wrong_stands_in_the_error_log_and_is_followed_as_it_comes() {
    let mesh = Mesh::start();
    let lines = |file: &str| mesh.json(&["logs", "--file", file])["lines"].as_array().unwrap().clone();
    let follower = Process::start(&mut mesh.command(&["logs", "--file", "error", "--follow"]));
    refuse_a_sign_in(&mesh);
    let line = follower.line("a sign-in was refused");
    assert!(line.contains(" WARN ") && line.starts_with("20"), "{line}");
    let errors = lines("error");
    assert!(errors.iter().all(|line| line["level"] == "warn" || line["level"] == "error"), "{errors:#?}");
    let said = mesh.output(&["logs", "--text", "SIGN-IN WAS", "--level", "warn", "--lines", "1"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("a sign-in was refused"), "{said:?}");
    for name in ["app.log", "error.log"] {
        let mode = std::fs::metadata(mesh.hub().join("logs").join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640, "{name}");
    }
}

#[test]
fn runs_stand_in_the_scheduler_log_and_an_unknown_log_is_named() {
    let mut mesh = Mesh::start();
    mesh.add_node("one", "127.0.0.0/8");
    let net = crate::harness::own_net(140);
    mesh.json(&["scans", "create", "all", "--targets", &format!("{net}.1"), "--ports", "2222"]);
    mesh.json(&["scans", "run", "all", "--wait"]);
    as_soon_as(|| {
        let lines = mesh.json(&["logs", "--file", "scheduler"])["lines"].clone();
        let is_ours = |line: &serde_json::Value| line["text"].as_str().unwrap().contains("coordinator::");
        let lines = lines.as_array().unwrap();
        if !lines.is_empty() && lines.iter().all(is_ours) { Ok(()) } else { Err(format!("{lines:#?}")) }
    });
    let wrong = mesh.output(&["logs", "--file", "kernel"]);
    assert_eq!(wrong.status.code(), Some(2));
}
