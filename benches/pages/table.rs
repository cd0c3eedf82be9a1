//! What the pages took, in words, and as a table for the README.

#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

use super::browser::{Visited, percentile};
use std::collections::BTreeMap;

/// How many of the slowest pages are named.
const NAMED: usize = 12;

/// The largest median of any page, in milliseconds.
pub(crate) fn slowest(pages: &[Visited]) -> f64 {
    pages.iter().map(Visited::median).fold(0.0, f64::max)
}

/// The sums, and the slowest pages one by one.
pub(crate) fn tell(when: &str, pages: &[Visited]) {
    let largest = pages.iter().map(|page| page.bytes).max().unwrap_or(0);
    println!(
        "{when}: {} pages; slowest median {:.1} ms, 95 of 100 answers within {:.1} ms, largest page {} kB",
        pages.len(),
        slowest(pages),
        percentile(pages, 95),
        largest / 1_000
    );
    let mut by_time: Vec<&Visited> = pages.iter().collect();
    by_time.sort_by(|a, b| b.median().total_cmp(&a.median()));
    for page in by_time.iter().take(NAMED) {
        println!("  {:>8.1} ms {:>5} kB  {}", page.median(), page.bytes / 1_000, page.path);
    }
}

/// Pages of one place: the slowest median while quiet, and while runs are taken in if one was asked for then; and the
/// largest page.
#[derive(Default)]
struct Row {
    quiet: f64,
    busy: Option<f64>,
    bytes: usize,
}

impl Row {
    fn with(self, other: &Self) -> Self {
        let busy = [self.busy, other.busy].into_iter().flatten().reduce(f64::max);
        Self { quiet: self.quiet.max(other.quiet), busy, bytes: self.bytes.max(other.bytes) }
    }
}

/// A line for each place, the slowest first; all that are not named stand in the last one.
pub(crate) fn print(quiet: &[Visited], busy: &[Visited]) {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for page in quiet {
        let row = rows.entry(page.place()).or_default();
        *row = std::mem::take(row).with(&Row { quiet: page.median(), busy: None, bytes: page.bytes });
    }
    for page in busy.iter().filter(|page| !page.times.is_empty()) {
        let row = rows.entry(page.place()).or_default();
        *row = std::mem::take(row).with(&Row { quiet: 0.0, busy: Some(page.median()), bytes: page.bytes });
    }
    let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
    rows.sort_by(|(_, a), (_, b)| b.quiet.total_cmp(&a.quiet));
    let others = rows.split_off(NAMED.min(rows.len()));
    println!("\n| page | median | while runs are taken in | size |\n|---|---|---|---|");
    for (place, row) in &rows {
        line(&format!("`{place}`"), row);
    }
    let worst = others.iter().fold(Row::default(), |worst, (_, row)| worst.with(row));
    line(&format!("each of {} others", others.len()), &worst);
}

fn line(words: &str, Row { quiet, busy, bytes }: &Row) {
    let busy = busy.map_or_else(|| "not asked".to_owned(), |busy| format!("{busy:.1} ms"));
    println!("| {words} | {quiet:.1} ms | {busy} | {} kB |", bytes / 1_000);
}
