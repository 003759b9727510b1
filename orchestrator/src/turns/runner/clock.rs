//! How long a turn may still take. While its agent waits for a person, the clock stands.

use std::time::Duration;

use tokio::time::Instant;

/// Longest time of a turn that a clock may stand, all in all: a sandbox says that its agent waits, and
/// a sandbox may say anything.
const MOST_WAITING: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Clock {
    deadline: Instant,
    standing: Option<Instant>,
    /// How long it may still stand.
    allowance: Duration,
}

impl Clock {
    pub(super) fn new(now: Instant, duration: Duration) -> Self {
        Self { deadline: now + duration, standing: None, allowance: MOST_WAITING }
    }

    /// When the time will be up, as things stand.
    pub(super) fn due(&self) -> Instant {
        self.deadline + self.standing.map_or(Duration::ZERO, |_| self.allowance)
    }

    /// Stops the clock, or lets it go on.
    pub(super) fn stand(&mut self, now: Instant, stands: bool) {
        match (self.standing, stands) {
            (None, true) => self.standing = Some(now),
            (Some(since), false) => {
                let stood = now.saturating_duration_since(since).min(self.allowance);
                self.deadline += stood;
                self.allowance -= stood;
                self.standing = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn time_in_which_a_person_is_waited_for_does_not_count() {
        let start = Instant::now();
        let mut clock = Clock::new(start, 15 * MINUTE);
        assert_eq!(clock.due(), start + 15 * MINUTE);
        for asked in [MINUTE, 30 * MINUTE] {
            clock.stand(start + asked, true);
            clock.stand(start + asked + 5 * MINUTE, true);
            assert!(clock.due() > start + asked + 15 * MINUTE);
            clock.stand(start + asked + 9 * MINUTE, false);
            clock.stand(start + asked + 9 * MINUTE, false);
        }
        assert_eq!(clock.due(), start + 33 * MINUTE);
    }

    #[test]
    fn no_clock_stands_for_ever() {
        let start = Instant::now();
        let mut clock = Clock::new(start, MINUTE);
        clock.stand(start, true);
        assert_eq!(clock.due(), start + MINUTE + MOST_WAITING);
        clock.stand(start + 3 * MOST_WAITING, false);
        clock.stand(start + 3 * MOST_WAITING, true);
        assert_eq!(clock.due(), start + MINUTE + MOST_WAITING);
    }
}
