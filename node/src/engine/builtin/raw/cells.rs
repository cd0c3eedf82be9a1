//! The cells of one host while they are asked: eight bytes each, and a few cursors. Pure: the time is handed in.
//!
//! A pass asks every cell that the pass before left silent, in the same order and some time behind it, so that one
//! cursor a pass tells who is due; nothing is kept per packet.

use super::packet::Unreached;
use std::time::Duration;

/// From the first question to the last retry; longer than Linux keeps quiet about a half-open connection, and than a
/// short outage.
const SPREAD: Duration = Duration::from_millis(1_010);

/// The pause before a pass beyond the planned ones.
const EXTRA_PAUSE: Duration = Duration::from_millis(300);

/// Passes beyond the planned ones, while losses are seen.
const EXTRA_PASSES: usize = 6;

/// Passes of which none found anything, before silence is believed where packets were lost before.
const EMPTY_PASSES: usize = 2;

/// A point in time of one scan, in steps of 16 µs; wraps after 19 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tick(u32);

impl Tick {
    /// So long after the start of the scan.
    pub(super) fn at(since_start: Duration) -> Self {
        // The mask makes it fit.
        Self(u32::try_from((since_start.as_micros() >> 4) & u128::from(u32::MAX)).unwrap_or(0))
    }

    /// The time from `earlier` to this.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::from(self.0.wrapping_sub(earlier.0)) << 4)
    }
}

/// What a cell turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Something on the way, or the host, refuses.
    Filtered(Unreached),
    /// Nothing listens.
    Closed,
    /// Something listens.
    Open,
}

/// How patient a host's cells are now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Time for an answer before a retry, and after the last one.
    pub(super) answer: Duration,
    /// After this a silent probe is no longer on its way.
    pub(super) flight: Duration,
}

/// How often silent cells are asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    /// Passes after the first.
    pub(super) planned: u8,
    /// Whether more may follow while losses are seen.
    pub(super) extend: bool,
}

/// A question to send: which cell, and the number of the try, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) index: usize,
    pub(super) attempt: u8,
}

/// What an answer told of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lesson {
    /// The round trip, when it is known which try was answered.
    pub(super) round_trip: Option<Duration>,
    /// Whether a probe, or its answer, was lost before.
    pub(super) is_late: bool,
    /// Whether the cell had no verdict before.
    pub(super) is_first: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    sent: Tick,
    tries: u8,
    verdict: Option<Verdict>,
    is_flying: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    /// The next cell to ask.
    next: usize,
    /// Cells before this are no longer on their way.
    landed: usize,
    /// Answers to this pass.
    found: u32,
    last_sent: Tick,
}

/// The cells of one host.
#[derive(Debug)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    passes: Vec<Pass>,
    planned: usize,
    extra: usize,
    settled: usize,
    flying: u32,
}

impl Cells {
    pub(super) fn new(count: usize, retries: Retries) -> Self {
        let planned = usize::from(retries.planned);
        let extra = if retries.extend { EXTRA_PASSES } else { 0 };
        let passes = vec![Pass::default(); planned + 1];
        Self { cells: vec![Cell::default(); count], passes, planned, extra, settled: 0, flying: 0 }
    }

    /// Probes that may still be on their way.
    pub(super) fn flying(&self) -> u32 {
        self.flying
    }

    /// The verdicts in the order of the cells; `None` is silence.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = Option<Verdict>> {
        self.cells.iter().map(|cell| cell.verdict)
    }

    /// The next question that is due, which counts as sent at `now`. Retries come first.
    pub(super) fn next(&mut self, now: Tick, patience: Patience) -> Option<Question> {
        let pass = (0..self.passes.len()).rev().find(|pass| {
            let head = self.head(*pass);
            head.is_some_and(|cell| *pass == 0 || now.since(cell.sent) >= self.pause(*pass, patience))
        })?;
        let at = self.passes.get_mut(pass)?;
        let (index, attempt) = (at.next, u8::try_from(pass).unwrap_or(u8::MAX));
        (at.next, at.last_sent) = (index + 1, now);
        let cell = self.cells.get_mut(index)?;
        if !cell.is_flying {
            self.flying += 1;
        }
        (cell.sent, cell.tries, cell.is_flying) = (now, attempt.saturating_add(1), true);
        Some(Question { index, attempt })
    }

    /// Takes an answer to try `attempt` of cell `index`, the last one if that is not known; `None` when it tells nothing
    /// new.
    pub(super) fn answer(&mut self, index: usize, attempt: Option<u8>, verdict: Verdict, now: Tick) -> Option<Lesson> {
        let cell = self.cells.get_mut(index)?;
        let attempt = attempt.or(cell.tries.checked_sub(1))?;
        if cell.tries <= attempt || cell.verdict >= Some(verdict) {
            return None;
        }
        let is_first = cell.verdict.replace(verdict).is_none();
        if cell.is_flying {
            (cell.is_flying, self.flying) = (false, self.flying.saturating_sub(1));
        }
        let is_last_try = cell.tries == attempt.saturating_add(1);
        let round_trip = (is_last_try && is_first).then(|| now.since(cell.sent));
        if is_first {
            self.settled += 1;
            if let Some(pass) = self.passes.get_mut(usize::from(attempt)) {
                pass.found = pass.found.saturating_add(1);
            }
        }
        Some(Lesson { round_trip, is_late: attempt > 0, is_first })
    }

    /// Takes silent probes that have been on their way for too long out of the count.
    pub(super) fn land(&mut self, now: Tick, flight: Duration) {
        for (number, pass) in self.passes.iter_mut().enumerate() {
            while pass.landed < pass.next
                && let Some(cell) = self.cells.get_mut(pass.landed)
            {
                let is_its_own = cell.is_flying && usize::from(cell.tries) == number + 1;
                if is_its_own && now.since(cell.sent) < flight {
                    break;
                }
                if is_its_own {
                    (cell.is_flying, self.flying) = (false, self.flying.saturating_sub(1));
                }
                pass.landed += 1;
            }
        }
    }

    /// True when every cell has its verdict or was asked to the end.
    pub(super) fn is_done(&mut self, now: Tick, patience: Patience) -> bool {
        if self.settled == self.cells.len() {
            return true;
        }
        let last = self.passes.len() - 1;
        if (0..=last).any(|pass| self.head(pass).is_some()) {
            return false;
        }
        let Some(pass) = self.passes.last().copied().filter(|pass| pass.next >= self.cells.len()) else { return false };
        if now.since(pass.last_sent) < patience.answer {
            return false;
        }
        let more = self.wants_more();
        if more {
            self.extra -= 1;
            self.passes.push(Pass::default());
        }
        !more
    }

    /// How long from `now` until something may be due here: a retry, a landing, the end. `None`: not before an answer.
    pub(super) fn due_in(&mut self, now: Tick, patience: Patience) -> Option<Duration> {
        let mut least: Option<Duration> = None;
        let mut note = |from: Tick, wait: Duration| {
            let left = wait.saturating_sub(now.since(from));
            least = Some(least.map_or(left, |least| least.min(left)));
        };
        for number in 0..self.passes.len() {
            if let Some(cell) = self.head(number) {
                note(cell.sent, if number == 0 { Duration::ZERO } else { self.pause(number, patience) });
            }
            let pass = self.passes.get(number).copied().unwrap_or_default();
            if let Some(cell) = self.cells.get(pass.landed).filter(|cell| pass.landed < pass.next && cell.is_flying) {
                note(cell.sent, patience.flight);
            }
        }
        let last = self.passes.last().filter(|pass| pass.next >= self.cells.len());
        if let Some(pass) = last {
            note(pass.last_sent, patience.answer);
        }
        least
    }

    /// The cell that pass `number` asks next, if the pass before has asked it already. Moves the cursor past those that
    /// need no question any more.
    fn head(&mut self, number: usize) -> Option<Cell> {
        let end = match number.checked_sub(1) {
            None => self.cells.len(),
            Some(before) => self.passes.get(before)?.next,
        };
        let pass = self.passes.get_mut(number)?;
        while pass.next < end
            && let Some(cell) = self.cells.get(pass.next)
        {
            if cell.verdict.is_none() {
                return Some(*cell);
            }
            pass.next += 1;
        }
        None
    }

    /// The time between pass `number` and the one before: doubled each time, [`SPREAD`] in all.
    fn pause(&self, number: usize, patience: Patience) -> Duration {
        let wanted = match number.checked_sub(1) {
            Some(before) if number <= self.planned => {
                let parts = 1_u32.checked_shl(u32::try_from(self.planned).unwrap_or(0)).map_or(u32::MAX, |all| all - 1);
                let part = 1_u32.checked_shl(u32::try_from(before).unwrap_or(0)).unwrap_or(u32::MAX);
                SPREAD * part / parts
            }
            Some(_) | None => EXTRA_PAUSE,
        };
        wanted.max(patience.answer)
    }

    /// Whether another pass is worth it: while the last ones still found something, and that only where a retry found
    /// anything at all.
    fn wants_more(&self) -> bool {
        let retries = self.passes.get(1..).unwrap_or_default();
        let is_lossy = retries.iter().any(|pass| pass.found > 0);
        let empty = retries.iter().rev().take_while(|pass| pass.found == 0).count();
        self.extra > 0 && is_lossy && empty < EMPTY_PASSES
    }
}

#[cfg(test)]
mod tests;
