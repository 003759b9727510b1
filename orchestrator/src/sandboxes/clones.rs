//! When a repository that could not be cloned is asked for again: its host does not hear of every
//! request that wants the sandbox.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::SandboxError;

/// Pause after the first failure; each is twice as long as the one before.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures of one sandbox since this process began.
#[derive(Debug, Default)]
pub(super) struct Clones(Mutex<Option<Failure>>);

#[derive(Debug)]
struct Failure {
    why: String,
    pause: Duration,
    at: Instant,
}

impl Clones {
    /// Why it is too early to try again, if it is.
    pub(super) fn too_early(&self) -> Option<SandboxError> {
        self.last().as_ref().and_then(|last| last.error_at(Instant::now()))
    }

    /// Begins a pause, if it was the clone itself that failed.
    pub(super) fn failed(&self, error: SandboxError) -> SandboxError {
        let SandboxError::Start(why) = error else { return error };
        let mut last = self.last();
        let pause = last.as_ref().map_or(FIRST, |last| (last.pause * 2).min(LONGEST));
        *last = Some(Failure { why: why.clone(), pause, at: Instant::now() });
        SandboxError::NotCloned { why, wait: pause }
    }

    fn last(&self) -> MutexGuard<'_, Option<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn error_at(&self, now: Instant) -> Option<SandboxError> {
        let wait = self.pause.saturating_sub(now.saturating_duration_since(self.at));
        (!wait.is_zero()).then(|| SandboxError::NotCloned { why: self.why.clone(), wait })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(error: SandboxError) -> Duration {
        match error {
            SandboxError::NotCloned { wait, .. } => wait,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn pauses_grow_to_the_longest_and_end() {
        let clones = Clones::default();
        assert!(clones.too_early().is_none());
        let mut waits = Vec::new();
        for _ in 0..10 {
            waits.push(wait(clones.failed(SandboxError::Start("no".to_owned()))).as_secs());
            assert!(wait(clones.too_early().unwrap()) <= LONGEST);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        let last = clones.last();
        let last = last.as_ref().unwrap();
        assert!(last.error_at(last.at + LONGEST).is_none());
        assert_eq!(wait(last.error_at(last.at + LONGEST / 2).unwrap()), LONGEST / 2);
    }

    #[test]
    fn what_is_no_failure_of_the_clone_begins_no_pause() {
        let clones = Clones::default();
        assert!(matches!(clones.failed(SandboxError::CalledOff), SandboxError::CalledOff));
        assert!(clones.too_early().is_none());
    }
}
