//! What a member has counted since it started, to be shown and tested.

/// What became of letters of others. Those for this member itself are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Passed on to a neighbour.
    pub forwarded: u64,
    /// Refused: more than one neighbour may hand over, or more than this member holds at a time.
    pub busy: u64,
    /// Refused or lost: neither their reader nor anyone on the way to it is connected.
    pub no_way: u64,
    /// Refused: they came by a second time while they were on their way.
    pub circled: u64,
    /// Refused: they had been passed on too often.
    pub too_many_hops: u64,
    /// Given up: the neighbour they were passed on to did not answer in time.
    pub late: u64,
}
