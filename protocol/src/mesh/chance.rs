//! Chance, where it keeps members from doing the same at the same time.

/// Draws among members to dial.
pub(super) fn lot() -> u64 {
    // Without randomness it is always the same members, which is no harm either.
    getrandom::u64().unwrap_or_default()
}

/// Keeps members that lost the same neighbour from coming back all at once.
pub(super) fn jitter() -> u8 {
    let mut byte = [128];
    // Without randomness every wait has its middle length, which is no harm.
    let _ = getrandom::fill(&mut byte);
    let [jitter] = byte;
    jitter
}
