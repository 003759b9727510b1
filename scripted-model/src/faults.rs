//! Counting faults that happen a few times only.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often each kind has struck, by place. A place is a key, a format, the user's words so far, and the
/// stage of the turn: what stays the same when a client tries again.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<HashMap<u64, [u32; 3]>>);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Fail,
    Cut,
    Malformed,
}

/// What happens to one request.
#[derive(Debug)]
pub(crate) struct Fate<'a> {
    faults: &'a Faults,
    place: u64,
    struck: bool,
}

impl<'a> Fate<'a> {
    pub(crate) fn new(faults: &'a Faults, place: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        Self { faults, place: hasher.finish(), struck: false }
    }

    /// Whether a fault that happens so many times (always, if none) happens now.
    pub(crate) fn strikes(&mut self, kind: Kind, times: Option<u32>) -> bool {
        let strikes = match times {
            None => true,
            Some(times) => {
                let mut counts = self.faults.lock();
                let count = &mut counts.entry(self.place).or_default()[kind as usize];
                let strikes = *count < times;
                *count += u32::from(strikes);
                strikes
            }
        };
        self.struck |= strikes;
        strikes
    }

    /// Nothing more can happen. If nothing did, the next client with the same words meets the same
    /// faults again.
    pub(crate) fn settle(self) {
        if !self.struck {
            self.faults.lock().remove(&self.place);
        }
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, [u32; 3]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_so_many_times_and_then_anew() {
        let faults = Faults::default();
        let strikes = |place: &str| {
            let mut fate = Fate::new(&faults, place);
            let struck = fate.strikes(Kind::Fail, Some(2));
            fate.settle();
            struck
        };
        let one = [strikes("a"), strikes("b"), strikes("a"), strikes("a"), strikes("a")];
        assert_eq!(one, [true, true, true, false, true]);
    }
}
