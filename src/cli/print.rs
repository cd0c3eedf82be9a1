//! What goes to standard output: tables for people, JSON for programs. Progress and messages go to standard error.

use crate::exit::{Exit, Failure};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and sentences.
    Text,
    /// One JSON document.
    Json,
    /// Identifiers alone, one a line.
    Ids,
}

impl Form {
    /// JSON when `--json` was given.
    pub(crate) fn from_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Writes `value` as JSON, or the text that `words` makes of it.
    pub(crate) fn show<T: Serialize>(self, value: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        match self {
            Self::Json => line(&serde_json::to_string_pretty(value)?),
            Self::Text | Self::Ids => line(&words(value)),
        }
    }
}

/// One line (or several) on standard output; nothing when `text` is empty.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}

/// One identifier a line.
pub(crate) fn ids(ids: impl IntoIterator<Item = impl Display>) -> anyhow::Result<()> {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    line(&ids.join("\n"))
}

/// Names and values, one pair a line, values under each other.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

/// A number with its noun.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let ending = if noun.ends_with('s') { "es" } else { "s" };
    if count == N::from(1) { format!("1 {noun}") } else { format!("{count} {noun}{ending}") }
}

/// One line on standard error. Nobody needs it to go on, so a closed standard error is no failure.
pub(crate) fn note(text: &str) {
    let _told = writeln!(io::stderr().lock(), "{text}");
}

/// Asks before something that cannot be taken back; `yes` was said beforehand.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{question} There is no terminal to ask; add --yes to do it")).into());
    }
    let mut err = io::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Failed, "nothing was done").into()),
    }
}

/// Rows under headings, columns aligned with two blanks between them; `empty` when there is no row.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// True when a person is likely to read standard error as it is written.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_its_columns_and_an_empty_one_says_so() {
        let rows = vec![vec!["1".to_owned(), "office".to_owned()], vec!["12".to_owned(), "lab".to_owned()]];
        insta::assert_snapshot!(table(&["id", "name"], rows, "none"), @"
        ID  NAME
        1   office
        12  lab
        ");
        assert_eq!(table(&["id"], vec![], "no scans yet"), "no scans yet");
    }
}
