//! Rows under headings: columns aligned, and what says how things stand in its colour.

use super::paint::Tone;
use unicode_width::UnicodeWidthStr;

/// The columns whose words have a tone.
const TONED: [&str; 5] = ["result", "severity", "state", "status", "until"];

/// Columns with two blanks between them, and no blanks at the end of a line.
pub(super) fn lay_out(headings: &[&str], rows: &[Vec<String>], is_coloured: bool) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize, heading: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain([heading.width()]).max().unwrap_or(0)
    };
    let columns: Vec<(usize, bool)> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| (width(column, heading), is_coloured && TONED.contains(heading)))
        .collect();
    let head: Vec<String> = headings.iter().map(|heading| heading.to_uppercase()).collect();
    let plain: Vec<(usize, bool)> = columns.iter().map(|(width, _)| (*width, false)).collect();
    let lines = rows.iter().map(|row| line(row, &columns));
    [line(&head, &plain)].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

fn line(cells: &[String], columns: &[(usize, bool)]) -> String {
    let (mut line, mut blanks) = (String::new(), 0);
    for (cell, (width, is_toned)) in cells.iter().zip(columns) {
        if !cell.is_empty() {
            line.push_str(&" ".repeat(blanks));
            blanks = 0;
            match Tone::of(cell).filter(|_| *is_toned) {
                Some(tone) => line.push_str(&tone.paint(cell)),
                None => line.push_str(cell),
            }
        }
        blanks += width.saturating_sub(cell.width()) + 2;
    }
    line
}

/// On one line, and without signs that a terminal obeys.
fn printable(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn wide_letters_take_two_places_and_nothing_hangs_over() {
        let rows = rows(&[&["1", "東京", "x"], &["12", "lab", ""]]);
        insta::assert_snapshot!(lay_out(&["id", "name", "more"], &rows, true), @"
        ID  NAME  MORE
        1   東京  x
        12  lab
        ");
    }

    #[test]
    fn a_state_is_painted_and_takes_no_more_room_for_it() {
        let rows = rows(&[&["online", "critical"], &["offline: gone", "lab"]]);
        let painted = lay_out(&["state", "label"], &rows, true);
        insta::assert_snapshot!(painted.replace('\u{1b}', "^"), @"
        STATE          LABEL
        ^[32monline^[0m         critical
        ^[1;31moffline: gone^[0m  lab
        ");
        assert_eq!(
            painted.replace("\u{1b}[32m", "").replace("\u{1b}[1;31m", "").replace("\u{1b}[0m", ""),
            lay_out(&["state", "label"], &rows, false)
        );
    }

    #[test]
    fn a_cell_tells_the_terminal_nothing() {
        let rows = rows(&[&["a\u{1b}[31mb\nc"]]);
        assert_eq!(lay_out(&["name"], &rows, true), "NAME\na [31mb c");
    }
}
