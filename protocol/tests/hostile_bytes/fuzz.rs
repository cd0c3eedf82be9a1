//! Random and mutated messages into every reader: no panic, and no memory that stays.

use super::mutation::Mutation;
use super::readers::{READERS, files};

const HEADER_BYTES: usize = 106;
const SIGNATURE_BYTES: usize = 64;
const LARGEST_SEED: usize = 8 * 1_024;
/// Messages until the allocator has what it needs.
const WARM_UP: usize = 5_000;
const KIB_PER_MIB: u64 = 1_024;
/// The good invite that those of the corpus are made of: a change may undo what was done to it.
const MADE_OF: &[u8] =
    b"pdrift1aedqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqoaiap4aaaap324sp2adi4xhywaiaaaabp24rrbmq";

/// What may stay, and what may be used for a moment. One value may claim 64 MiB while it is read.
const MAX_GROWTH_MIB: u64 = 48;
const MAX_PEAK_MIB: u64 = 96;

/// How many messages: all of them with `PORTDRIFT_LONG`.
fn messages() -> usize {
    if std::env::var("PORTDRIFT_LONG").is_ok_and(|value| value == "1") { 100_000 } else { 20_000 }
}

/// Resident memory now and at its peak, in MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / KIB_PER_MIB
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[test]
fn no_message_makes_a_reader_panic_or_keep_memory() {
    let mut seeds: Vec<Vec<u8>> = files("golden").into_iter().map(|(_, bytes)| bytes).collect();
    for reader in &READERS {
        seeds.extend(files(&format!("corpus/{}", reader.name)).into_iter().map(|(_, bytes)| bytes));
    }
    seeds.push(MADE_OF.to_vec());
    // What is large or expands costs time and finds nothing that a small seed does not.
    seeds.retain(|seed| seed.len() < LARGEST_SEED);
    let bodies = seeds.iter().filter_map(|seed| seed.get(HEADER_BYTES..seed.len().checked_sub(SIGNATURE_BYTES)?));
    let bodies: Vec<Vec<u8>> = bodies.map(<[u8]>::to_vec).collect();
    seeds.extend(bodies);
    let mut mutation = Mutation::new(4);
    let (mut bodies, mut start) = (0, memory());
    for number in 0..messages() {
        if number == WARM_UP {
            start = memory();
        }
        let bytes = mutation.next(&seeds);
        for reader in READERS.iter().filter(|reader| (reader.read)(&bytes).is_ok()) {
            match reader.name {
                // Changed values may be values.
                "body" | "reply" | "task" | "result" => bodies += 1,
                // Capitals and blanks around it do not matter to an invite.
                "invite" => {
                    assert!(seeds.iter().any(|seed| seed.eq_ignore_ascii_case(bytes.trim_ascii())), "{bytes:02x?}")
                }
                signed => assert!(seeds.contains(&bytes), "a changed {signed} is believed: {bytes:02x?}"),
            }
        }
    }
    let end = memory();
    println!("{} messages, {bodies} values; resident and peak in MiB: {start:?}, then {end:?}", messages());
    assert!(bodies > 0, "the mutations never reach the values inside");
    assert!(end.0 <= start.0 + MAX_GROWTH_MIB, "memory stays: {start:?} MiB, then {end:?}");
    assert!(end.1 <= start.0 + MAX_PEAK_MIB, "too much memory at a time: {start:?} MiB, then {end:?}");
}
