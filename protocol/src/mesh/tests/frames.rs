//! The mesh's own frames against kept, random and mutated bytes.

use super::kit;
use crate::codec;
use crate::envelope::Envelope;
use crate::identity::NodeId;
use crate::letter::{Letter, Sealed};
use crate::mesh::sync::words::{CardsAnswer, CardsRequest, NewsAnswer, NewsRequest, SyncAnswer, SyncRequest};
use crate::mesh::ways::BeaconId;
use crate::mesh::wire::{Carried, Dialect, EnrolDialect, LetterDialect, SyncDialect, Way};
use crate::task::{RunId, TaskId};
use data_encoding::HEXLOWER;
use mutation::Mutation;
use std::path::{Path, PathBuf};

#[path = "../../../tests/hostile_bytes/mutation.rs"]
mod mutation;

/// True when the bytes are a request or an answer of this protocol.
fn is_read<D: Dialect>(bytes: &[u8]) -> bool {
    let request = codec::decode::<D::Request>(bytes, D::REQUEST_BYTES).is_ok();
    let answer = codec::decode::<D::Response>(bytes, D::RESPONSE_BYTES).is_ok();
    request || answer
}

fn kept(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        (path, HEXLOWER.decode(digits.as_bytes()).unwrap())
    };
    paths.map(read).collect()
}

#[test]
fn no_kept_frame_is_read() {
    let (sync, carried, enrol) = (kept("sync"), kept("carried"), kept("enrol"));
    assert!(sync.len() > 10 && carried.len() > 5 && enrol.len() > 3);
    for (path, bytes) in sync {
        assert!(!is_read::<SyncDialect>(&bytes), "{}", path.display());
    }
    for (path, bytes) in carried {
        assert!(!is_read::<LetterDialect>(&bytes), "{}", path.display());
    }
    for (path, bytes) in enrol {
        assert!(!is_read::<EnrolDialect>(&bytes), "{}", path.display());
    }
}

/// A question, a question for cards, their answers, and a letter up and down.
pub(super) fn genuine() -> [Vec<u8>; 6] {
    let news = NewsRequest {
        epoch: 3,
        hash: [7; 32],
        beacon: Some((5, 6)),
        holder: Some(NodeId::from_bytes([9; 32])),
        have: vec![(TaskId { run: RunId(300), index: 2 }, 4)],
        cancelled: vec![RunId(301)],
        hears: true,
        cards: 8,
    };
    let answer = NewsAnswer {
        epoch: 4,
        roster: Some(kit::roster(4, &[(1, crate::roster::Role::Coordinator)])),
        head: None,
        beacon: Some(Envelope::from_bytes(vec![1, 2])),
        announcements: vec![kit::announcement(1, 1, 1, 2).1],
        cancels: vec![Envelope::from_bytes(vec![4])],
        more: true,
        cards: vec![1, 2],
    };
    let letter = Letter { to: kit::id(2), sealed: Sealed::from_bytes(vec![7; 60]) };
    let up = Way::Up { from: kit::id(3), beacon: BeaconId { boot: 6, counter: 300 }, claim: [8; 64] };
    [
        codec::encode(&SyncRequest::News(news)),
        codec::encode(&SyncRequest::Cards(CardsRequest { shares: vec![1, 31], list: Vec::new() })),
        codec::encode(&SyncAnswer::News(answer)),
        codec::encode(&SyncAnswer::Cards(CardsAnswer { cards: Vec::new(), more: true })),
        codec::encode(&Carried { letter: letter.clone(), way: up, hops: 2 }),
        codec::encode(&Carried { letter, way: Way::Down, hops: 15 }),
    ]
}

#[test]
fn mutated_frames_are_read_or_refused_without_panic() {
    let seeds = genuine();
    assert!(seeds.iter().all(|seed| is_read::<SyncDialect>(seed) || is_read::<LetterDialect>(seed)));
    let rounds = if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { 100_000 } else { 20_000 };
    let mut mutation = Mutation::new(7);
    let mut read = 0;
    for _ in 0..rounds {
        let bytes = mutation.next(&seeds);
        let outcomes =
            [is_read::<SyncDialect>(&bytes), is_read::<LetterDialect>(&bytes), is_read::<EnrolDialect>(&bytes)];
        read += usize::from(outcomes.contains(&true));
    }
    assert!(read > 0 && read < rounds, "{read} of {rounds} are frames");
}
