//! Pauses between attempts: they grow, up to a cap, and are shaken so that many clients that failed
//! together do not come back together.

/// A random number generator for jitter; nothing secret may come from it.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    #[cfg(any(test, feature = "gateway"))]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Differs from one client to the next.
    #[cfg(all(feature = "client", not(target_arch = "wasm32")))]
    pub(crate) fn seeded() -> Self {
        Self(Self::random_seed())
    }

    /// Differs from one client to the next.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn random_seed() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0_u8)
    }

    /// Differs from one client to the next.
    #[cfg(all(target_arch = "wasm32", feature = "gateway"))]
    pub(crate) fn random_seed() -> u64 {
        js_sys::Math::random().to_bits()
    }

    /// Evenly from 0 up to, not including, 1 (SplitMix64).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How pauses grow. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first_ms: f64,
    pub(crate) factor: f64,
    pub(crate) cap_ms: f64,
    /// Part of the pause by which it may be shorter or longer.
    pub(crate) jitter: f64,
}

impl Backoff {
    /// The pause before the attempt after `failed` failed ones, in milliseconds.
    pub(crate) fn pause(&self, failed: u32, jitter: &mut Jitter) -> u64 {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let pause = (self.first_ms * self.factor.powi(exponent)).min(self.cap_ms);
        let shake = 1.0 + self.jitter * (2.0 * jitter.next() - 1.0);
        (pause * shake) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Backoff =
        Backoff { first_ms: 1000.0, factor: 1.5, cap_ms: 30_000.0, jitter: 0.2 };

    #[test]
    fn pauses_grow_by_the_factor_up_to_the_cap() {
        let steady = Backoff { jitter: 0.0, ..GATEWAY };
        let pauses = [1, 2, 3, 4, 9, 10, 1000].map(|n| steady.pause(n, &mut Jitter::new(1)));
        assert_eq!(pauses, [1000, 1500, 2250, 3375, 25_628, 30_000, 30_000]);
    }

    #[test]
    fn jitter_stays_within_a_fifth_and_uses_both_sides() {
        let mut jitter = Jitter::new(7);
        let pauses: Vec<u64> = (0..1000).map(|_| GATEWAY.pause(1, &mut jitter)).collect();
        assert!(pauses.iter().all(|pause| (800..=1200).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 900) && pauses.iter().any(|p| *p > 1100));
    }
}
