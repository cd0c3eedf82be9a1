//! How states look: a picture, a word and a colour, always together. Pages hold these; partial templates draw them.

mod states;

use crate::filters;
use crate::filters::Percent;
use askama::Template;
use askama::filters::HtmlSafe;

/// What a colour means. Each is a CSS class of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Ok,
    Low,
    Medium,
    High,
    Critical,
    Muted,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Muted => "muted",
        }
    }
}

/// A state as picture, word and colour.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "partials/badge.html")]
pub(crate) struct Badge {
    pub(crate) tone: Tone,
    pub(crate) icon: &'static str,
    pub(crate) word: String,
    /// Whether the colour fills it: for what should be seen first.
    pub(crate) is_filled: bool,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// Coloured text beside its picture.
    pub(crate) fn plain(tone: Tone, icon: &'static str, word: impl Into<String>) -> Self {
        Self { tone, icon, word: word.into(), is_filled: false }
    }

    /// On a filled ground.
    pub(crate) fn filled(tone: Tone, icon: &'static str, word: impl Into<String>) -> Self {
        Self { tone, icon, word: word.into(), is_filled: true }
    }
}

/// A score from 0 to 100 as a ring with its number and word.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "partials/gauge.html")]
pub(crate) struct Gauge {
    pub(crate) score: u8,
    /// What the score rests on; less than all is said beside it.
    pub(crate) coverage: Percent,
}

impl HtmlSafe for Gauge {}

impl Gauge {
    /// The word for the band. Source: SPEC.md R5.
    pub(crate) fn band(&self) -> &'static str {
        match self.score {
            90.. => "Excellent",
            70..=89 => "Good",
            50..=69 => "Monitor",
            _ => "Critical",
        }
    }

    fn tone(&self) -> Tone {
        match self.score {
            90.. => Tone::Ok,
            70..=89 => Tone::Low,
            50..=69 => Tone::Medium,
            _ => Tone::Critical,
        }
    }
}

/// How far something is, drawn by `<progress>`.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "partials/progress.html")]
pub(crate) struct Progress {
    /// What advances, for people who cannot see the bar.
    pub(crate) label: String,
    pub(crate) percent: Percent,
    /// `112 of 256 addresses`
    pub(crate) count: String,
}

impl HtmlSafe for Progress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_begin_where_the_specification_says() {
        let band = |score| Gauge { score, coverage: Percent(100) }.band();
        assert_eq!(
            [0, 49, 50, 69, 70, 89, 90, 100].map(band),
            ["Critical", "Critical", "Monitor", "Monitor", "Good", "Good", "Excellent", "Excellent"]
        );
    }
}
