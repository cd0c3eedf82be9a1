//! What stands above a list: choices of its filters, and a chip for each filter that is set.

use crate::filters;
use crate::query::Fields;
use askama::Template;
use askama::filters::HtmlSafe;

/// A field with options to choose from.
#[derive(Template)]
#[template(path = "partials/choice.html")]
pub(crate) struct Choice<'a> {
    name: &'static str,
    label: &'static str,
    options: Vec<(&'a str, &'a str)>,
    chosen: &'a str,
}

impl<'a> Choice<'a> {
    /// One of `options`, each a value and its words. What is chosen stays, even where it is none of them.
    pub(crate) fn of(
        name: &'static str,
        label: &'static str,
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
        chosen: &'a str,
    ) -> Self {
        let mut options: Vec<(&str, &str)> = options.into_iter().collect();
        if !options.iter().any(|(value, _)| *value == chosen) {
            options.push((chosen, chosen));
        }
        Self { name, label, options, chosen }
    }

    fn is_chosen(&self, value: &str) -> bool {
        value == self.chosen
    }
}

impl HtmlSafe for Choice<'_> {}

/// The filters that are set, each with the way to the list without it.
#[derive(Template)]
#[template(path = "partials/chips.html")]
pub(crate) struct Chips {
    chips: Vec<Chip>,
    /// The list without any of them.
    clear: String,
}

struct Chip {
    label: &'static str,
    value: String,
    without: String,
}

impl Chips {
    /// Of the list at `path`: `labels` gives each filter's name and what people call it, `words` what a value means.
    pub(crate) fn of(
        path: &str,
        fields: &Fields,
        labels: &[(&'static str, &'static str)],
        words: impl Fn(&str, &str) -> String,
    ) -> Self {
        let set = labels.iter().filter(|(name, _)| !fields.get(name).is_empty());
        let chips = set.clone().map(|(name, label)| Chip {
            label,
            value: words(name, fields.get(name)),
            without: format!("{path}{}", fields.clone().with(name, "")),
        });
        let cleared = set.fold(fields.clone(), |fields, (name, _)| fields.with(name, ""));
        Self { chips: chips.collect(), clear: format!("{path}{cleared}") }
    }

    /// Whether any filter is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.chips.is_empty()
    }
}

impl HtmlSafe for Chips {}

/// The words of a value among options, or the value itself.
pub(crate) fn words_of(options: &[(&'static str, &'static str)], value: &str) -> String {
    options.iter().find(|(known, _)| *known == value).map_or(value, |(_, words)| words).to_owned()
}

/// The way to other parts of a long list.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "partials/pager.html")]
pub(crate) struct Pager {
    /// Set when this is not the first part.
    pub(crate) first: Option<String>,
    pub(crate) next: Option<String>,
}

impl HtmlSafe for Pager {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_leads_to_the_list_without_its_filter() {
        let fields = Fields::of([("state", "all"), ("port", "22"), ("text", ""), ("sort", "port")]);
        let labels = [("state", "State"), ("port", "Port"), ("text", "Text")];
        let chips = Chips::of("/alerts", &fields, &labels, |_, value| value.to_uppercase());
        let told: Vec<String> =
            chips.chips.iter().map(|chip| format!("{} {} {}", chip.label, chip.value, chip.without)).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        State ALL /alerts?port=22&sort=port
        Port 22 /alerts?state=all&sort=port
        ");
        assert_eq!(chips.clear, "/alerts?sort=port");
    }
}
