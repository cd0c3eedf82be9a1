//! A program on another machine: it shows a token, does what that opens, and nothing once it is revoked.

use crate::harness::{Mesh, portdrift, stdout_of, told};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn make(mesh: &Mesh, name: &str, scopes: &[&str]) -> PathBuf {
    let mut command = mesh.command(&["tokens", "create", name, "--owner", "ada"]);
    command.args(scopes.iter().flat_map(|scope| ["--scope", *scope]));
    let file = mesh.home().join(format!("{name}.token"));
    std::fs::write(&file, stdout_of(&mut command)).unwrap();
    file
}

/// A client command that knows no data folder, only the URL and a token.
fn remote(mesh: &Mesh, token: &Path, arguments: &[&str]) -> Command {
    let mut command = portdrift(mesh.home());
    command.args(arguments).args(["--url", mesh.dashboard(), "--token-file"]).arg(token);
    command
}

fn run(mesh: &Mesh, token: &Path, arguments: &[&str]) -> Output {
    remote(mesh, token, arguments).output().unwrap()
}

#[test]
fn a_program_elsewhere_does_what_its_token_opens_until_it_is_revoked() {
    let mesh = Mesh::start();
    let (reader, scanner) = (make(&mesh, "reader", &["read"]), make(&mesh, "scanner", &["read", "scans"]));
    let define = ["scans", "create", "lab", "--targets", "127.0.135.1", "--ports", "22"];

    let refused = run(&mesh, &reader, &define);
    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("this token does not open scans; make one with that scope"), "{said}");
    stdout_of(&mut remote(&mesh, &scanner, &define));
    let listed: Value =
        serde_json::from_str(&stdout_of(&mut remote(&mesh, &reader, &["scans", "list", "--json"]))).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["created_by"]), (&"lab".into(), &"ada".into()));

    let tokens = mesh.json(&["tokens", "list"]);
    let text = std::fs::read_to_string(&scanner).unwrap();
    assert!(!tokens.to_string().contains(text.trim()), "a list shows no token");
    let scanners = tokens.as_array().unwrap().iter().find(|token| token["name"] == "scanner").unwrap();
    assert!(scanners["last_used"].is_string() && scanners["owner"] == "ada", "{scanners}");
    stdout_of(&mut mesh.command(&["tokens", "revoke", "--yes", scanners["id"].as_str().unwrap()]));
    let over = run(&mesh, &scanner, &["scans", "list"]);
    assert_eq!(over.status.code(), Some(4), "{}", told(&over));
    assert!(told(&over).contains("this token is unknown, over or revoked"), "{}", told(&over));

    let mut by_variable = portdrift(mesh.home());
    by_variable
        .args(["nodes", "list", "--url", mesh.dashboard()])
        .env("PORTDRIFT_TOKEN", std::fs::read_to_string(&reader).unwrap());
    stdout_of(&mut by_variable);
}

#[test]
fn what_stands_in_the_way_of_asking_elsewhere_is_said() {
    let mesh = Mesh::start();
    let token = make(&mesh, "reader", &["read"]);
    let told_of = |command: &mut Command| {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).replace(mesh.home().to_str().unwrap(), "[HOME]");
        let line = text.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_owned();
        format!("{} {line}", output.status.code().unwrap())
    };
    let mut without_token = portdrift(mesh.home());
    without_token.args(["nodes", "list", "--url", mesh.dashboard()]);
    let mut in_clear = portdrift(mesh.home());
    in_clear.args(["nodes", "list", "--url", "http://watch.example", "--token-file"]).arg(&token);
    let mut nowhere = portdrift(mesh.home());
    nowhere.args(["nodes", "list", "--url", "http://127.0.135.1:9", "--token-file"]).arg(&token);
    let mut here_alone = remote(&mesh, &token, &["db", "check"]);
    let mut not_local = portdrift(mesh.home());
    not_local.args(["nodes", "list", "--token-file"]).arg(&token);
    let told = [
        told_of(&mut without_token),
        told_of(&mut in_clear),
        told_of(&mut nowhere),
        told_of(&mut here_alone),
        told_of(&mut not_local),
        told_of(&mut mesh.command(&["tokens", "create", "x", "--owner", "eve"])),
        told_of(&mut mesh.command(&["tokens", "create", "x"])),
        told_of(&mut mesh.command(&["tokens", "revoke", "none", "--yes"])),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    2 error: --url needs a token; put it into a file for --token-file, or into the variable PORTDRIFT_TOKEN
    2 error: http://watch.example is no address of a dashboard: over plain HTTP everybody on the way could read the token; write https
    5 error: no coordinator answers at http://127.0.135.1:9: Connection refused (os error 111); check the address, --ca-file and --fingerprint
    2 error: this works on a data folder of this machine; leave --url out, or run it over there
    2 error: --token-file, --ca-file and --fingerprint belong to --url
    2 error: owner: there is no user "eve"
    2 error: owner: name the user whose rights the token gets
    3 error: there is no token none; `portdrift tokens list` shows what there is
    "#);
}
