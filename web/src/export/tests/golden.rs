//! The columns and keys as other programs know them: a change here breaks theirs.

use super::made::{change, open, report, service, with_every_kind};
use super::{csv_text, json_value};
use crate::export::{archive, csv, json, written};
use coordinator::analysis::delta::ChangeKind;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every key of a document with the way to it from `way`.
fn keys(value: &Value, way: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let way = if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
                found.insert(way.clone());
                keys(value, &way, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, way, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_headings_keep_their_names_and_order() {
    insta::assert_snapshot!(csv::COLUMNS.join(" "), @"report network network_name made baseline status coverage_percent kind counts why_not_counted address protocol port targets severity confirmation before_state before_service before_product before_version before_extra before_tls before_os before_names before_mac before_by after_state after_service after_product after_version after_extra after_tls after_os after_names after_mac after_by accepted_by accepted_at accepted_comment");
    insta::assert_snapshot!(archive::COLUMNS.join(" "), @"report made baseline status score band change exposure coverage_percent hosts_up open_ports new_up_hosts new_down_hosts added_ports removed_ports changed_ports other_changes not_counted json csv accepted lines_left_out known_hosts");
}

#[test]
fn the_keys_keep_their_names_and_places() {
    let document = json_value(&with_every_kind());
    let below = |(key, value): (&String, &Value)| {
        let mut found = BTreeSet::new();
        keys(value, "", &mut found);
        [key.clone()].into_iter().chain(found).collect::<Vec<_>>().join(" ")
    };
    // In which order a map gives its keys depends on what else is built with it.
    let told: BTreeSet<String> = document.as_object().unwrap().iter().map(below).collect();
    let told: Vec<String> = told.into_iter().collect();
    insta::assert_snapshot!(told.join("\n"), @"
    added_ports address after after.state before confirmation kind port protocol severity
    baseline ended id started state
    changed_ports accepted accepted.at accepted.by accepted.comment address after after.by after.extra after.product after.service after.state after.tls after.version before before.by before.product before.service before.state before.tls before.version confirmation kind port protocol severity
    coverage newly_covered_cells no_longer_covered_cells percent uncovered uncovered.reason uncovered.targets
    format
    hosts_up
    known_hosts
    lines_left_out
    made
    network id name
    new_down_hosts address after before before.mac before.mac_vendor before.names before.state confirmation kind severity
    new_up_hosts address after after.mac after.mac_vendor after.names after.state before confirmation kind severity
    not_counted address after before before.state confirmation kind port protocol severity why_not_counted
    open_ports
    other_changes address after after.mac after.names after.os after.os_accuracy before before.mac before.mac_vendor before.names before.os before.os_accuracy confirmation kind severity
    removed_ports address after after.state before before.by before.product before.service before.state before.tls before.version confirmation kind port protocol severity
    report
    run ended id started state
    score band change exposure parts parts.count parts.points parts.what value
    status
    ");
}

#[test]
fn a_table_reads_so() {
    insta::assert_snapshot!(csv_text(&with_every_kind()).replace("\"\"", "").replace("\r\n", "\n"), @r#"
    "report","network","network_name","made","baseline","status","coverage_percent","kind","counts","why_not_counted","address","protocol","port","targets","severity","confirmation","before_state","before_service","before_product","before_version","before_extra","before_tls","before_os","before_names","before_mac","before_by","after_state","after_service","after_product","after_version","after_extra","after_tls","after_os","after_names","after_mac","after_by","accepted_by","accepted_at","accepted_comment"
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","new-host","yes",,"192.0.2.7",,,,,"not-needed",,,,,,,,,,,"up",,,,,,,"a.example","00:11:22:AA:BB:CC",,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","removed-host","yes",,"192.0.2.7",,,,,"not-needed","up",,,,,,,"a.example","00:11:22:AA:BB:CC",,,,,,,,,,,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","os-change","yes",,"192.0.2.7",,,,,"not-needed",,,,,,,"Linux 5.15",,,,,,,,,,"Linux 6.1",,,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","name-change","yes",,"192.0.2.7",,,,,"not-needed",,,,,,,,"a.example",,,,,,,,,,"b.example; c.example",,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","mac-change","yes",,"192.0.2.7",,,,,"not-needed",,,,,,,,,"00:11:22:AA:BB:CC",,,,,,,,,,"00:11:22:AA:BB:DD",,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","closed-port","yes",,"192.0.2.7","tcp","22",,,"confirmed","open","ssh","OpenSSH","8.9",,"no",,,,"nmap","closed",,,,,,,,,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","service-change","accepted",,"192.0.2.7","tcp","443",,,"not-needed","open","http","nginx","1.18.0",,"no",,,,"nmap","open","http","nginx","1.20.1","Ubuntu","yes",,,,"nmap","ada","2023-11-14T22:13:20.123Z","'=planned"
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","new-port","yes",,"192.0.2.7","tcp","3389",,"critical","not-needed",,,,,,,,,,,"open",,,,,,,,,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","closed-port","no","unconfirmed","192.0.2.7","tcp","8080",,,"not-needed","open",,,,,,,,,,,,,,,,,,,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","not-looked-at","no","no approved node has them in its ranges",,,,"192.0.2.200/30",,,,,,,,,,,,,,,,,,,,,,,,,
    "7","1","Office","2023-11-14T22:13:20.123Z","6","critical","94.05","left-out","no","2 lines more than a report holds",,,,,,,,,,,,,,,,,,,,,,,,,,,,,
    "#);
}

#[test]
fn a_document_reads_so() {
    let (old, new) = (service("http", "nginx", "1.18.0"), service("http", "nginx", "1.20.1"));
    let changed = change(ChangeKind::ServiceChange, Some(443), open(Some(old)), open(Some(new)));
    let text = written(|out| json::write(&report(vec![changed], Vec::new()), out)).unwrap();
    let mut folded = String::new();
    for line in String::from_utf8(text).unwrap().lines() {
        let is_inner = line.starts_with("   ") || matches!(line.trim(), "]," | "},");
        folded.push_str(if is_inner { " " } else { "\n" });
        folded.push_str(line.trim());
    }
    insta::assert_snapshot!(folded, @r#"

    {
    "format": 1,
    "report": 7,
    "network": { "id": 1, "name": "Office" },
    "made": "2023-11-14T22:13:20.123Z",
    "run": { "id": 7, "state": "partial", "started": "2023-11-14T22:12:20.123Z", "ended": "2023-11-14T22:13:20.123Z" },
    "baseline": { "id": 6, "state": "partial", "started": "2023-11-14T22:12:20.123Z", "ended": "2023-11-14T22:13:20.123Z" },
    "status": "critical",
    "score": { "value": 95, "band": "Excellent", "change": 5, "exposure": 0, "parts": [ { "what": "new-ports", "count": 1, "points": 5 } ] },
    "hosts_up": 17,
    "open_ports": 62,
    "known_hosts": 17,
    "coverage": { "percent": 94.05, "uncovered": [ { "targets": "192.0.2.200/30", "reason": "no approved node has them in its ranges" } ], "newly_covered_cells": 3, "no_longer_covered_cells": 4 },
    "new_up_hosts": [],
    "new_down_hosts": [],
    "added_ports": [],
    "removed_ports": [],
    "changed_ports": [ { "kind": "service-change", "address": "192.0.2.7", "protocol": "tcp", "port": 443, "severity": null, "confirmation": "not-needed", "before": { "state": "open", "service": "http", "product": "nginx", "version": "1.18.0", "tls": false, "by": "nmap" }, "after": { "state": "open", "service": "http", "product": "nginx", "version": "1.20.1", "tls": false, "by": "nmap" } } ],
    "other_changes": [],
    "not_counted": [],
    "lines_left_out": 0
    }
    "#);
}

#[test]
fn a_severity_is_by_the_rules_that_the_report_was_made_with() {
    let mut older = with_every_kind();
    older.report.rules.clear();
    assert_eq!(json_value(&older)["added_ports"][0]["severity"], Value::Null);
    assert_eq!(json_value(&with_every_kind())["added_ports"][0]["severity"], "critical");
}

#[test]
fn a_first_report_whose_baseline_and_changes_are_none_says_so() {
    let mut first = report(Vec::new(), Vec::new());
    (first.report.baseline, first.baseline) = (None, None);
    first.report.uncovered.clear();
    assert_eq!(csv_text(&first).lines().count(), 1, "only the headings");
    assert_eq!(json_value(&first)["baseline"], Value::Null);
    let mut forgotten = report(Vec::new(), Vec::new());
    forgotten.baseline = None;
    let baseline = &json_value(&forgotten)["baseline"];
    assert_eq!((&baseline["id"], &baseline["ended"]), (&Value::from(6), &Value::Null));
}
