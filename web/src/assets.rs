//! Files that pages load, served from the binary under names that hold their hash, so that browsers may keep them for good.

use crate::error::WebError;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use rust_embed::RustEmbed;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Embedded;

struct Asset {
    path: String,
    served_as: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| Embedded::iter().filter_map(|path| asset(&path)).collect());

static BY_PATH: LazyLock<BTreeMap<&str, &Asset>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| (asset.path.as_str(), asset)).collect());

static BY_SERVED: LazyLock<BTreeMap<&str, &Asset>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| (asset.served_as.as_str(), asset)).collect());

/// The name under which the file at `path` (below `assets/`) is served; `path` itself when there is no such file.
pub(crate) fn served_as(path: &str) -> &str {
    BY_PATH.get(path).map_or(path, |asset| asset.served_as.as_str())
}

/// The text of the file at `path` below `assets/`; empty when there is none.
pub(crate) fn text_of(path: &str) -> String {
    Embedded::get(path).map(|file| String::from_utf8_lossy(&file.data).into_owned()).unwrap_or_default()
}

/// `GET /assets/{name}`
pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, WebError> {
    let file = BY_SERVED.get(name.as_str()).and_then(|asset| Embedded::get(&asset.path)).ok_or(WebError::NoSuchPage)?;
    let headers =
        [(header::CONTENT_TYPE, content_type(&name)), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, file.data.into_owned()).into_response())
}

fn asset(path: &str) -> Option<Asset> {
    let hash = HEXLOWER.encode(Embedded::get(path)?.metadata.sha256_hash().get(..6)?);
    let file = path.rsplit('/').next()?;
    let (stem, ending) = file.rsplit_once('.')?;
    Some(Asset { path: path.to_owned(), served_as: format!("{stem}-{hash}.{ending}") })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn vendored_files_are_the_ones_that_were_chosen() {
        let sums = Embedded::get("vendor/SHA256SUMS").unwrap();
        let sums = std::str::from_utf8(&sums.data).unwrap();
        let listed: BTreeMap<&str, &str> =
            sums.lines().map(|line| line.split_once("  ").unwrap()).map(|(sum, name)| (name, sum)).collect();
        let found: BTreeMap<String, String> = Embedded::iter()
            .filter_map(|path| path.strip_prefix("vendor/").map(str::to_owned))
            .filter(|name| name != "SHA256SUMS" && name != "README.md")
            .map(|name| {
                let data = Embedded::get(&format!("vendor/{name}")).unwrap().data;
                (name, HEXLOWER.encode(&Sha256::digest(&data)))
            })
            .collect();
        assert!(found.len() > 6);
        assert_eq!(found.iter().map(|(name, sum)| (name.as_str(), sum.as_str())).collect::<BTreeMap<_, _>>(), listed);
    }

    #[test]
    fn a_served_name_changes_with_the_content() {
        let name = served_as("app.css");
        assert!(name.starts_with("app-") && name.ends_with(".css") && name.len() == "app-.css".len() + 12, "{name}");
    }
}
