//! Kept spool files, replayed, each with the verdict that is expected: whole, cut, flipped, doubled and foreign ones.
//!
//! `tests/corpus/spool/*.txt` hold them, made by another program than this one: a line that says what it is, one with the
//! verdict, and one with the bytes. All lie in the spool under one name. To keep a finding, add a file.

use super::{ResultKey, Spool, SpoolLimits, TaskId};
use protocol::message::TaskResult;
use protocol::task::RunId;
use std::path::{Path, PathBuf};

const KEY: ResultKey = ResultKey { task: TaskId { run: RunId(7), index: 1 }, fence: 2 };

/// A kept file: its name, what is expected of it, and its bytes.
struct Kept {
    name: String,
    verdict: String,
    bytes: Vec<u8>,
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn kept() -> Vec<Kept> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/spool");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let [_, verdict, digits] = text.split('\n').take(3).collect::<Vec<_>>().try_into().unwrap();
        let (name, verdict) = (path.file_stem().unwrap().to_string_lossy(), verdict.strip_prefix("= ").unwrap());
        Kept { name: name.into_owned(), verdict: verdict.to_owned(), bytes: bytes(digits) }
    };
    paths.into_iter().map(read).collect()
}

#[tokio::test]
async fn every_kept_spool_file_is_judged_as_it_was_and_a_bad_one_holds_up_nothing() {
    let all = kept();
    assert!(all.len() > 15, "only {} files were replayed", all.len());
    for Kept { name, verdict, bytes } in all {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("7.1.2.result"), &bytes).unwrap();
        let (spool, aside) = Spool::open(folder.path(), SpoolLimits::default()).unwrap();
        let told = aside.first().map_or("whole", |file| file.reason.as_str());
        assert_eq!(told, verdict, "{name}");
        let is_whole = verdict == "whole";
        assert_eq!((spool.keys(), aside.len()), (vec![KEY; usize::from(is_whole)], usize::from(!is_whole)), "{name}");
        assert_eq!(folder.path().join("7.1.2.result.bad").exists(), !is_whole, "{name}");
        if is_whole && spool.size_bytes(KEY) > Some(0) {
            let piece = spool.chunk(KEY, 0).await.unwrap();
            assert_eq!(TaskResult::unpack(&piece).is_ok(), name == "intact", "{name}: what is inside");
        }
        spool.store(super::result(3, 1)).await.unwrap();
        assert!(spool.keys().len() > usize::from(is_whole), "{name}");
    }
}
