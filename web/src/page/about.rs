//! `/settings/about`: which program this is, whose mesh, and the licences of the files that pages load.

use crate::App;
use crate::assets;
use crate::page::{Head, Page, View};
use askama::Template;
use axum::extract::State;

const PATH: &str = "/settings/about";

#[derive(Template)]
#[template(path = "about.html")]
pub(crate) struct About {
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) vendored: Vec<Vendored>,
}

/// A foreign file that pages load.
pub(crate) struct Vendored {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) licence: &'static str,
    /// The licence's own words.
    pub(crate) text: String,
}

impl View for About {
    fn head(&self) -> Head {
        Head::settings(PATH, "About")
    }
}

/// What `assets/vendor/README.md` lists; a test compares.
const VENDORED: [(&str, &str, &str, &str); 3] = [
    ("htmx and hx-sse", "4.0.1", "0BSD", "vendor/htmx.LICENSE"),
    ("Pico CSS", "2.1.1", "MIT", "vendor/pico.LICENSE"),
    ("Lucide icons", "1.62.0", "ISC", "vendor/lucide.LICENSE"),
];

/// `GET /settings/about`
pub(crate) async fn show(State(app): State<App>) -> Page<About> {
    let build = if cfg!(debug_assertions) { "for development" } else { "for release" };
    let facts = vec![
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Built", format!("{build}, for {} on {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("Licence", env!("CARGO_PKG_LICENSE").to_owned()),
        ("Mesh", app.coordinator.mesh_id().to_string()),
        ("Coordinator's key", app.coordinator.id().fingerprint().to_string()),
    ];
    let vendored =
        VENDORED.map(|(name, version, licence, file)| Vendored { name, version, licence, text: assets::text_of(file) });
    Page(About { facts, vendored: vendored.into() })
}

#[cfg(test)]
mod tests {
    use super::VENDORED;
    use crate::assets;

    #[test]
    fn every_vendored_file_is_named_with_its_version_and_its_licence() {
        let listed = assets::text_of("vendor/README.md");
        let rows = listed.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, VENDORED.len());
        for (name, version, licence, file) in VENDORED {
            let row = listed.lines().find(|line| line.contains(file.trim_start_matches("vendor/")));
            let row = row.unwrap_or_else(|| panic!("{name} is not in the list"));
            assert!(row.contains(&format!("| {version} |")) && row.contains(licence), "{name}: {row}");
            assert!(assets::text_of(file).len() > 300, "{file}");
        }
    }
}
