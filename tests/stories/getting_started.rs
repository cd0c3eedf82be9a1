//! README's "Getting started", as it stands there: three terminals, the commands as typed.

use crate::harness::{Process, portdrift, told};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The shell blocks of the section, in order: the build, and the three terminals.
fn blocks() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Getting started").nth(1).expect("README has the section");
    let section = section.split("\n## ").next().unwrap();
    section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A terminal in `home` whose commands run one after the other, the first failure ending it.
fn terminal(home: &Path, commands: &str) -> Command {
    let binary = portdrift(home).get_program().to_owned();
    let folder = Path::new(&binary).parent().unwrap().to_owned();
    let path =
        std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let mut shell = Command::new("bash");
    shell.args(["-euc", commands]).current_dir(home).env_clear().env("PATH", path.unwrap()).env("HOME", home);
    shell.process_group(0);
    shell
}

/// The line, and after the start of a server the wait until it serves.
fn as_a_person_types(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["python3", "-m", "http.server", port, "--bind", address, "&"] => {
            format!("{line}\nuntil (: < /dev/tcp/{address}/{port}) 2>/dev/null; do read -rt 0.1 <> <(:) || :; done\n")
        }
        _ => format!("{line}\n"),
    }
}

#[test]
fn the_commands_of_the_readme_work_as_typed() {
    let blocks = blocks();
    let [build, first, second, third] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    assert!(build.starts_with("cargo build --release\n"), "the binary under test stands for the built one");
    let home = tempfile::tempdir().unwrap();
    let coordinator = Process::start_group(&mut terminal(home.path(), first));
    coordinator.line("ready");
    let node = Process::start_group(&mut terminal(home.path(), second));
    node.line("waiting for approval");
    // A person takes a moment before the next command, and closes the terminal with what runs in it.
    let third: String = third.lines().map(as_a_person_types).collect();
    let ending = format!("trap 'kill $(jobs -p)' EXIT\n{third}");
    let output = terminal(home.path(), &ending).output().unwrap();
    let said = told(&output);
    assert!(output.status.success(), "{said}");
    for expected in ["baseline", "+ new host", "127.0.20.6", "+ new port", "127.0.20.6 8080/tcp"] {
        assert!(said.contains(expected), "{expected:?} is missing:\n{said}");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let json = text.split_once("\n{").map(|(_, rest)| format!("{{{rest}")).expect("the last command prints JSON");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let opened = report["changes"].as_array().unwrap().iter().find(|change| change["kind"] == "new-port").unwrap();
    assert_eq!((&opened["address"], &opened["port"]), (&"127.0.20.6".into(), &"8080/tcp".into()));
}

#[test]
fn the_feature_table_names_every_row_of_the_specification() {
    let readme = include_str!("../../README.md");
    let table = readme.split("\n## What is there").nth(1).expect("README has the table");
    let rows = [("M", 13), ("S", 7), ("T", 3), ("D", 5), ("R", 11), ("A", 5), ("W", 7), ("C", 3), ("E", 4), ("O", 5)];
    for (letter, count) in rows {
        for number in 1..=count {
            let start = format!("\n| {letter}{number} |");
            let row = table.split(&start).nth(1).unwrap_or_else(|| panic!("{letter}{number} is not in the table"));
            let state = row.lines().next().unwrap().rsplit('|').nth(1).unwrap().trim();
            let known = ["done", "partly", "later"].iter().any(|word| state.starts_with(word));
            assert!(known, "{letter}{number} is neither done, partly nor later: {state}");
        }
    }
}
