//! Randomness from a seed: xoshiro256**, written out so that a seed means the same run in every release.

/// A stream of random numbers. The same seed gives the same stream for ever.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: [u64; 4],
}

impl Random {
    /// Seeds all state words by splitmix64, so that neighbouring seeds share nothing.
    pub(super) fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        });
        Self { state }
    }

    pub(super) fn word(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= t;
        *s3 = s3.rotate_left(45);
        result
    }

    /// Below `bound`; zero for a bound of zero. The bias of the widening product is far below what a run could see.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// Between the two, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True `per_mille` times in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    pub(super) fn bytes(&mut self) -> [u8; 16] {
        let word = (u128::from(self.word()) << 64) | u128::from(self.word());
        word.to_be_bytes()
    }

    /// A latency: mostly between the two, now and then many times longer.
    pub(super) fn latency(&mut self, low: u64, high: u64) -> u64 {
        let usual = self.between(low, high);
        if self.chance(30) { usual * self.between(2, 20) } else { usual }
    }
}
