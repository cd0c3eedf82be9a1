//! What every source file owes its reader: it opens by saying what it is for, and holds one idea.

use super::source::{Source, files};

/// Past this many lines a file has a second idea.
const MOST_LINES: usize = 400;

fn without_purpose(sources: &[Source]) -> Vec<&str> {
    let silent = |source: &&Source| !source.text.starts_with("//! ");
    sources.iter().filter(silent).map(|source| source.path.as_str()).collect()
}

fn too_long(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().map(|source| (source.text.lines().count(), &source.path));
    long.filter(|(lines, _)| *lines > MOST_LINES).map(|(lines, path)| format!("{path} has {lines} lines")).collect()
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let sources = files("rs");
    assert!(sources.len() > 20, "the walk found only {} files", sources.len());
    assert_eq!(without_purpose(&sources), Vec::<&str>::new());
}

#[test]
fn no_file_holds_a_second_idea() {
    assert_eq!(too_long(&files("rs")), Vec::<String>::new());
}

#[test]
fn a_silent_file_and_a_long_one_are_noticed() {
    let silent = Source::made_up("a.rs", "use x;\n");
    let long = Source::made_up("b.rs", &format!("//! b\n{}", "\n".repeat(MOST_LINES)));
    let good = Source::made_up("c.rs", "//! c\n");
    let all = [silent, long, good];
    assert_eq!(without_purpose(&all), ["a.rs"]);
    assert_eq!(too_long(&all), ["b.rs has 401 lines"]);
}
