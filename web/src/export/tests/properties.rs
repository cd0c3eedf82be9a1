//! What holds for every report: nothing lost, nothing added, nothing that runs.

use super::made::{HOSTILE, KINDS, any_report, change, open, report, service};
use super::{Row, as_cells, csv_text, entries, json_value, rows, unmarked};
use crate::export::csv::COLUMNS;
use coordinator::analysis::delta::{ChangeKind, Side};
use proptest::prelude::*;
use protocol::text::Text;

/// True when no spreadsheet would calculate the cell and no terminal would obey it.
fn is_harmless(cell: &str) -> bool {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    let starts = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    !cell.trim_start().starts_with(starts) && !cell.contains(hidden)
}

fn cells_from_kind_on(row: &Row) -> Vec<String> {
    COLUMNS.iter().skip(7).map(|column| unmarked(&row[*column]).to_owned()).collect()
}

proptest! {
    #[test]
    fn the_table_has_a_row_per_line_and_every_cell_is_quoted_and_harmless(report in any_report()) {
        let text = csv_text(&report);
        let rows = rows(&text);
        let lines = &report.report;
        let others = lines.notes.len() + lines.uncovered.len() + usize::from(lines.left_out > 0);
        prop_assert_eq!(rows.len(), lines.changes.len() + others);
        let count = |word: &str| rows.iter().filter(|row| row["counts"] == word).count();
        let counted = lines.counted().count();
        prop_assert_eq!((count("yes"), count("accepted"), count("no")), (counted, lines.changes.len() - counted, others));
        for cell in rows.iter().flat_map(|row| row.values()) {
            prop_assert!(is_harmless(cell), "{cell:?}");
        }
        for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
            prop_assert!(line.starts_with('"') && line.ends_with('"'), "{line}");
        }
    }

    #[test]
    fn the_document_counts_as_the_report_does(report in any_report()) {
        let document = json_value(&report);
        let listed = |list: &str| document[list].as_array().unwrap().len();
        let count = |kinds: &[ChangeKind]| kinds.iter().map(|kind| report.report.count(*kind)).sum::<usize>();
        let [new_host, removed_host, new_port, closed_port, service, others @ ..] = KINDS;
        prop_assert_eq!(listed("new_up_hosts"), count(&[new_host]));
        prop_assert_eq!(listed("new_down_hosts"), count(&[removed_host]));
        prop_assert_eq!(listed("added_ports"), count(&[new_port]));
        prop_assert_eq!(listed("removed_ports"), count(&[closed_port]));
        prop_assert_eq!(listed("changed_ports"), count(&[service]));
        prop_assert_eq!(listed("other_changes"), count(&others));
        prop_assert_eq!(listed("not_counted"), report.report.notes.len());
        prop_assert_eq!(&document["lines_left_out"], report.report.left_out);
    }

    #[test]
    fn table_and_document_hold_the_same_lines(report in any_report()) {
        let mut told: Vec<Vec<String>> = entries(&json_value(&report)).iter().map(as_cells).collect();
        // A text that begins with the mark itself cannot be told from one that was marked.
        told.iter_mut().flatten().for_each(|cell| *cell = unmarked(cell).to_owned());
        let text = csv_text(&report);
        let mut listed: Vec<Vec<String>> =
            rows(&text).iter().filter(|row| !row["address"].is_empty()).map(cells_from_kind_on).collect();
        told.sort();
        listed.sort();
        prop_assert_eq!(listed, told);
    }
}

#[test]
fn what_a_host_says_is_never_calculated_obeyed_or_hidden() {
    for hostile in HOSTILE {
        let banner = open(Some(service("http", hostile, hostile)));
        let names = Some(Side::Names(vec![hostile.into()]));
        let changes = vec![
            change(ChangeKind::NewPort, Some(80), None, banner),
            change(ChangeKind::NameChange, None, None, names),
        ];
        let report = report(changes, Vec::new());
        let (text, document) = (csv_text(&report), json_value(&report));
        let cells = rows(&text);
        let shown = Text::new(hostile).to_string();
        for cell in [&cells[0]["after_product"], &cells[0]["after_version"], &cells[1]["after_names"]] {
            assert!(is_harmless(cell), "{cell:?}");
            assert_eq!(unmarked(cell), shown);
        }
        assert_eq!(document["added_ports"][0]["after"]["product"], shown);
        assert_eq!(document["other_changes"][0]["after"]["names"][0], shown);
        assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
    }
    assert!(
        csv_text(&report(
            vec![change(ChangeKind::NewPort, Some(80), None, open(Some(service("http", HOSTILE[0], ""))))],
            Vec::new()
        ))
        .contains("\"'=cmd|' /C calc'!A0\"")
    );
}
