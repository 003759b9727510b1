//! When a webhook that was not taken is sent again.

use std::time::Duration;

/// Pauses after the first tries. After them each is twice the one before.
const FIRST: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// No pause is longer, whatever the receiver asks for.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);
/// After that time nobody waits for a webhook any more, in milliseconds.
const KEPT_MS: i64 = 24 * 3600 * 1000;

/// The pause after a try, when so many before it came to nothing. `asked`: the receiver wants at
/// least as long; `thousandths`: chance, below 1000, that takes off a quarter at most, so that what
/// failed together does not come again together.
pub(super) fn pause(before: u32, asked: Option<Duration>, thousandths: u32) -> Duration {
    let [first @ .., last] = FIRST;
    let pause = match first.get(before as usize) {
        Some(pause) => *pause,
        None => last.saturating_mul(2_u32.saturating_pow(before - first.len() as u32)),
    };
    let pause = pause.min(LONGEST);
    let pause = pause.saturating_sub(pause / 4000 * thousandths);
    pause.max(asked.unwrap_or_default()).min(LONGEST)
}

/// Whether this try was the one after the last of the short pauses: something is wrong.
pub(super) fn is_late(before: u32) -> bool {
    before as usize == FIRST.len()
}

/// Those that were made before it are given up.
pub(super) fn oldest(now: i64) -> i64 {
    now - KEPT_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_grow_from_half_a_second_to_a_quarter_of_an_hour() {
        let millis: Vec<_> = (0..11).map(|before| pause(before, None, 0).as_millis()).collect();
        let expected = [
            500, 2000, 10_000, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000, 900_000,
        ];
        assert_eq!(millis, expected);
        assert_eq!(pause(u32::MAX, None, 0), LONGEST);
        assert_eq!((0..9).filter(|before| is_late(*before)).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_any() {
        let asked = |seconds| pause(0, Some(Duration::from_secs(seconds)), 0);
        assert_eq!(asked(0), Duration::from_millis(500));
        assert_eq!(asked(7), Duration::from_secs(7));
        assert_eq!(asked(u64::MAX), LONGEST);
    }

    proptest! {
        #[test]
        fn chance_takes_off_a_quarter_at_most(before in any::<u32>(), chance in 0_u32..1000) {
            let (whole, less) = (pause(before, None, 0), pause(before, None, chance));
            prop_assert!(less <= whole && less >= whole * 3 / 4);
        }
    }
}
