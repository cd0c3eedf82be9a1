//! What goes to standard output: tables for people, JSON for programs. Progress and messages go to standard error.

use super::{paint, table};
use crate::exit::{Exit, Failure};
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
    /// One JSON object a line: for a list, one for each entry.
    JsonLines,
    /// Identifiers alone, one a line.
    Ids,
}

impl Form {
    /// This, or identifiers alone when `--quiet` was given.
    pub(crate) fn or_ids(self, quiet: bool) -> Self {
        if quiet { Self::Ids } else { self }
    }

    /// Writes `value` as JSON, or the text that `words` makes of it.
    pub(crate) fn show<T: Serialize>(self, value: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        match self {
            Self::Json => line(&serde_json::to_string_pretty(value)?),
            Self::JsonLines => line(&serde_json::to_string(value)?),
            Self::Text | Self::Ids => line(&words(value)),
        }
    }

    /// Writes several things as JSON, or the text that `words` makes of them.
    pub(crate) fn show_all<T: Serialize>(self, all: &[T], words: impl FnOnce(&[T]) -> String) -> anyhow::Result<()> {
        match self {
            Self::Json => line(&serde_json::to_string_pretty(all)?),
            Self::JsonLines => all.iter().try_for_each(|one| line(&serde_json::to_string(one)?)),
            Self::Text | Self::Ids => line(&words(all)),
        }
    }

    /// Writes a list: what [`Self::show_all`] writes, or the identifiers that `id` picks.
    pub(crate) fn list<T: Serialize, I: Display>(
        self,
        all: &[T],
        id: impl Fn(&T) -> I,
        words: impl FnOnce(&[T]) -> String,
    ) -> anyhow::Result<()> {
        match self {
            Self::Ids => ids(all.iter().map(id)),
            Self::Text | Self::Json | Self::JsonLines => self.show_all(all, words),
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
    table::lay_out(headings, &rows, paint::is_on(paint::Stream::Out))
}

/// In the largest unit that leaves a whole part, with one decimal.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["GiB", "MiB", "KiB"];
    let unit = units.iter().zip([30u32, 20, 10]).find(|(_, shift)| bytes >> shift > 0);
    match unit {
        None => counted(bytes, "byte"),
        Some((unit, shift)) => {
            let tenths = (bytes >> (shift - 10)) * 10 / 1_024;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// A length of time in its largest unit, so that it reads at a glance.
pub(crate) fn rough(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
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

    #[test]
    fn sizes_have_one_decimal() {
        let told: Vec<String> = [1, 1_023, 1_536, 5 << 20, 3 << 30].into_iter().map(size).collect();
        assert_eq!(told, ["1 byte", "1023 bytes", "1.5 KiB", "5.0 MiB", "3.0 GiB"]);
    }

    #[test]
    fn a_length_of_time_is_told_in_its_largest_unit() {
        let told = [0, 59, 60, 3_599, 3_600, 172_799, 172_800, 900_000].map(rough);
        assert_eq!(told, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 days", "10 days"]);
    }
}
