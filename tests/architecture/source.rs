//! The workspace's files, and Rust text reduced to the names it uses.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the workspace: its path from the root, with `/`, and its text.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

const FOLDERS: [&str; 7] = ["src", "tests", "benches", "protocol", "node", "coordinator", "web"];

/// Every file below the project's folders whose name ends in `extension`, sorted by path.
pub(super) fn files(extension: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in FOLDERS {
        walk(&root.join(folder), &mut found);
    }
    found.retain(|path| path.extension().is_some_and(|end| end == extension));
    found.sort();
    found.iter().map(|path| read(root, path)).collect()
}

fn read(root: &Path, path: &Path) -> Source {
    let relative = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    Source { path: relative, text: fs::read_to_string(path).unwrap() }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => walk(&path, found),
            false => found.push(path),
        }
    }
}

/// The code of a Rust text: comments and the insides of string literals become blanks, lines stay where they are.
pub(super) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, keep) = match quiet_length(rest) {
            Some(length) => (length, false),
            None => (first.len_utf8(), true),
        };
        let (part, after) = rest.split_at(length);
        match keep {
            true => code.push_str(part),
            false => code.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    code
}

/// How many bytes of `rest` are a comment, a string or a character, when it starts with one.
fn quiet_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    if let Some(hashes) = raw_string_hashes(rest) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = 1 + hashes + 1;
        return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
    }
    match rest.as_bytes() {
        [b'"', ..] => Some(quoted_length(rest)),
        [b'\'', b'\\', ..] => Some(rest[2..].find('\'').map_or(rest.len(), |at| at + 3)),
        [b'\'', _, b'\'', ..] => Some(3),
        _ => None,
    }
}

fn raw_string_hashes(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.chars().take_while(|c| *c == '#').count();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn quoted_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    rest.len()
}

/// The lines (from 1) of `code` on which `name` stands as a whole word that starts a path or a `use`.
pub(super) fn lines_naming(code: &str, name: &str) -> Vec<usize> {
    let names = |line: &str| words(line).any(|(before, word, after)| word == name && is_path(before, after));
    code.lines().enumerate().filter(|(_, line)| names(line)).map(|(index, _)| index + 1).collect()
}

fn is_path(before: &str, after: &str) -> bool {
    let starts = !before.trim_end().ends_with("::") || before.trim_end() == "::" || before.ends_with("use ::");
    let used = ["use", "crate"].iter().any(|word| before.trim_end().ends_with(word));
    starts && (after.starts_with("::") || used)
}

/// Each identifier of a line with what stands before and after it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts =
        line.char_indices().filter(move |(at, c)| is_part(*c) && !line[..*at].chars().next_back().is_some_and(is_part));
    starts.map(move |(start, _)| {
        let length = line[start..].find(|c| !is_part(c)).unwrap_or(line.len() - start);
        (&line[..start], &line[start..start + length], &line[start + length..])
    })
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "use a; // libp2p::x\nlet s = \"sled::open \\\" \"; let r = r#\"axum::\"#; /* libp2p::\n */ let c = '\"'; b::c()\n";
    let code = code_of(text);
    assert_eq!(code.lines().count(), text.lines().count());
    for hidden in ["libp2p", "sled", "axum"] {
        assert!(!code.contains(hidden), "{hidden} is still there: {code}");
    }
    assert!(code.contains("use a;") && code.contains("b::c()"));
}

#[test]
fn a_name_counts_only_as_the_start_of_a_path() {
    let code = "use sled;\nuse sled::Db;\nlet x = sled::open();\nlet sled = 1;\nassled::x();\ncrate::sled::x();\n#[derive(sled::D)]\n";
    assert_eq!(lines_naming(code, "sled"), [1, 2, 3, 7]);
}
