//! The configuration: checked with every fault, shown with its origins, reloaded while the coordinator runs.

use super::https::{address_of, configure};
use crate::harness::{Mesh, as_soon_as, ask, connect, portdrift, request, stdout_of};
use std::process::Command;

#[test]
fn config_check_tells_every_fault_and_show_tells_where_values_come_from() {
    let home = tempfile::tempdir().unwrap();
    let (hub, file) = (home.path().join("hub"), home.path().join("own.toml"));
    let config = |words: &[&str]| -> Command {
        let mut command = portdrift(home.path());
        command.arg("config").args(words).arg("--dir").arg(&hub);
        command
    };
    assert_eq!(stdout_of(&mut config(&["path"])).trim(), hub.join("portdrift.toml").to_str().unwrap());
    let example = stdout_of(&mut config(&["example"]));
    std::fs::write(&file, &example).unwrap();
    let named = ["--config", file.to_str().unwrap()];
    stdout_of(config(&["check"]).args(named));
    let defaults = stdout_of(&mut config(&["show"]));
    assert_eq!(
        stdout_of(config(&["show"]).args(named)).replace("  # as chosen at setup", ""),
        defaults.replace("  # as chosen at setup", "")
    );

    std::fs::write(&file, "[web]\nlisen = \"x\"\nbase_path = \"watch\"\n[tls]\nmode = \"of\"\n").unwrap();
    let checked = config(&["check"]).args(named).env("PORTDRIFT_LOGS__KEEP_DAYS", "0").output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8(checked.stderr).unwrap().replace(home.path().to_str().unwrap(), "[HOME]");
    insta::assert_snapshot!(told, @r#"
    [HOME]/own.toml:2:1: web.lisen: there is no such key; [web] knows base_path, hosts, insecure_http, listen, trusted_proxies
    [HOME]/own.toml:3:1: web.base_path: "watch" is no path to serve under; write for instance /portdrift, with letters, digits, '-', '.', '_' and '~'
    [HOME]/own.toml:5:1: tls.mode: unknown variant `of`, expected one of `auto`, `on`, `off`
    PORTDRIFT_LOGS__KEEP_DAYS: logs.keep_days: invalid value: integer `0`, expected a nonzero u32
    error: the configuration has 4 faults
    "#);

    std::fs::write(&file, "[web]\nbase_path = \"/watch\"\n").unwrap();
    let shown =
        config(&["show", "--origin"]).args(named).env("PORTDRIFT_WEB__HOSTS", "a.example,b.example").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap().replace(home.path().to_str().unwrap(), "[HOME]");
    let wanted = |line: &&str| {
        line.starts_with("web.base_path") || line.starts_with("web.hosts") || line.starts_with("tls.mode")
    };
    let lines: Vec<String> =
        shown.lines().filter(wanted).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    tls.mode "auto" default
    web.base_path "/watch" [HOME]/own.toml:2:1
    web.hosts ["a.example", "b.example"] PORTDRIFT_WEB__HOSTS
    "#);
}

#[test]
fn a_hangup_reloads_what_it_can_and_a_faulty_file_changes_nothing() {
    let mesh = Mesh::start_on(|hub| configure(hub, "[web]\nhosts = [\"one.example\"]\n"), &[]);
    let (address, file) = (address_of(mesh.dashboard()), mesh.hub().join("portdrift.toml"));
    let status =
        |host: &str| ask(connect(address).unwrap(), &request("GET", host, "/auth/login", "", "")).unwrap().status;
    assert_eq!((status("one.example"), status("two.example")), (200, 421));

    std::fs::write(&file, "[web]\nhosts = [\"two.example\"]\nbase_path = \"/x\"\n[logs]\nlevel = \"debug\"\n").unwrap();
    mesh.coordinator.hang_up();
    let waits = mesh.coordinator.line("these settings wait for a restart");
    assert!(waits.contains("web.base_path"), "{waits}");
    mesh.coordinator.line("the configuration was reloaded");
    assert_eq!((status("one.example"), status("two.example")), (421, 200));
    as_soon_as(|| {
        let debug = mesh.get("/logs?level=debug&limit=2000");
        let is_there = debug["lines"].as_array().unwrap().iter().any(|line| line["level"] == "debug");
        is_there.then_some(()).ok_or_else(|| "nothing is logged at level debug".to_owned())
    });

    std::fs::write(&file, "[web]\nhosts = \"three\"\nlisen = 1\n").unwrap();
    mesh.coordinator.hang_up();
    let told = mesh.coordinator.lines("the configuration was not reloaded: ", 2);
    assert!(told.iter().any(|line| line.contains("portdrift.toml:2:1: web.hosts: ")), "{told:?}");
    assert_eq!((status("one.example"), status("two.example")), (421, 200));
}
