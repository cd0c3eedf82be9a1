//! One report as a flat table: RFC 4180, UTF-8, every cell quoted, one row of headings, lines that end in CR LF.
//!
//! One row per change. Rows with `counts` = `no` are no changes: what only looks like one, and, last, addresses that were
//! not looked at. So a table without rows says that everything was looked at and nothing changed.
//!
//! | column | what it holds |
//! |---|---|
//! | `report` | number of the report, which is its run's |
//! | `network`, `network_name` | number of the scan, and what it is called now |
//! | `made` | when the report was made, RFC 3339, UTC |
//! | `baseline` | the run it was compared with; empty for the first report |
//! | `status` | of the report: `critical`, `changes`, `stable` |
//! | `coverage_percent` | of the report: share of the wanted addresses that were looked at |
//! | `kind` | `new-host`, `removed-host`, `new-port`, `closed-port`, `service-change`, `os-change`, `name-change`, `mac-change`; `not-looked-at` |
//! | `counts` | `yes` for a change, `no` for any other row |
//! | `why_not_counted` | `identified-differently`, `unconfirmed`, `contradicted`, `newly-covered`, `no-longer-covered`; for `not-looked-at` the reason in words |
//! | `address`, `protocol`, `port` | where; protocol (`tcp`, `udp`, `sctp`) and port for ports and services |
//! | `targets` | for `not-looked-at`: which addresses |
//! | `severity` | of the rule that a new port matches: `critical`, `high`, `medium`, `low` |
//! | `confirmation` | `not-needed`, `wanted`, `confirmed`: whether a second look was taken |
//! | `before_…`, `after_…` | what was known and what was found: `state` (`up` for a host, else the port's), `service`, `product`, `version`, `extra`, `tls` (`yes`, `no`), `os`, `names` (with `; ` between them), `mac`; all empty when nothing was there |
//!
//! Cells that a spreadsheet would take for a formula get a leading `'` (SECURITY-DESIGN section 7).

use super::entry::{Entry, Look};
use ::csv::{QuoteStyle, Terminator, Writer, WriterBuilder};
use coordinator::ReportInContext;
use coordinator::run::Uncovered;
use protocol::text::Text;
use serde::Serialize;
use std::io;

/// The headings, in order. New ones come last.
pub(super) const COLUMNS: [&str; 34] = [
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
    "after_state",
    "after_service",
    "after_product",
    "after_version",
    "after_extra",
    "after_tls",
    "after_os",
    "after_names",
    "after_mac",
];

const NOT_LOOKED_AT: &str = "not-looked-at";
/// What spreadsheets begin a formula with, in both widths.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Writes the table of one report.
pub(super) fn write(report: &ReportInContext, out: impl io::Write) -> io::Result<()> {
    let mut table = table(out, &COLUMNS)?;
    let facts = facts(report);
    let changes = report.report.changes.iter().map(|change| Entry::of_change(change, &report.rules));
    let notes = report.report.notes.iter().map(|note| Entry::of_note(note, &report.rules));
    for entry in changes.chain(notes) {
        row(&mut table, facts.iter().cloned().chain(line(&entry)))?;
    }
    for part in &report.report.uncovered {
        row(&mut table, facts.iter().cloned().chain(not_looked_at(part)))?;
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

fn facts(ReportInContext { report, network, .. }: &ReportInContext) -> [String; 7] {
    [
        report.run.to_string(),
        report.scan.to_string(),
        network.to_string(),
        report.made.to_string(),
        word(report.baseline),
        word(report.status),
        percent(report.coverage_hundredths),
    ]
}

fn line(entry: &Entry) -> Vec<String> {
    let Entry { kind, why_not_counted, address, protocol, port, severity, confirmation, before, after } = entry;
    let place = [
        word(kind),
        yes_or_no(why_not_counted.is_none()),
        word(why_not_counted),
        address.to_string(),
        word(protocol),
        word(port),
        String::new(),
        word(severity),
        word(confirmation),
    ];
    [place, side(before.as_ref()), side(after.as_ref())].concat()
}

fn not_looked_at(Uncovered { targets, reason }: &Uncovered) -> Vec<String> {
    let mut cells =
        vec![NOT_LOOKED_AT.to_owned(), yes_or_no(false), reason.words().to_owned(), String::new(), String::new()];
    cells.extend([String::new(), targets.to_string()]);
    cells.resize(COLUMNS.len() - 7, String::new());
    cells
}

fn side(look: Option<&Look>) -> [String; 9] {
    let none = Look::default();
    let Look { state, service, product, version, extra, tls, os, os_accuracy: _, names, mac, mac_vendor: _ } =
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
    ]
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}
