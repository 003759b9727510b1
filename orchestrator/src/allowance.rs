//! How often something may be done: so many times at once, and as fast as they come back.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// What is left of it. It is full at first, and never more than full.
#[derive(Debug)]
pub(crate) struct Allowance {
    most: f64,
    left: f64,
    per_second: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(most: u32, per_second: f64, now: Instant) -> Self {
        let most = f64::from(most);
        Self { most, left: most, per_second, at: now }
    }

    /// So many a minute.
    pub(crate) fn per_minute(most: u32, now: Instant) -> Self {
        Self::new(most, f64::from(most) / MINUTE.as_secs_f64(), now)
    }

    /// Takes so many, or none. `Err`: the time after which there will be enough, if there ever are.
    pub(crate) fn take(&mut self, count: u32, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let missing = f64::from(count) - self.left;
        if missing <= 0.0 {
            self.left -= f64::from(count);
            return Ok(());
        }
        let wait = Duration::try_from_secs_f64(missing / self.per_second);
        Err(wait.unwrap_or(MINUTE).min(MINUTE))
    }

    /// Nothing was taken for so long that it might as well be a new one.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left >= self.most
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.left = (self.left + elapsed.as_secs_f64() * self.per_second).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back_with_time_and_not_more_of_it() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut allowance = Allowance::per_minute(2, start);
        assert!(allowance.is_full(start));
        assert_eq!(allowance.take(1, start), Ok(()));
        assert_eq!(allowance.take(1, start), Ok(()));
        assert_eq!(allowance.take(1, start), Err(Duration::from_secs(30)));
        assert_eq!(allowance.take(1, after(31)), Ok(()), "what was refused cost nothing");
        assert!(allowance.take(1, after(31)).is_err() && !allowance.is_full(after(31)));
        // A clock that was read before another one's takes nothing back.
        assert!(allowance.take(1, start).is_err());
        assert!(allowance.is_full(after(3600)));
        assert_eq!(allowance.take(2, after(3600)), Ok(()));
        assert!(allowance.take(1, after(3600)).is_err(), "an hour is worth no more than a minute");
    }

    #[test]
    fn more_than_there_ever_is_is_refused() {
        let now = Instant::now();
        assert!(Allowance::per_minute(2, now).take(3, now).is_err());
        assert_eq!(Allowance::per_minute(0, now).take(1, now), Err(MINUTE));
    }
}
