//! Exports read back by other eyes: the csv and zip crates and plain JSON values.

mod archive;
mod golden;
mod made;
mod properties;
mod xml;

use super::csv::COLUMNS;
use super::{csv, json, network_name, slug, written};
use coordinator::ReportInContext;
use protocol::task::ScanId;
use serde_json::Value;
use std::collections::BTreeMap;

/// A row by its headings.
type Row = BTreeMap<String, String>;

fn csv_text(report: &ReportInContext) -> String {
    String::from_utf8(written(|out| csv::write(report, out)).unwrap()).unwrap()
}

fn json_value(report: &ReportInContext) -> Value {
    serde_json::from_slice(&written(|out| json::write(report, out)).unwrap()).unwrap()
}

fn rows(text: &str) -> Vec<Row> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// The text of a cell without the mark that keeps it from being calculated.
fn unmarked(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) => rest,
        _ => cell,
    }
}

/// Every entry of a document, in the order of the lists.
fn entries(document: &Value) -> Vec<Value> {
    const LISTS: [&str; 7] = [
        "new_up_hosts",
        "new_down_hosts",
        "added_ports",
        "removed_ports",
        "changed_ports",
        "other_changes",
        "not_counted",
    ];
    LISTS.iter().flat_map(|list| document[list].as_array().unwrap().clone()).collect()
}

/// An entry as the table tells it, column by column from `kind` on.
fn as_cells(entry: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join("; "),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    let cell = |column: &&str| match *column {
        "counts" if entry["why_not_counted"].is_string() => "no".to_owned(),
        "counts" => if entry["accepted"].is_null() { "yes" } else { "accepted" }.to_owned(),
        column => match column.split_once('_').filter(|(side, _)| ["before", "after", "accepted"].contains(side)) {
            Some((side, key)) => text(&entry[side][key]),
            None => text(&entry[column]),
        },
    };
    COLUMNS.iter().skip(7).map(cell).collect()
}

#[test]
fn a_networks_name_is_harmless_in_file_names() {
    for (name, expected) in [
        ("Office", "office"),
        ("  HQ / 2nd floor ", "hq-2nd-floor"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\"; filename=\"evil.exe", "a-filename-evil-exe"),
        ("Büro", "b-ro"),
        ("日本", ""),
        ("-oN.evil", "on-evil"),
    ] {
        assert_eq!(slug(name), expected, "{name}");
    }
    assert_eq!(slug(&"long ".repeat(99)).len(), 39);
    assert_eq!(network_name(&"日本".into(), ScanId(4)), "scan4");
}
