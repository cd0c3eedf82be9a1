//! The demo from end to end: for any seed it finds exactly what it changed, even with nothing else installed.

use crate::harness::{Process, own_net, portdrift, told};
use std::process::Output;

/// Runs the demo in a network of its own, with no other program within reach.
fn demo(seed: &str, story: u8, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = portdrift(home.path());
    command.env("PATH", "").env("TMPDIR", home.path());
    command.args(["demo", "--once", "--seed", seed, "--net", &format!("{}.0", own_net(story))]).args(arguments);
    let output = command.output().unwrap();
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "the demo left {left:?} behind");
    output
}

#[test]
fn three_seeds_find_exactly_what_was_changed() {
    for (seed, net) in [("1", 41), ("2", 42), ("3", 43)] {
        let output = demo(seed, net, &[]);
        assert!(output.status.success(), "seed {seed}\n{}", told(&output));
        let table = String::from_utf8_lossy(&output.stdout);
        for kind in ["+ new host", "− removed host", "+ new port", "− closed port", "~ service change", "→"] {
            assert!(table.contains(kind), "seed {seed} shows no {kind:?}\n{table}");
        }
        let rdp = table.lines().find(|line| line.contains("3389/tcp")).unwrap();
        assert!(rdp.contains("critical"), "{rdp}");
    }
}

#[test]
fn what_was_changed_and_found_can_be_read_by_a_program() {
    let output = demo("4", 44, &["--json"]);
    assert!(output.status.success(), "{}", told(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["missing"], serde_json::json!([]));
    assert_eq!(found["unexpected"], serde_json::json!([]));
    assert!(found["report"]["changes"].as_array().unwrap().len() >= 7);
}

#[test]
fn a_busy_port_is_named() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let output = demo("5", 45, &["--port", &port]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("in use"), "{said}");
}

#[test]
fn a_signal_ends_the_demo_with_all_its_processes_and_data() {
    let home = tempfile::tempdir().unwrap();
    let mut command = portdrift(home.path());
    command.env("TMPDIR", home.path()).args([
        "demo",
        "--seed",
        "6",
        "--port",
        "0",
        "--net",
        &format!("{}.0", own_net(46)),
    ]);
    let mut demo = Process::start(&mut command);
    demo.line("password  ");
    let dashboard = demo.line("The dashboard is at http://");
    let address = dashboard.rsplit('/').next().unwrap().to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok(), "{address}");
    assert!(demo.stop().success());
    assert!(std::net::TcpStream::connect(&address).is_err(), "{address} still answers");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}
