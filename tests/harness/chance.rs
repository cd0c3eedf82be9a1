//! Choices that look random and can be made again: all of a story's come from one seed.

/// A row of choices (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Seeded with `PORTDRIFT_SEED`, else anew at each run. The seed is printed: a failure can be looked at again with it.
    pub(crate) fn of(story: &str) -> Self {
        let given = std::env::var("PORTDRIFT_SEED").ok();
        let seed = given.map_or_else(|| getrandom::u64().unwrap(), |seed| seed.parse().unwrap());
        #[expect(clippy::print_stdout, reason = "shown when the story fails")]
        {
            println!("{story}: PORTDRIFT_SEED={seed}");
        }
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// One of `all`.
    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// `all` in another order.
    pub(crate) fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        for end in (2..=all.len()).rev() {
            all.swap(end - 1, self.below(end));
        }
        all
    }
}
