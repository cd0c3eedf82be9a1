//! The command line as a whole: what every command must have.

use super::*;
use clap::Command as Line;

/// Commands that cannot be taken back, or that let in what nobody has looked at.
const ASKS_FIRST: [&str; 11] = [
    "db reset",
    "invites revoke",
    "keys approve",
    "keys remove",
    "keys revoke",
    "keys rotate-coordinator",
    "keys trust",
    "rules reset",
    "runs cancel",
    "tokens revoke",
    "users deny",
];

/// Every command with subcommands or without, by what is typed; the program itself first.
fn every() -> Vec<(String, Line)> {
    let mut line = CommandLine::command();
    line.build();
    let mut found = vec![(String::new(), line)];
    let mut next = 0;
    while let Some((path, line)) = found.get(next).cloned() {
        let shown = line.get_subcommands().filter(|sub| !sub.is_hide_set());
        found.extend(shown.map(|sub| (format!("{path} {}", sub.get_name()).trim().to_owned(), sub.clone())));
        next += 1;
    }
    found
}

fn has(line: &Line, option: &str) -> bool {
    line.get_arguments().any(|argument| argument.get_long() == Some(option))
}

#[test]
fn the_command_line_is_well_formed() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_says_what_it_is_for_and_shows_an_example() {
    for (path, line) in every() {
        assert!(line.get_about().is_some(), "{path} does not say what it is for");
        let is_leaf = line.get_subcommands().next().is_none();
        let has_example = line.get_after_help().is_some_and(|help| help.to_string().contains("portdrift "));
        assert!(!is_leaf || has_example, "{path} shows no example");
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_example() {
    let folder = tempfile::tempdir().unwrap();
    man::write_all(CommandLine::command(), folder.path()).unwrap();
    let all = every();
    for (path, line) in &all {
        let name = format!("portdrift {path}").trim().replace(' ', "-");
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
        let is_leaf = line.get_subcommands().next().is_none();
        assert!(!is_leaf || page.contains("Example"), "{name} shows no example");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), all.len());
}

#[test]
fn every_list_can_be_printed_as_identifiers() {
    let lists: Vec<_> = every().into_iter().filter(|(path, _)| path.ends_with(" list")).collect();
    assert!(lists.len() >= 12, "{lists:?}");
    for (path, line) in lists {
        assert!(has(&line, "quiet"), "{path} has no --quiet");
    }
}

#[test]
fn what_cannot_be_taken_back_asks_first() {
    let asking: Vec<String> = every().into_iter().filter(|(_, line)| has(line, "yes")).map(|(path, _)| path).collect();
    for path in ASKS_FIRST {
        assert!(asking.iter().any(|found| found == path), "{path} has no --yes");
    }
    let shown = ["list", "show", "check", "export", "status", "doctor"];
    let odd: Vec<_> = asking.iter().filter(|path| shown.iter().any(|word| path.ends_with(word))).collect();
    assert!(odd.is_empty(), "{odd:?} change nothing");
}
