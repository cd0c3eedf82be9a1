//! The rounds of each scanner, what they come to, and how that is told: a line for each promise, and a table for the README.

use crate::process::{Taken, median};
use crate::rehearsal::ratio;
use crate::scanner::Scanner;
use crate::scenario::{Claim, Scenario};
use crate::wire::Carried;
use std::time::Duration;

/// One scan.
pub(crate) struct Round {
    pub(crate) taken: Taken,
    /// Open ports that it did not find, and ports that it called open and nothing listens there.
    pub(crate) missed: usize,
    pub(crate) false_opens: usize,
    pub(crate) filtered: u64,
    pub(crate) carried: Option<Carried>,
}

/// All scans of one scanner in one scenario.
pub(crate) struct Row {
    pub(crate) scanner: Scanner,
    /// The first ones are timed, in turn with the others'; further ones only show what is found.
    pub(crate) rounds: Vec<Round>,
    pub(crate) timed: usize,
}

impl Row {
    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().take(self.timed).map(of))
    }

    fn seconds(&self) -> f64 {
        self.median(|round| round.taken.elapsed)
    }

    fn processor(&self) -> f64 {
        self.median(|round| round.taken.processor)
    }

    fn peak_mib(&self) -> f64 {
        self.median(|round| round.taken.peak_kib / 1_024.0)
    }

    /// The worst part of what is open that a scan found.
    fn recall(&self, open: usize) -> f64 {
        let missed = self.rounds.iter().map(|round| round.missed).max().unwrap_or(open);
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        if open == 0 { 1.0 } else { ratio(count(open.saturating_sub(missed)), count(open)) }
    }

    fn false_opens(&self) -> usize {
        self.rounds.iter().map(|round| round.false_opens).sum()
    }

    fn is_true(&self) -> bool {
        !self.rounds.is_empty() && self.rounds.iter().all(|round| round.missed == 0 && round.false_opens == 0)
    }
}

/// A scenario with what came of it.
pub(crate) struct Told {
    pub(crate) scenario: Scenario,
    pub(crate) rows: Vec<Row>,
}

impl Told {
    fn row(&self, scanner: Scanner) -> Option<&Row> {
        self.rows.iter().find(|row| row.scanner == scanner)
    }

    /// Every promise with whether it is met; never an error, since a busy machine proves nothing.
    pub(crate) fn tell_targets(&self) {
        for claim in &self.scenario.claims {
            match self.judged(*claim) {
                Some((told, is_met)) => println!("target {told}: {}", if is_met { "met" } else { "not met" }),
                None => println!("target {claim:?}: not measured, since not all of them took part"),
            }
        }
        let cells = u64::from(self.scenario.field.cells());
        for row in self.rows.iter().filter(|row| row.scanner.is_ours()) {
            let name = row.scanner.name();
            let recall = row.recall(self.scenario.field.open().len());
            let (runs, wrong) = (row.rounds.len(), row.rounds.iter().filter(|r| r.missed + r.false_opens > 0).count());
            let silent = !self.scenario.field.is_silent || row.rounds.iter().all(|round| round.filtered == cells);
            println!(
                "target {name}: recall {recall:.3} and {} false opens, {} of {runs} runs right{}: {}",
                row.false_opens(),
                runs - wrong,
                if self.scenario.field.is_silent { ", all filtered" } else { "" },
                if wrong == 0 && silent { "met" } else { "not met" }
            );
            let peak = row.peak_mib();
            println!("target {name}: {peak:.1} MiB, below 64: {}", if peak < 64.0 { "met" } else { "not met" });
        }
    }

    fn judged(&self, claim: Claim) -> Option<(String, bool)> {
        match claim {
            Claim::Faster(ours, theirs, wanted) => Self::faster(self.row(ours)?, self.row(theirs)?, wanted),
            Claim::FasterThanBest(ours, wanted) => {
                let peers = self.rows.iter().filter(|row| !row.scanner.is_ours() && row.is_true());
                let best = peers.min_by(|a, b| a.seconds().total_cmp(&b.seconds()))?;
                Self::faster(self.row(ours)?, best, wanted)
            }
            Claim::LessProcessor(ours, theirs, most) => {
                let (ours, theirs) = (self.row(ours)?, self.row(theirs)?);
                let part = ours.processor() / theirs.processor();
                let names = (ours.scanner.name(), theirs.scanner.name());
                Some((
                    format!("{}: {part:.2} of the processor time of {}, at most {most}", names.0, names.1),
                    part <= most,
                ))
            }
            Claim::NearLink(ours, most) => {
                let row = self.row(ours)?;
                let part = row.seconds() / self.least(row)?.as_secs_f64();
                Some((
                    format!("{}: {part:.2} of what the link takes, at most {most}", row.scanner.name()),
                    part <= most,
                ))
            }
        }
    }

    fn faster(ours: &Row, theirs: &Row, wanted: f64) -> Option<(String, bool)> {
        let times = theirs.seconds() / ours.seconds();
        let (a, b) = (ours.scanner.name(), theirs.scanner.name());
        let (fast, slow) = (ours.seconds(), theirs.seconds());
        Some((
            format!("{a}: {times:.1} times faster than {b} ({fast:.2} s, {slow:.2} s), at least {wanted}"),
            times >= wanted,
        ))
    }

    /// What the link takes for one probe of each port, as long as this scanner's are.
    fn least(&self, row: &Row) -> Option<Duration> {
        let crate::lab::Path::Wire(link) = self.scenario.path else { return None };
        let out = row.rounds.iter().find_map(|round| round.carried)?.out;
        let frame = usize::try_from(out.bytes / out.frames.max(1)).ok()?;
        Some(link.occupied(frame) * self.scenario.field.cells())
    }

    /// Every scan, for those who doubt a median.
    pub(crate) fn tell_rounds(&self) {
        for row in &self.rows {
            let timed = row.rounds.iter().take(row.timed);
            let seconds: Vec<String> = timed.map(|round| format!("{:.2}", round.taken.elapsed)).collect();
            let carried = row.rounds.iter().find_map(|round| round.carried);
            let wire = carried.map_or_else(String::new, |Carried { out, back }| {
                let dropped = out.dropped + back.dropped + out.refused + back.refused;
                format!("; {} frames out, {} back, {dropped} dropped", out.frames, back.frames)
            });
            println!("{:<32} {} s{wire}", row.scanner.name(), seconds.join(", "));
        }
    }
}

/// The table for the README.
pub(crate) fn print(told: &[Told]) {
    println!("\n| path | scanner | time | recall | false opens | processor | memory |\n|---|---|---|---|---|---|---|");
    for Told { scenario, rows } in told {
        for row in rows {
            let Row { scanner, .. } = row;
            println!(
                "| {} | {} | {:.2} s | {:.3} | {} | {:.2} s | {:.0} MiB |",
                scenario.title,
                scanner.name(),
                row.seconds(),
                row.recall(scenario.field.open().len()),
                row.false_opens(),
                row.processor(),
                row.peak_mib()
            );
        }
    }
}
