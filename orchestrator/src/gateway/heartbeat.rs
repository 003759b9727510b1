//! Whether the viewer is still there: it is asked, and has to answer.

use std::time::Duration;

use tokio::time::Instant;

/// The questions to one viewer, and its last word.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    heard: Instant,
    due: Instant,
    /// Its silence was put down to a late ping once since it was heard.
    is_excused: bool,
}

impl Heartbeat {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, heard: now, due: now + interval, is_excused: false }
    }

    /// When the next ping is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The viewer said something.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.is_excused = false;
    }

    /// A ping is due. `true`: it is to be sent; `false`: the viewer is gone.
    ///
    /// It has had half an interval and more to answer the last one: a viewer that went right after an
    /// answer is found out two intervals later. A ping that comes late tells of this process, which
    /// was stopped itself or did something else: nobody could answer what was not asked. That excuses a
    /// viewer once: the next ping finds it out, however late it comes.
    pub(super) fn beat(&mut self, now: Instant) -> bool {
        let half = self.interval / 2;
        if now.saturating_duration_since(self.heard) > self.interval + half {
            let is_late = now.saturating_duration_since(self.due) > half;
            if !is_late || self.is_excused {
                return false;
            }
            self.is_excused = true;
        }
        self.due = now + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_answers_stays_and_who_does_not_is_found_out_at_the_second_question() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(30 * SECOND, start);
        assert_eq!(heartbeat.due(), start + 30 * SECOND);
        for round in 1..5_u32 {
            let asked = start + 30 * round * SECOND;
            assert!(heartbeat.beat(asked));
            heartbeat.hear(asked + SECOND);
        }
        assert!(heartbeat.beat(start + 150 * SECOND));
        assert!(!heartbeat.beat(start + 180 * SECOND));
    }

    #[test]
    fn nobody_has_to_answer_while_this_process_is_stopped() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(30 * SECOND, start);
        assert!(heartbeat.beat(start + 30 * SECOND));
        heartbeat.hear(start + 30 * SECOND);
        // Stopped for an hour, in which the viewer had nothing to answer.
        let awake = start + 3630 * SECOND;
        assert!(heartbeat.beat(awake));
        assert_eq!(heartbeat.due(), awake + 30 * SECOND);
        assert!(!heartbeat.beat(awake + 30 * SECOND), "now it was asked, and is not there");
    }

    #[test]
    fn a_process_that_is_always_late_finds_out_who_is_gone_and_keeps_who_answers() {
        let start = Instant::now();
        // Every ping comes a minute after it is due.
        let late = |round: u32| start + 90 * round * SECOND;
        let mut gone = Heartbeat::new(30 * SECOND, start);
        assert!(gone.beat(late(1)));
        assert!(!gone.beat(late(2)));
        let mut there = Heartbeat::new(30 * SECOND, start);
        for round in 1..5 {
            assert!(there.beat(late(round)));
            there.hear(late(round) + SECOND);
        }
    }
}
