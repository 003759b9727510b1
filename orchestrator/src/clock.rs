//! Wall-clock time as the protocol writes it: milliseconds since the Unix epoch, and ISO 8601.

mod wall;

use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(test)]
pub(crate) use set::TestClock;
#[cfg(test)]
use set::set_by_ms;
pub(crate) use wall::WallClock;

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(set_by_ms())
}

#[cfg(not(test))]
const fn set_by_ms() -> i64 {
    0
}

/// A clock that tests can set. Each thread has its own, so that no test sets another's.
#[cfg(test)]
mod set {
    use std::cell::Cell;

    thread_local! {
        static BY_MS: Cell<i64> = const { Cell::new(0) };
    }

    /// This thread's wall clock; it is right again when this is dropped.
    pub(crate) struct TestClock;

    impl TestClock {
        /// From now on it is so many milliseconds ahead of the right time.
        pub(crate) fn set_by(&self, ms: i64) {
            BY_MS.set(ms);
        }
    }

    impl Drop for TestClock {
        fn drop(&mut self) {
            BY_MS.set(0);
        }
    }

    pub(super) fn set_by_ms() -> i64 {
        BY_MS.get()
    }
}

const DAY_MS: i64 = 86_400_000;

/// Midnight, in UTC, of the day that a time is in.
pub(crate) fn start_of_day(ms: i64) -> i64 {
    ms - ms.rem_euclid(DAY_MS)
}

/// Tells what is done once a day when to do it.
#[derive(Debug, Default)]
pub(crate) struct Daily(Option<i64>);

impl Daily {
    /// Whether nobody has asked before on this day, in UTC.
    pub(crate) fn is_due(&mut self, now: i64) -> bool {
        let day = start_of_day(now);
        self.0.replace(day) != Some(day)
    }
}

/// When the month that a time is in began, and when the next one does, in UTC.
pub(crate) fn month(ms: i64) -> (i64, i64) {
    let start_of = |ms: i64| {
        let days = ms.div_euclid(DAY_MS);
        let (_, _, day) = civil(days);
        (days + 1 - day) * DAY_MS
    };
    let start = start_of(ms);
    // No month is longer, and none so short that this would be in the one after the next.
    (start, start_of(start + 31 * DAY_MS))
}

/// `2026-01-31T08:09:10.123Z`.
pub(crate) fn iso(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Date of a day counted from 1970-01-01. Years begin in March, so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    // Days between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let era = days.div_euclid(DAYS_IN_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_IN_400_YEARS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, Daily, iso, month, start_of_day};

    #[test]
    fn dates_are_written_in_iso_8601() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_827_696_007), "2000-02-29T12:34:56.007Z");
        assert_eq!(iso(1_772_323_199_999), "2026-02-28T23:59:59.999Z");
        assert_eq!(iso(1_772_323_200_000), "2026-03-01T00:00:00.000Z");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_done_daily_is_done_at_first_and_then_once_a_day() {
        let mut daily = Daily::default();
        let asked = [5, DAY_MS - 1, DAY_MS, DAY_MS + 1, 4 * DAY_MS, 4 * DAY_MS + 9];
        let due = asked.map(|now| daily.is_due(now));
        assert_eq!(due, [true, false, true, false, true, false]);
    }

    #[test]
    fn a_time_is_in_its_day_and_in_its_month() {
        for (time, day, start, next) in [
            // 2000-02-29, a leap day, and the last millisecond of 2026-12-31.
            (951_827_696_007, 951_782_400_000, 949_363_200_000, 951_868_800_000),
            (1_798_761_599_999, 1_798_675_200_000, 1_796_083_200_000, 1_798_761_600_000),
            (0, 0, 0, 2_678_400_000),
        ] {
            assert_eq!(start_of_day(time), day);
            assert_eq!(month(time), (start, next), "{}", iso(time));
            assert_eq!(month(start), (start, next));
        }
    }
}
