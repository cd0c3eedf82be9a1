//! What came of a step outside of the dashboard: one sentence, and the way on.

use crate::filters;
use crate::page::{Head, View};
use askama::Template;

/// A page with one thing to say.
#[derive(Template)]
#[template(path = "settled.html")]
pub(crate) struct Settled {
    pub(crate) title: &'static str,
    pub(crate) words: String,
    /// Where it goes on, and what the link is called.
    pub(crate) onward: (&'static str, &'static str),
}

impl View for Settled {
    fn head(&self) -> Head {
        Head { title: self.title.to_owned(), ..Head::default() }
    }
}

impl Settled {
    /// The way on is to sign in.
    pub(crate) fn then_sign_in(title: &'static str, words: impl Into<String>) -> Self {
        Self { title, words: words.into(), onward: ("/auth/login", "Sign in") }
    }
}
