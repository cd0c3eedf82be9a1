//! The command line as a whole: how it all stands, what is wrong, what monitoring systems read, and what a terminal shows.

use crate::harness::{Hosts, Mesh, as_soon_as, have, own_net, portdrift, stdout_of, told};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// util-linux: runs a command on a terminal of its own.
const SCRIPT: &str = "/usr/bin/script";

/// Exit code and standard output.
fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// What a person sees who runs `command` on a terminal and types `answer`.
fn on_terminal(command: &Command, answer: &str) -> Output {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new(SCRIPT);
    script.args(["--quiet", "--flush", "--return", "--command", &line.join(" "), "/dev/null"]);
    script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Whatever room this machine's disk has left.
fn keep_little_free(hub: &Path) {
    std::fs::write(hub.join("portdrift.toml"), "[store]\nkeep_free_mib = 1\n").unwrap();
}

/// What a doctor found: result, check and what was found.
fn findings(output: &Output) -> Vec<(String, String, String)> {
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = found.as_array().unwrap().iter();
    all.map(|one| (text(&one["result"]), text(&one["check"]), text(&one["found"]))).collect()
}

/// The faults among them, as `check: what was found`.
fn faults(output: &Output) -> Vec<String> {
    let faults = findings(output).into_iter().filter(|(result, ..)| result == "fault");
    faults.map(|(_, check, found)| format!("{check}: {found}")).collect()
}

#[test]
fn how_it_all_stands_is_told_to_people_and_to_monitoring_systems() {
    let net = own_net(160);
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.1"), 3389, "");
    let mut mesh = Mesh::start();
    let check = |mesh: &Mesh, what: &[&str]| said(&mesh.output(&[&["check"], what].concat()));
    assert_eq!(check(&mesh, &["nodes"]).0, Some(1), "no node is approved");
    mesh.add_node("lab", &format!("{net}.0/24"));
    mesh.json(&["scans", "create", "office", "--targets", &format!("{net}.1"), "--ports", "3389", "--every", "60"]);
    mesh.json(&["scans", "run", "office", "--wait"]);

    let told = stdout_of(&mut mesh.command(&["status"]));
    for part in ["up for ", mesh.dashboard(), ", 0 offline", "1 critical, 0 high", "office  completed"] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let told = mesh.json(&["status"]);
    let there = told["nodes"]["online"].as_u64().unwrap() + told["nodes"]["scanning"].as_u64().unwrap();
    assert_eq!((there, &told["alerts"]["critical"]), (1, &json!(1)), "{told:#}");
    assert_eq!(told["coordinator"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(told["scans"][0]["next_run"].is_string() && told["roster"]["epoch"].as_u64() >= Some(1), "{told:#}");

    let nodes = "PORTDRIFT NODES OK - 1 of 1 nodes are there | there=1;;;0 away=0;0;;0 pending=0;;;0";
    assert_eq!(check(&mesh, &["nodes"]), (Some(0), nodes.to_owned()));
    let (code, line) = check(&mesh, &["alerts"]);
    assert!(
        code == Some(2) && line.starts_with("PORTDRIFT ALERTS CRITICAL - open alerts: 1 critical"),
        "{code:?} {line}"
    );
    let (code, line) = check(&mesh, &["scans"]);
    assert!(code == Some(0) && line.starts_with("PORTDRIFT SCANS OK - 1 scan, each"), "{code:?} {line}");
    assert_eq!(check(&mesh, &["scans", "--scan", "nope"]).0, Some(3), "what is not there is not known");
    assert_eq!(check(&mesh, &["nodes", "--wrong"]).0, Some(3), "2 would mean critical");

    mesh.nodes[0].kill();
    as_soon_as(|| match check(&mesh, &["nodes"]) {
        (Some(2), line) if line.contains("0 of 1 nodes") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    mesh.coordinator.kill();
    assert_eq!(mesh.output(&["status"]).status.code(), Some(5));
    let (code, line) = check(&mesh, &["alerts"]);
    assert!(code == Some(3) && line.starts_with("PORTDRIFT ALERTS UNKNOWN - no coordinator answers at"), "{line}");
}

#[test]
fn a_doctor_names_what_is_wrong_with_a_coordinator_and_what_to_do() {
    let mut mesh = Mesh::start_on(|_| (), &[]);
    keep_little_free(&mesh.hub());
    let doctor = |mesh: &Mesh| mesh.command(&["doctor", "--json"]).output().unwrap();
    let healthy = doctor(&mesh);
    assert_eq!((healthy.status.code(), faults(&healthy)), (Some(0), Vec::new()), "{}", told(&healthy));
    let checks: Vec<String> = findings(&healthy).into_iter().map(|(_, check, _)| check).collect();
    for check in
        ["data folder", "keys", "clock", "configuration", "disk room", "coordinator", "roster", "nodes", "nmap"]
    {
        assert!(checks.iter().any(|found| found == check), "{check} was not looked at: {checks:?}");
    }
    let text = mesh.output(&["doctor"]);
    let note = String::from_utf8_lossy(&text.stderr).trim().to_owned();
    assert!(note.contains("warning") || note == "nothing is wrong", "{}", told(&text));

    mesh.coordinator.kill();
    let stopped = doctor(&mesh);
    let told_of = faults(&stopped);
    assert_eq!((stopped.status.code(), told_of.len()), (Some(1), 1), "{told_of:#?}");
    assert!(told_of[0].starts_with("coordinator: no coordinator answers at "), "{told_of:#?}");
    let found = findings(&stopped);
    assert!(found.iter().any(|(result, check, _)| result == "ok" && check == "store"), "it would start: {found:#?}");
    let ports: Vec<_> = found.iter().filter(|(_, check, _)| check == "ports").collect();
    assert!(ports.len() == 3 && ports.iter().all(|(result, ..)| result == "ok"), "{found:#?}");

    let busy = std::net::TcpListener::bind(mesh.mesh_address()).unwrap();
    std::fs::set_permissions(mesh.hub(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let told_of = faults(&doctor(&mesh)).join("\n");
    for part in ["is open to others (mode 0755)", &format!("nodes: {} cannot be used", mesh.mesh_address())] {
        assert!(told_of.contains(part), "{part:?} is not in\n{told_of}");
    }
    drop(busy);
    std::fs::write(mesh.hub().join("portdrift.toml"), "[web]\nlisten = 5000\n[stroe]\n").unwrap();
    let told_of = faults(&doctor(&mesh)).join("\n");
    assert!(told_of.contains("configuration: ") && told_of.contains("stroe"), "{told_of}");
    let nowhere = mesh.home().join("nowhere");
    let output = portdrift(mesh.home()).args(["doctor", "--dir"]).arg(&nowhere).output().unwrap();
    assert!(output.status.code() == Some(1) && !nowhere.exists(), "{}", told(&output));
}

#[test]
fn a_node_tells_how_it_is_running_and_stopped() {
    let net = own_net(161);
    let mut mesh = Mesh::start();
    let node = |mesh: &Mesh, what: &str| {
        let mut command = portdrift(mesh.home());
        command.args(["node", what, "--json", "--dir"]).arg(mesh.home().join("lab")).output().unwrap()
    };
    let missing = node(&mesh, "status");
    assert!(
        missing.status.code() == Some(1) && told(&missing).contains("looking at the node in "),
        "{}",
        told(&missing)
    );
    let fingerprint = mesh.add_node("lab", &format!("{net}.0/24"));
    let output = node(&mesh, "status");
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &status["running"]), (Some(0), &json!(true)), "{status:#}");
    assert_eq!(status["fingerprint"], fingerprint, "{status:#}");
    let membership = &status["membership"];
    assert_eq!((&membership["standing"], &membership["ranges"]), (&json!("approved"), &json!(format!("{net}.0/24"))));
    let healthy = node(&mesh, "doctor");
    assert_eq!((healthy.status.code(), faults(&healthy)), (Some(0), Vec::new()), "{}", told(&healthy));
    assert!(told(&healthy).contains("its mesh port answers at"), "{}", told(&healthy));

    mesh.nodes[0].kill();
    mesh.coordinator.kill();
    let output = node(&mesh, "status");
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &status["running"]), (Some(5), &json!(false)), "{status:#}");
    let stopped = node(&mesh, "doctor");
    assert_eq!((stopped.status.code(), faults(&stopped)), (Some(1), vec!["node: it does not run".to_owned()]));
    assert!(told(&stopped).contains("its mesh port cannot be reached directly"), "{}", told(&stopped));
    std::fs::write(mesh.home().join("lab/policy.toml"), "raw_packets = maybe\n").unwrap();
    assert!(faults(&node(&mesh, "doctor"))[0].starts_with("policy: "), "{}", told(&node(&mesh, "doctor")));
}

#[test]
fn a_list_comes_as_a_table_as_objects_or_as_ids_and_in_colour_where_it_is_wanted() {
    let mesh = Mesh::start();
    assert_eq!(said(&mesh.output(&["scans", "list", "--json"])), (Some(0), "[]".to_owned()));
    assert_eq!(said(&mesh.output(&["scans", "list", "--jsonl"])), (Some(0), String::new()));
    for name in ["office", "lab"] {
        mesh.json(&["scans", "create", name, "--targets", "127.0.0.1", "--ports", "22"]);
    }
    let (_, lines) = said(&mesh.output(&["scans", "list", "--jsonl"]));
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(objects), mesh.json(&["scans", "list"]));
    let (_, ids) = said(&mesh.output(&["scans", "list", "--quiet", "--jsonl"]));
    assert_eq!(ids.lines().count(), 2, "ids alone, whatever else is asked for: {ids}");
    let both = mesh.output(&["scans", "list", "--json", "--jsonl"]);
    assert_eq!(both.status.code(), Some(2), "{}", told(&both));

    let is_coloured = |output: &Output| String::from_utf8_lossy(&output.stdout).contains("\u{1b}[");
    let rules = mesh.command(&["rules", "list"]);
    assert!(!is_coloured(&mesh.output(&["rules", "list"])), "a pipe gets no colour");
    assert!(is_coloured(&mesh.output(&["rules", "list", "--color", "always"])));
    if !have(&[SCRIPT]) {
        return;
    }
    assert!(is_coloured(&on_terminal(&rules, "")), "a terminal gets colour");
    assert!(!is_coloured(&on_terminal(&mesh.command(&["rules", "list", "--color=never"]), "")));
    let mut refused = mesh.command(&["rules", "list"]);
    assert!(!is_coloured(&on_terminal(refused.env("NO_COLOR", "1"), "")));
    assert!(is_coloured(&on_terminal(&portdrift(mesh.home()), "")), "help too");
    let mut plain = portdrift(mesh.home());
    assert!(!is_coloured(&on_terminal(plain.args(["--help", "--color", "never"]), "")));
}

#[test]
fn what_cannot_be_taken_back_asks_and_without_a_terminal_names_the_flag() {
    let home = tempfile::tempdir().unwrap();
    let key = "chh3-t6sa-zrb5-lp2h-kmmj-lubc-zux6-ovni";
    let command = |words: &[&str]| {
        let mut command = portdrift(home.path());
        command.args(words).arg("--dir").arg(home.path().join("hub"));
        command
    };
    for words in [
        &["db", "reset"][..],
        &["db", "reset", "--all"],
        &["invites", "revoke", "x"],
        &["keys", "approve", "--all-pending", "--ranges", "10.0.0.0/8"],
        &["keys", "remove", key],
        &["keys", "revoke", key, "--reason", "stolen"],
        &["keys", "suspend", key, "--reason", "moved"],
        &["keys", "rotate-coordinator"],
        &["keys", "trust", key],
        &["rules", "reset"],
        &["runs", "cancel", "7"],
        &["tokens", "revoke", "x"],
        &["users", "deny", "mallory"],
    ] {
        let output = command(words).output().unwrap();
        let said = told(&output);
        assert!(output.status.code() == Some(2) && said.contains("add --yes to do it"), "{words:?}: {said}");
    }
    let agreed = command(&["runs", "cancel", "7", "--yes"]).output().unwrap();
    assert_eq!(agreed.status.code(), Some(5), "then the coordinator is asked: {}", told(&agreed));
    if !have(&[SCRIPT]) {
        return;
    }
    for (answer, code, words) in
        [("n\n", 1, "nothing was done"), ("\n", 1, "nothing was done"), ("y\n", 5, "no coordinator answers")]
    {
        let output = on_terminal(&command(&["runs", "cancel", "7"]), answer);
        let said = told(&output);
        assert!(output.status.code() == Some(code) && said.contains(words), "{answer:?}: {said}");
        assert!(said.contains("Stop run 7 for good?"), "{said}");
    }
}

#[test]
fn a_run_that_is_watched_shows_a_bar_on_a_terminal_and_lines_elsewhere() {
    let net = own_net(162);
    let mut mesh = Mesh::start();
    mesh.add_node("lab", &format!("{net}.0/24"));
    let targets = format!("{net}.0/28");
    mesh.json(&["scans", "create", "all", "--targets", &targets, "--ports", "2222", "--args=--max-rate 20"]);
    let plain = mesh.output(&["scans", "run", "all", "--wait"]);
    let lines = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(plain.status.success() && lines.contains("run 1: ") && !lines.contains('\u{1b}'), "{}", told(&plain));
    if !have(&[SCRIPT]) {
        return;
    }
    let watched = on_terminal(&mesh.command(&["scans", "run", "all", "--wait"]), "");
    let seen = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(watched.status.success() && seen.contains("run 2: "), "{seen:?}");
    assert!(seen.contains("\u{1b}[2K") || seen.contains('\r'), "a bar is drawn over itself: {seen:?}");
    assert!(seen.contains("Report 2 of scan 1"), "{seen:?}");
}

#[test]
fn a_node_gets_another_name_and_nothing_else() {
    let net = own_net(163);
    let mut mesh = Mesh::start();
    let fingerprint = mesh.add_node("lab", &format!("{net}.0/24"));
    let before = mesh.json(&["nodes", "show", &fingerprint]);
    let after = mesh.json(&["nodes", "rename", &fingerprint, "attic"]);
    assert_eq!((&before["label"], &after["label"]), (&json!("lab"), &json!("attic")));
    for kept in ["ranges", "site", "expires", "may_sponsor"] {
        assert_eq!(before["approval"][kept], after["approval"][kept], "{kept}");
    }
    assert_eq!(stdout_of(&mut mesh.command(&["nodes", "list", "--quiet"])).trim(), fingerprint);
    let empty = mesh.output(&["nodes", "rename", &fingerprint, " "]);
    assert_eq!(empty.status.code(), Some(2), "{}", told(&empty));
    let waiting = mesh.start_node("new");
    mesh.until(&waiting, "pending");
    let refused = mesh.output(&["nodes", "rename", &waiting, "cellar"]);
    assert!(refused.status.code() == Some(1) && told(&refused).contains("is pending"), "{}", told(&refused));
    mesh.until(&waiting, "pending");
}

#[test]
fn the_program_brings_its_version_its_completions_and_its_manual() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| stdout_of(portdrift(home.path()).args(words));
    assert!(run(&["version"]).contains(env!("CARGO_PKG_VERSION")));
    let version: Value = serde_json::from_str(&run(&["version", "--json"])).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let (file, script) = (home.path().join("portdrift.bash"), run(&["completions", "bash"]));
    assert!(!script.contains("exec-nmap"), "what is not for people is not offered");
    std::fs::write(&file, script).unwrap();
    let ask = format!(
        "source '{}'; COMP_WORDS=(portdrift nodes re); COMP_CWORD=2; COMP_LINE='portdrift nodes re'; \
         _portdrift portdrift re nodes; echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    assert_eq!(stdout_of(Command::new("bash").args(["-euc", &ask])).trim(), "rename");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).contains("portdrift"), "{shell}");
    }
    assert!(run(&["man"]).contains(".TH portdrift 1"));
    let pages = home.path().join("man1");
    stdout_of(portdrift(home.path()).args(["man", "--dir"]).arg(&pages));
    let names: Vec<String> =
        std::fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains(&"portdrift-scans-run.1".to_owned()) && names.len() > 80, "{} pages", names.len());
    assert!(!names.iter().any(|name| name.contains("exec-nmap")), "{names:?}");
}
