//! Pages keep to the strict content policy: no inline script, no inline style, nothing that is code in an attribute.

use super::source::{Source, files};

fn inline_code(sources: &[Source]) -> Vec<String> {
    let per_page = |source: &Source| {
        let page = without_template_code(&source.text);
        let faults: Vec<_> = tags(&page).filter_map(fault).map(|fault| format!("{}: {fault}", source.path)).collect();
        faults
    };
    sources.iter().flat_map(per_page).collect()
}

/// The page without `{% … %}`, `{{ … }}` and `{# … #}`, whose insides are not HTML.
fn without_template_code(text: &str) -> String {
    let mut page = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        page.push_str(before);
        let end = match after.as_bytes().get(1) {
            Some(b'%') => "%}",
            Some(b'{') => "}}",
            Some(b'#') => "#}",
            _ => "{",
        };
        let length = after.find(end).map_or(after.len(), |at| at + end.len());
        rest = &after[length..];
    }
    page + rest
}

/// Each tag from `<` to `>`, with the text up to the next tag.
fn tags(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split('<').skip(1).map(|part| part.split_once('>').unwrap_or((part, "")))
}

fn fault((tag, text): (&str, &str)) -> Option<String> {
    let lower = tag.to_lowercase();
    let attributes = lower.split_whitespace().skip(1).map(|part| part.split('=').next().unwrap_or_default());
    let bad = |name: &&str| *name == "style" || name.starts_with("on") || name.starts_with("hx-on");
    if lower.starts_with("style") || (lower.starts_with("script") && !text.trim().is_empty()) {
        return Some(format!("<{tag}> carries inline code"));
    }
    if ["javascript:", "\"js:", "'js:"].iter().any(|code| lower.contains(code)) {
        return Some(format!("<{tag}> carries code in a value"));
    }
    attributes.into_iter().find(bad).map(|name| format!("<{tag}> has the attribute {name}"))
}

#[test]
fn no_page_carries_inline_script_or_style() {
    let found = inline_code(&files("html"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn inline_code_of_each_kind_is_noticed() {
    for (page, expected) in [
        ("<p style=\"x\">", "p.html: <p style=\"x\"> has the attribute style"),
        ("<a onclick=\"x()\">", "p.html: <a onclick=\"x()\"> has the attribute onclick"),
        ("<a hx-on:click=\"x()\">", "p.html: <a hx-on:click=\"x()\"> has the attribute hx-on:click"),
        ("<script>x()</script>", "p.html: <script> carries inline code"),
        ("<style>a{}</style>", "p.html: <style> carries inline code"),
        ("<a href=\"javascript:x\">", "p.html: <a href=\"javascript:x\"> carries code in a value"),
        ("<a hx-vals=\"js:x\">", "p.html: <a hx-vals=\"js:x\"> carries code in a value"),
    ] {
        assert_eq!(inline_code(&[Source::made_up("p.html", page)]), [expected]);
    }
}

#[test]
fn plain_pages_pass() {
    let page =
        "{% if a < b %}<script src=\"/assets/app.js\" defer></script><p class=\"{{ on }}\">{{ x }}</p>{% endif %}";
    assert_eq!(inline_code(&[Source::made_up("p.html", page)]), Vec::<String>::new());
}
