//! A wall clock that notices when it is set.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::now_ms;

/// What two clocks that are read one after the other may differ in, in milliseconds.
const TOLERANCE_MS: u64 = 2000;

/// The wall clock, watched: a person, a time server or a machine that wakes up may set it, and then it
/// moves otherwise than the monotonic one. Whoever tells old from young by it has to ask. Cheap to
/// clone; clones know the same.
#[derive(Clone, Debug)]
pub(crate) struct WallClock(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    begun: Instant,
    /// What it would have shown when it was begun, by the last look.
    began_ms: i64,
    set_at: Option<Instant>,
}

impl Default for WallClock {
    fn default() -> Self {
        Self::begun(now_ms(), Instant::now())
    }
}

impl WallClock {
    fn begun(began_ms: i64, begun: Instant) -> Self {
        Self(Arc::new(Mutex::new(Seen { begun, began_ms, set_at: None })))
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        let mut seen = self.seen();
        // One after the other, with no wait between them.
        let now = now_ms();
        seen.look(now, Instant::now());
        now
    }

    /// Whether it was set since the last look at it.
    pub(crate) fn is_set_anew(&self) -> bool {
        self.seen().look(now_ms(), Instant::now())
    }

    /// Whether it was set less than this time ago.
    pub(crate) fn was_set_within(&self, time: Duration) -> bool {
        let (mut seen, now) = (self.seen(), Instant::now());
        seen.look(now_ms(), now);
        seen.was_set_within(time, now)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether it was set since the last look.
    fn look(&mut self, shown_ms: i64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.begun).as_millis();
        let began_ms = shown_ms.saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX));
        let is_set = began_ms.abs_diff(self.began_ms) > TOLERANCE_MS;
        if is_set {
            self.began_ms = began_ms;
            self.set_at = Some(now);
        }
        is_set
    }

    fn was_set_within(&self, time: Duration, now: Instant) -> bool {
        self.set_at.is_some_and(|at| now.saturating_duration_since(at) < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const QUARTER: Duration = Duration::from_secs(900);

    /// What is noticed by looks at these times, each so many seconds after the first, and so many
    /// milliseconds ahead of the right time.
    fn noticed(looks: &[(u64, i64)]) -> Vec<(bool, bool)> {
        let begun = Instant::now();
        let mut seen = Seen { begun, began_ms: HOUR_MS, set_at: None };
        let mut look = |(seconds, ahead): &(u64, i64)| {
            let now = begun + Duration::from_secs(*seconds);
            let shown = HOUR_MS + i64::try_from(seconds * 1000).unwrap() + ahead;
            (seen.look(shown, now), seen.was_set_within(QUARTER, now))
        };
        looks.iter().map(&mut look).collect()
    }

    #[test]
    fn a_clock_that_runs_on_is_not_set() {
        assert_eq!(noticed(&[(0, 0), (60, 900), (86_400, -900)]), [(false, false); 3]);
    }

    #[test]
    fn an_hour_to_and_fro_is_noticed_both_times_and_remembered_for_a_while() {
        let looks = [(10, HOUR_MS), (20, HOUR_MS), (30, 0), (40, -HOUR_MS), (939, -HOUR_MS)];
        let expected = [(true, true), (false, true), (true, true), (true, true), (false, true)];
        assert_eq!(noticed(&looks), expected);
        assert_eq!(noticed(&[(40, -HOUR_MS), (940, -HOUR_MS)])[1], (false, false));
    }

    #[test]
    fn many_small_steps_are_noticed_once_they_make_a_large_one() {
        let steps: Vec<_> = (1..=5).map(|step: i32| (60, i64::from(step) * 700)).collect();
        let noticed: Vec<_> = noticed(&steps).into_iter().map(|(is_set, _)| is_set).collect();
        assert_eq!(noticed, [false, false, true, false, false]);
    }
}
