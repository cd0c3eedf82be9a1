//! Colour on a terminal: when there is any, and which words have which.

use clap::ColorChoice;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

/// Where text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What `--color` says; set once, before anything is written. Without it nothing is coloured, as in unit tests.
static CHOSEN: OnceLock<ColorChoice> = OnceLock::new();

/// Paints from now on as `--color` says.
pub(crate) fn choose(choice: ColorChoice) {
    let _chosen_before = CHOSEN.set(choice);
}

/// Whether text for `stream` is coloured.
pub(crate) fn is_on(stream: Stream) -> bool {
    let Some(choice) = CHOSEN.get() else { return false };
    let is_terminal = match stream {
        Stream::Out => io::stdout().is_terminal(),
        Stream::Err => io::stderr().is_terminal(),
    };
    let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_refused = is_set("NO_COLOR").is_some() || is_set("TERM").is_some_and(|kind| kind == "dumb");
    is_wanted(*choice, is_terminal, is_refused)
}

/// What was typed wins over what the environment refuses. Source: no-color.org.
fn is_wanted(choice: ColorChoice, is_terminal: bool, is_refused: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && !is_refused,
    }
}

/// What `--color` says among `arguments` that are not read yet, so that help and errors about them follow it as well.
pub(crate) fn typed(arguments: impl Iterator<Item = OsString>) -> ColorChoice {
    let mut arguments = arguments.filter_map(|argument| argument.into_string().ok()).take_while(|word| word != "--");
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => continue,
        };
        match value.as_deref() {
            Some("always") => return ColorChoice::Always,
            Some("never") => return ColorChoice::Never,
            Some(_) | None => {}
        }
    }
    ColorChoice::Auto
}

/// How a word is shown. Words say it all; colour only makes them quicker to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Somebody must look.
    Bad,
    /// Somebody should look.
    Doubtful,
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Out of use.
    Quiet,
}

impl Tone {
    /// The tone of a state or severity, by its first word.
    pub(crate) fn of(cell: &str) -> Option<Self> {
        let word = cell.split([' ', ',', ':']).next().unwrap_or_default();
        match word {
            "critical" | "failed" | "offline" | "revoked" | "cloned" | "fault" => Some(Self::Bad),
            "high" | "medium" | "partial" | "pending" | "awaiting" | "expired" | "changes" | "warning" => {
                Some(Self::Doubtful)
            }
            "online" | "completed" | "stable" | "active" | "ok" | "done" => Some(Self::Good),
            "low" | "scanning" | "running" | "queued" | "closing" | "leased" | "actioned" => Some(Self::Busy),
            "inactive" | "ignored" | "resolved" | "disabled" | "denied" | "cancelled" | "over" => Some(Self::Quiet),
            _ => None,
        }
    }

    /// `text` in this tone, by the codes that every terminal knows. Source: ECMA-48, SGR.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Bad => "1;31",
            Self::Doubtful => "33",
            Self::Good => "32",
            Self::Busy => "36",
            Self::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_painted_unless_somebody_refuses_and_what_was_typed_wins() {
        for (choice, is_terminal, is_refused, wanted) in [
            (ColorChoice::Auto, true, false, true),
            (ColorChoice::Auto, true, true, false),
            (ColorChoice::Auto, false, false, false),
            (ColorChoice::Always, false, true, true),
            (ColorChoice::Never, true, false, false),
        ] {
            assert_eq!(is_wanted(choice, is_terminal, is_refused), wanted, "{choice:?} {is_terminal} {is_refused}");
        }
    }

    #[test]
    fn the_choice_is_found_before_the_arguments_are_read() {
        let of = |line: &str| typed(line.split_whitespace().map(OsString::from));
        assert_eq!(of("portdrift nodes list --color never"), ColorChoice::Never);
        assert_eq!(of("portdrift --color=always nodes"), ColorChoice::Always);
        for auto in ["portdrift nodes", "portdrift --color", "portdrift --color mauve", "portdrift -- --color never"] {
            assert_eq!(of(auto), ColorChoice::Auto, "{auto}");
        }
    }

    #[test]
    fn a_state_has_its_tone_whatever_stands_behind_it() {
        assert_eq!(Tone::of("offline: its connection was lost"), Some(Tone::Bad));
        assert_eq!(Tone::of("online, hidden"), Some(Tone::Good));
        assert_eq!(Tone::of("offlined"), None);
        assert_eq!(Tone::Bad.paint("critical"), "\u{1b}[1;31mcritical\u{1b}[0m");
    }
}
