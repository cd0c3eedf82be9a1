//! One report as a flat table: RFC 4180, UTF-8, every cell quoted, one row of headings, lines that end in CR LF.
//!
//! One row per change. Rows with `counts` = `no` are no changes: what only looks like one, then addresses that were not
//! looked at, and last how many lines were more than a report holds. So a table without rows says that everything was
//! looked at and nothing changed.
//!
//! | column | what it holds |
//! |---|---|
//! | `report` | number of the report, which is its run's |
//! | `network`, `network_name` | number of the scan, and what it is called now |
//! | `made` | when the report was made, RFC 3339, UTC |
//! | `baseline` | the run it was compared with; empty for the first report |
//! | `status` | of the report: `critical`, `changes`, `stable` |
//! | `coverage_percent` | of the report: share of the wanted addresses that were looked at |
//! | `kind` | `new-host`, `removed-host`, `new-port`, `closed-port`, `service-change`, `os-change`, `name-change`, `mac-change`; `not-looked-at`, `left-out` |
//! | `counts` | `yes` for a change; `accepted` for one that a person accepted as expected, which does not count in status and score; `no` for any other row |
//! | `why_not_counted` | `identified-differently`, `unconfirmed`, `contradicted`, `newly-covered`, `no-longer-covered`, `volatile`; for `not-looked-at` and `left-out` the reason in words |
//! | `address`, `protocol`, `port` | where; protocol (`tcp`, `udp`, `sctp`) and port for ports and services |
//! | `targets` | for `not-looked-at`: which addresses |
//! | `severity` | of the rule that a new port matches, by the rules that the report was made with: `critical`, `high`, `medium`, `low` |
//! | `confirmation` | `not-needed`, `wanted`, `confirmed`: whether a second look was taken |
//! | `before_…`, `after_…` | what was known and what was found: `state` (`up` for a host, else the port's), `service`, `product`, `version`, `extra`, `tls` (`yes`, `no`), `os`, `names` (with `; ` between them), `mac`, `by` (the engine that named the service, where more than one looked); all empty when nothing was there |
//! | `accepted_by`, `accepted_at`, `accepted_comment` | for an accepted change: who, when (RFC 3339, UTC), and why |
//!
//! Cells that a spreadsheet would take for a formula get a leading `'` (SECURITY-DESIGN section 7).

use super::entry::{Entry, Look};
use crate::api::acceptance::Acceptance;
use ::csv::{QuoteStyle, Terminator, Writer, WriterBuilder};
use coordinator::ReportInContext;
use coordinator::report::Report;
use coordinator::run::Uncovered;
use protocol::text::Text;
use serde::Serialize;
use std::io;

/// The headings, in order. New ones come last.
pub(super) const COLUMNS: [&str; 39] = [
    "report",
    "network",
    "network_name",
    "made",
    "baseline",
    "status",
    "coverage_percent",
    "kind",
    "counts",
    "why_not_counted",
    "address",
    "protocol",
    "port",
    "targets",
    "severity",
    "confirmation",
    "before_state",
    "before_service",
    "before_product",
    "before_version",
    "before_extra",
    "before_tls",
    "before_os",
    "before_names",
    "before_mac",
    "before_by",
    "after_state",
    "after_service",
    "after_product",
    "after_version",
    "after_extra",
    "after_tls",
    "after_os",
    "after_names",
    "after_mac",
    "after_by",
    "accepted_by",
    "accepted_at",
    "accepted_comment",
];

const NOT_LOOKED_AT: &str = "not-looked-at";
const LEFT_OUT: &str = "left-out";
/// What spreadsheets begin a formula with, in both widths.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Writes the table of one report.
pub(super) fn write(report: &ReportInContext, out: impl io::Write) -> io::Result<()> {
    let mut table = table(out, &COLUMNS)?;
    let facts = facts(report);
    let ReportInContext { report, .. } = report;
    let entries = Entry::of_changes(report, |_| true).chain(Entry::of_notes(report)).map(line);
    let unseen = report.uncovered.iter().map(not_looked_at);
    for cells in entries.chain(unseen).chain(left_out(report.left_out)) {
        row(&mut table, facts.iter().cloned().chain(cells))?;
    }
    table.flush()
}

/// An empty table with its headings.
pub(super) fn table<W: io::Write>(out: W, columns: &[&str]) -> io::Result<Writer<W>> {
    let mut form = WriterBuilder::new();
    form.quote_style(QuoteStyle::Always).terminator(Terminator::CRLF);
    let mut table = form.from_writer(out);
    table.write_record(columns)?;
    Ok(table)
}

/// Adds a row of harmless cells.
pub(super) fn row(table: &mut Writer<impl io::Write>, cells: impl IntoIterator<Item = String>) -> io::Result<()> {
    Ok(table.write_record(cells.into_iter().map(harmless))?)
}

/// The text, with a `'` before it where a spreadsheet would calculate it.
fn harmless(cell: String) -> String {
    let is_formula = cell.trim_start().starts_with(FORMULA_STARTS) || cell.starts_with(['\t', '\r', '\n']);
    if is_formula { format!("'{cell}") } else { cell }
}

/// `94.00`
pub(super) fn percent(hundredths: u32) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The word that JSON has for it too; empty for none.
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) if !other.is_null() => other.to_string(),
        Ok(_) | Err(_) => String::new(),
    }
}

fn facts(ReportInContext { report, network, run: _, baseline: _ }: &ReportInContext) -> [String; 7] {
    // What has no column stands in the rows, or in the document alone.
    let Report {
        run,
        scan,
        baseline,
        made,
        changes: _,
        accepted: _,
        notes: _,
        left_out: _,
        status,
        score: _,
        rules: _,
        known_hosts: _,
        coverage_hundredths,
        uncovered: _,
        hosts_up: _,
        open_ports: _,
        newly_covered_cells: _,
        no_longer_covered_cells: _,
    } = report;
    [
        run.to_string(),
        scan.to_string(),
        network.to_string(),
        made.to_string(),
        word(baseline),
        word(status),
        percent(*coverage_hundredths),
    ]
}

fn line(entry: Entry) -> Vec<String> {
    let Entry { kind, why_not_counted, address, protocol, port, severity, confirmation, before, after, accepted } =
        entry;
    let counts = match (why_not_counted, &accepted) {
        (Some(_), _) => "no",
        (None, Some(_)) => "accepted",
        (None, None) => "yes",
    };
    let place = [
        word(kind),
        counts.to_owned(),
        word(why_not_counted),
        address.to_string(),
        word(protocol),
        word(port),
        String::new(),
        word(severity),
        word(confirmation),
    ];
    let accepted = accepted.map(|Acceptance { by, at, comment }| [by, at.to_string(), comment]).unwrap_or_default();
    [&place[..], &side(before.as_ref()), &side(after.as_ref()), &accepted].concat()
}

fn not_looked_at(Uncovered { targets, reason }: &Uncovered) -> Vec<String> {
    no_change(NOT_LOOKED_AT, reason.words().to_owned(), targets.to_string())
}

/// That there were more lines than a report holds, if there were.
fn left_out(lines: u64) -> Option<Vec<String>> {
    let words = match lines {
        0 => return None,
        1 => "1 line more than a report holds".to_owned(),
        more => format!("{more} lines more than a report holds"),
    };
    Some(no_change(LEFT_OUT, words, String::new()))
}

/// A row that is about no host.
fn no_change(kind: &str, why: String, targets: String) -> Vec<String> {
    let nothing = String::new;
    let mut cells = vec![kind.to_owned(), "no".to_owned(), why, nothing(), nothing(), nothing(), targets];
    cells.resize(COLUMNS.len() - 7, nothing());
    cells
}

fn side(look: Option<&Look>) -> [String; 10] {
    let none = Look::default();
    let Look { state, service, product, version, extra, tls, by, os, os_accuracy: _, names, mac, mac_vendor: _ } =
        look.unwrap_or(&none);
    let texts = |text: &Text| text.to_string();
    [
        word(state),
        texts(service),
        texts(product),
        texts(version),
        texts(extra),
        tls.map(yes_or_no).unwrap_or_default(),
        texts(os),
        names.iter().flatten().map(Text::as_str).collect::<Vec<_>>().join("; "),
        texts(mac),
        texts(by),
    ]
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}
