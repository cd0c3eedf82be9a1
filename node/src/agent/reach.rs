//! Whether a way to the coordinator is open, by a connection or through a neighbour. Pure.

/// The way to the coordinator, as it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Reach {
    is_open: bool,
    /// Which start of the coordinator was last heard.
    boot: u64,
}

impl Reach {
    /// A beacon of this start of the coordinator was heard; one of a later start closes the way: what the earlier one
    /// was told is to be told again.
    pub(super) fn heard(&mut self, boot: u64) {
        self.is_open &= boot <= self.boot;
        self.boot = self.boot.max(boot);
    }

    /// True when a way opens.
    pub(super) fn opens(&mut self, is_open: bool) -> bool {
        !std::mem::replace(&mut self.is_open, is_open) && is_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_opens_once_until_it_is_lost_or_the_coordinator_starts_anew() {
        let mut reach = Reach::default();
        assert_eq!(
            [false, true, true, false, true].map(|is_open| reach.opens(is_open)),
            [false, true, false, false, true]
        );
        reach.heard(4);
        assert!(reach.opens(true), "the first beacon tells which start it is");
        reach.heard(4);
        assert!(!reach.opens(true));
        reach.heard(5);
        assert!(reach.opens(true));
        reach.heard(4);
        assert!(!reach.opens(true), "late gossip of the earlier start");
    }
}
