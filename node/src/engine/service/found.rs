//! What a parser read out of foreign bytes, kept short.

/// The most characters of one field.
const MAX_CHARS: usize = 80;

/// An identified service; fields that were not told are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// As nmap names it.
    pub(super) name: &'static str,
    pub(super) product: String,
    pub(super) version: String,
    pub(super) extra: String,
    pub(super) tls: bool,
    /// The answer is an error or a way elsewhere: a port that wants TLS says such things to whoever comes without.
    pub(super) may_want_tls: bool,
}

impl Found {
    pub(super) fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    pub(super) fn product(mut self, product: &str) -> Self {
        self.product = short(product);
        self
    }

    pub(super) fn version(mut self, version: &str) -> Self {
        self.version = short(version);
        self
    }

    pub(super) fn extra(mut self, extra: &str) -> Self {
        self.extra = short(extra);
        self
    }
}

fn short(text: &str) -> String {
    text.trim().chars().take(MAX_CHARS).collect()
}

/// The first line of `bytes` as text, without its end; `None` until the line is complete.
pub(super) fn first_line(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes.get(..end)?;
    Some(String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
}

/// The version-like word right after `marker` in `text`: `3.0.3` in `(vsFTPd 3.0.3)` after `vsFTPd `.
pub(super) fn word_after(text: &str, marker: &str) -> Option<String> {
    let at = text.find(marker)?.checked_add(marker.len())?;
    let word: String = text
        .get(at..)?
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'))
        .collect();
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.trim_end_matches('.').to_owned())
}
