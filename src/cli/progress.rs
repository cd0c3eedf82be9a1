//! How far something long has come, on standard error: a bar where somebody watches, plain lines elsewhere.

use super::print::{self, Form};
use indicatif::{ProgressBar, ProgressStyle};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, interval_at};

/// How often is told, where nobody watches, that something still goes on.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How often a bar moves although there is nothing new.
const TICK: Duration = Duration::from_millis(120);

/// A bar that is gone once this is dropped; nothing where nobody watches.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar of so many parts with words beside it.
    pub(crate) fn of_parts(form: Form, parts: u64) -> Self {
        Self::new(form, parts, "{bar:24} {wide_msg}")
    }

    /// A bar of so many bytes, for what is sent.
    pub(crate) fn of_bytes(form: Form, bytes: u64) -> Self {
        Self::new(form, bytes, "{bar:24} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}")
    }

    fn new(form: Form, length: u64, template: &str) -> Self {
        Self((form == Form::Text && print::is_watched()).then(|| {
            let usual = ProgressStyle::default_bar();
            let style = usual.clone().template(template).unwrap_or(usual).progress_chars("=> ");
            let bar = ProgressBar::new(length).with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        }))
    }

    /// Whether there is a bar to be seen.
    pub(crate) fn is_seen(&self) -> bool {
        self.0.is_some()
    }

    /// So many parts are done now, and this is to be said beside the bar.
    pub(crate) fn show(&self, done: u64, words: String) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
            bar.set_message(words);
        }
    }

    /// So much more is done.
    pub(crate) fn add(&self, more: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(u64::try_from(more).unwrap_or(u64::MAX));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Waits for work that cannot say how far it has come, and tells what is waited for.
pub(crate) async fn waiting<T>(form: Form, what: &str, work: impl Future<Output = T>) -> T {
    let spinner = (form == Form::Text && print::is_watched()).then(|| {
        let usual = ProgressStyle::default_spinner();
        let style = usual.clone().template("{spinner} {msg}, {elapsed}").unwrap_or(usual);
        let spinner = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
        spinner.enable_steady_tick(TICK);
        spinner
    });
    let begun = Instant::now();
    let mut ticks = interval_at(begun + TELL_EVERY, TELL_EVERY);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                if let Some(spinner) = spinner {
                    spinner.finish_and_clear();
                }
                return done;
            }
            _ = ticks.tick() => {
                if spinner.is_none() && form == Form::Text {
                    print::note(&still(what, begun.elapsed()));
                }
            }
        }
    }
}

fn still(what: &str, elapsed: Duration) -> String {
    format!("{what} for {}", print::rough(elapsed.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_said_with_how_long() {
        assert_eq!(still("reading every record", Duration::from_secs(75)), "reading every record for 1 min");
    }

    #[tokio::test]
    async fn what_the_work_gives_comes_through() {
        assert_eq!(waiting(Form::Json, "counting", async { 7 }).await, 7);
        let unseen = Bar::of_parts(Form::Json, 3);
        unseen.show(1, "one".to_owned());
        unseen.add(1);
        assert!(!unseen.is_seen());
    }
}
