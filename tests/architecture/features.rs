//! The feature table's word: a test that README names is there, and rows about the mesh, scans, deltas and alerts name
//! one when done.

use super::source::{Source, files};
use std::collections::BTreeSet;

/// The rows whose ids begin so, by the letters of SPEC.md's sections, must name a test when they are done.
const WITH_TESTS: [&str; 7] = ["M", "S", "T", "D", "R", "A", "O5"];

/// A row's id, and what its state names between backticks.
fn rows(readme: &str) -> Vec<(String, String, Vec<String>)> {
    let table = readme.split("\n## What is there").nth(1).unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let cells = lines.filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, state] = cells.as_slice() else { return None };
        let named = state.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some(((*id).to_owned(), (*state).to_owned(), named))
    });
    cells.collect()
}

/// What is wrong with the table, given every function there is.
fn faults(readme: &str, functions: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, state, named) in rows(readme) {
        let is_done = state.starts_with("done");
        let must_name = is_done && WITH_TESTS.iter().any(|start| id.starts_with(start));
        if must_name && named.is_empty() {
            faults.push(format!("{id} is done and names no test"));
        }
        let tests = named.into_iter().filter(|name| is_done && name.contains('_'));
        faults.extend(
            tests.filter(|name| !functions.contains(name)).map(|name| format!("{id} names {name}: no such test")),
        );
    }
    faults
}

fn functions(sources: &[Source]) -> BTreeSet<String> {
    let named = |line: &str| line.split("fn ").nth(1)?.split('(').next().map(str::to_owned);
    sources.iter().flat_map(|source| source.text.lines().filter_map(named).collect::<Vec<_>>()).collect()
}

#[test]
fn each_test_that_the_feature_table_names_is_there() {
    let readme = include_str!("../../README.md");
    assert!(rows(readme).len() > 50, "the table was not read");
    assert_eq!(faults(readme, &functions(&files("rs"))), Vec::<String>::new());
}

#[test]
fn a_row_without_a_test_and_one_with_a_made_up_test_are_noticed() {
    let table = "\n## What is there\n| S1 | x | done |\n| S2 | x | done: `not_there` |\n| M1 | x | done |\n| O4 | x | done |\n| T1 | x | later |\n";
    let there = BTreeSet::from(["there".to_owned()]);
    assert_eq!(
        faults(table, &there),
        ["S1 is done and names no test", "S2 names not_there: no such test", "M1 is done and names no test"]
    );
}
