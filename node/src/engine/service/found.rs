//! What a service said, and what a parser read out of it, kept short.

use std::borrow::Cow;

/// The most characters of one field.
const MAX_CHARS: usize = 80;

/// The most characters of a fingerprint.
const MAX_FINGERPRINT: usize = 60;

/// An identified service; fields that were not told are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// As nmap names it.
    pub(super) name: &'static str,
    pub(super) product: String,
    pub(super) version: String,
    pub(super) extra: String,
    pub(super) tls: bool,
    /// It was told in HTTP.
    pub(super) from_http: bool,
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

impl Found {
    /// True for HTTP without TLS around it, which a port may speak that wants TLS.
    pub(super) fn is_http(&self) -> bool {
        self.from_http && !self.tls
    }
}

fn short(text: &str) -> String {
    text.trim().chars().take(MAX_CHARS).collect()
}

/// The bytes of one answer so far. They were written by a stranger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether no more will come: the other side has ended, or the time is up.
    pub(super) is_over: bool,
}

impl<'a> Said<'a> {
    /// As text; what is no UTF-8 is replaced.
    pub(super) fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// The first line without its end; `None` until it is complete.
    pub(super) fn line(&self) -> Option<String> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n');
        let end = end.or((self.is_over && !self.bytes.is_empty()).then_some(self.bytes.len()))?;
        Some(String::from_utf8_lossy(self.bytes.get(..end)?).trim_end_matches('\r').to_owned())
    }

    /// The bytes from `at` on.
    pub(super) fn from(&self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }
}

/// A number of two bytes at `at`, the higher first.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let (pair, _) = bytes.get(at..)?.split_first_chunk::<2>()?;
    Some(usize::from(u16::from_be_bytes(*pair)))
}

/// What stands behind `marker`.
pub(super) fn behind<'a>(bytes: &'a [u8], marker: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(marker.len().max(1)).position(|window| window == marker)?;
    bytes.get(at.checked_add(marker.len())?..)
}

/// The version-like word right after `marker` in `text`: `3.0.3` in `(vsFTPd 3.0.3)` after `vsFTPd `.
pub(super) fn word_after(text: &str, marker: &str) -> Option<String> {
    let at = text.find(marker)?.checked_add(marker.len())?;
    let word: String = text
        .get(at..)?
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '~'))
        .collect();
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.trim_end_matches('.').to_owned())
}

/// What remains of an unknown answer: the shape of its first line, which stays the same while numbers in it change.
/// Each run of digits stands there as `0`, each run of other bytes than text as `.`.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
    let mut shape = String::new();
    for byte in line {
        let shown = match byte {
            b'0'..=b'9' => '0',
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        if !(matches!(shown, '0' | '.') && shape.ends_with(shown)) {
            shape.push(shown);
        }
        if shape.len() >= MAX_FINGERPRINT {
            break;
        }
    }
    shape
}
