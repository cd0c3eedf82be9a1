//! Kept bytes, replayed: each was made to break a reader, or once did. `corpus/READER/*.hex` hold them.
//!
//! To keep a finding, add a file with a line that says what it is and a line of hexadecimal digits.

use super::readers::{READERS, files};

/// Folders whose bytes are frames of the mesh; they are replayed inside the crate.
const FRAMES: [&str; 3] = ["sync", "carried", "enrol"];

#[test]
fn no_kept_bytes_are_believed_and_none_make_a_reader_panic() {
    let mut kept = 0;
    for reader in &READERS {
        for (name, bytes) in files(&format!("corpus/{}", reader.name)) {
            let outcome = (reader.read)(&bytes);
            assert!(outcome.is_err(), "{}/{name} is believed", reader.name);
            READERS.iter().for_each(|other| drop((other.read)(&bytes)));
            kept += 1;
        }
    }
    assert!(kept > 50, "only {kept} files were replayed");
    for (_, bytes) in FRAMES.into_iter().flat_map(|folder| files(&format!("corpus/{folder}"))) {
        READERS.iter().for_each(|reader| drop((reader.read)(&bytes)));
    }
}

#[test]
fn the_readers_believe_what_is_genuine() {
    // A seal made of nothing does not open, and a decision alone is no message.
    let is_whole = |name: &str| name != "Letter" && !name.starts_with("Enrolment-");
    let refused: Vec<String> = files("golden")
        .into_iter()
        .filter(|(name, bytes)| is_whole(name) && !READERS.iter().any(|reader| (reader.read)(bytes).is_ok()))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(refused, Vec::<String>::new());
}
