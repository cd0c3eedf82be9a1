//! What is wrong with a form, field by field: shown beside the field, and all together on top.

use crate::filters;
use askama::Template;
use askama::filters::HtmlSafe;
use std::collections::BTreeMap;

/// Faults by the name of the field, which is also its id in the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(BTreeMap<&'static str, String>);

impl Faults {
    /// Notes one; the first of a field stays.
    pub(crate) fn add(&mut self, field: &'static str, words: impl Into<String>) {
        self.0.entry(field).or_insert_with(|| words.into());
    }

    /// True when nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The summary above a form; draws nothing when nothing is wrong.
    pub(crate) fn summary(&self, title: &'static str) -> Summary<'_> {
        Summary { title, faults: self }
    }

    /// What stands below the field; draws nothing when nothing is wrong with it.
    pub(crate) fn below(&self, field: &'static str) -> Below<'_> {
        Below { field, words: self.0.get(field) }
    }

    /// Attributes of the field itself.
    pub(crate) fn mark(&self, field: &'static str) -> Mark {
        Mark { field, is_wrong: self.0.contains_key(field) }
    }
}

impl From<BTreeMap<&'static str, String>> for Faults {
    fn from(faults: BTreeMap<&'static str, String>) -> Self {
        Self(faults)
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r##"{% if !faults.is_empty() %}<div id="faults" role="alert" tabindex="-1"><h2>{{ title }}</h2><ul>{% for (field, words) in faults.0 %}<li><a href="#{{ field }}">{{ words|sentence }}</a></li>{% endfor %}</ul></div>{% endif %}"##
)]
pub(crate) struct Summary<'a> {
    title: &'static str,
    faults: &'a Faults,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(words) = words %}<span class="fault" id="{{ field }}-fault">{{ words|sentence }}</span>{% endif %}"#
)]
pub(crate) struct Below<'a> {
    field: &'static str,
    words: Option<&'a String>,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"{% if is_wrong %} aria-invalid="true" aria-describedby="{{ field }}-fault"{% endif %}"#
)]
pub(crate) struct Mark {
    field: &'static str,
    is_wrong: bool,
}

impl HtmlSafe for Summary<'_> {}
impl HtmlSafe for Below<'_> {}
impl HtmlSafe for Mark {}
