//! Every page at once: what no page may do.

use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\"' onmouseover=x </textarea>";

fn drawn(pages: Vec<(&'static str, Undrawn)>) -> Vec<(&'static str, String)> {
    let draw =
        |(name, page): (&'static str, Undrawn)| (name, page.draw(&samples::frame(), &samples::context()).unwrap().0);
    pages.into_iter().map(draw).collect()
}

#[test]
fn foreign_text_stays_text_on_every_page() {
    for (name, html) in drawn(samples::filled(HOSTILE)) {
        assert!(html.contains("alert(1)"), "{name} shows no foreign text");
        assert!(!html.contains("<script>") && !html.contains("</textarea>&") && !html.contains("\"' on"), "{name}");
    }
}

#[test]
fn every_page_has_one_heading_one_main_and_no_empty_label() {
    for (name, html) in drawn([samples::filled("Office"), samples::empty()].concat()) {
        if samples::PARTS.contains(&name) {
            continue;
        }
        assert_eq!((html.matches("<h1").count(), html.matches("<main").count()), (1, 1), "{name}");
        let labels: Vec<&str> = html.split(" for=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        for id in labels {
            assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{name}: the field of label {id}");
        }
    }
}

#[test]
fn no_template_holds_script_style_or_handlers() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let files = [folder.clone(), folder.join("partials")]
        .map(|folder| std::fs::read_dir(folder).unwrap())
        .into_iter()
        .flatten();
    let mut seen = 0;
    for path in files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for forbidden in
            ["<script>", "<style", " style=", " onclick", " onload", "hx-on", "js:", "javascript:", "|safe"]
        {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 15);
}

#[test]
fn links_stand_below_the_folder_of_the_proxy() {
    let context = Context { base_path: "/watch".to_owned(), ..samples::context() };
    for (name, page) in samples::filled("Office") {
        let html = page.draw(&samples::frame(), &context).unwrap().0;
        for attribute in ["href=\"/", "action=\"/", "src=\"/", "hx-get=\"/", "hx-sse:connect=\"/"] {
            for rest in html.split(attribute).skip(1) {
                assert!(rest.starts_with("watch/"), "{name}: {attribute}{}", rest.chars().take(40).collect::<String>());
            }
        }
    }
}
