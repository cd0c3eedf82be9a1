//! Accounts from the command line of the machine: made, changed, closed; and signing in to what came of it.

use crate::harness::Mesh;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const PASSWORD: &str = "green kettle by the door";

/// Runs a command that reads a password from standard input.
fn with_password(mesh: &Mesh, arguments: &[&str], password: &str) -> (bool, String) {
    let mut command: Command = mesh.command(arguments);
    command.args(["--password-stdin", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn users(mesh: &Mesh) -> Vec<(Value, Value, Value)> {
    let list = mesh.json(&["users", "list"]);
    let row = |user: &Value| (user["name"].clone(), user["role"].clone(), user["state"].clone());
    list.as_array().unwrap().iter().map(row).collect()
}

fn failure(mesh: &Mesh, arguments: &[&str]) -> String {
    let output = mesh.output(arguments);
    assert!(!output.status.success(), "{arguments:?} was done");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn accounts_are_managed_from_the_command_line_and_the_last_administrator_stays() {
    let mesh = Mesh::start();
    let (is_made, said) = with_password(&mesh, &["users", "create", "grace", "--role", "operator"], PASSWORD);
    assert!(is_made, "{said}");
    let (is_made, said) = with_password(&mesh, &["users", "create", "eve", "--role", "viewer"], "eve-eve-eve-eve-eve");
    assert!(!is_made && said.contains("easy to guess"), "{said}");
    assert_eq!(users(&mesh)[1], (json!("grace"), json!("operator"), json!("active")));

    assert_eq!(mesh.json(&["users", "set-role", "grace", "approver"])["role"], "approver");
    assert_eq!(mesh.json(&["users", "disable", "grace"])[0]["state"], "disabled");
    assert_eq!(mesh.json(&["users", "enable", "grace"])[0]["state"], "active");
    assert_eq!(mesh.json(&["users", "unlock", "grace", "ada"]).as_array().unwrap().len(), 2);
    assert_eq!(mesh.json(&["users", "sign-out", "grace"])[0]["name"], "grace");
    let (is_set, said) = with_password(&mesh, &["users", "reset-password", "grace"], "four plain words, new");
    assert!(is_set, "{said}");

    let invite = mesh.json(&["users", "invite", "--role", "viewer", "--expires", "2d"]);
    assert!(invite["link"].as_str().unwrap().starts_with("/auth/register/"), "{invite}");
    let reset = mesh.json(&["users", "reset-password", "grace", "--link"]);
    assert!(reset["link"].as_str().unwrap().starts_with("/auth/reset/"), "{reset}");

    let last = "error: this is the last administrator who can sign in; make another one first\n";
    assert_eq!(failure(&mesh, &["users", "disable", "ada"]), last);
    let (is_made, said) = with_password(&mesh, &["users", "create-admin", "root2"], PASSWORD);
    assert!(is_made, "{said}");
    assert_eq!(mesh.json(&["users", "disable", "ada"])[0]["state"], "disabled");
    assert!(failure(&mesh, &["users", "enable", "nobody"]).contains("there is no user nobody"));
    assert!(failure(&mesh, &["users", "disable", "../scans"]).contains("is not allowed"));
}
