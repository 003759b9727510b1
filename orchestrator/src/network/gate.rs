//! What stands open from one sandbox to the network, and what may.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::policy::{Policy, Target};

/// One sandbox's. What it permits can be changed at any time.
#[derive(Debug)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    policy: Arc<Policy>,
    live: BTreeMap<u64, Live>,
    next: u64,
}

#[derive(Debug)]
struct Live {
    target: Target,
    address: IpAddr,
    cut: CancellationToken,
}

/// One connection that stands. It is not counted any more once this is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    number: u64,
    /// Cancelled when the connection has to end.
    pub(super) cut: CancellationToken,
}

impl Gate {
    pub(super) fn new(policy: Policy) -> Self {
        Self(Mutex::new(State { policy: Arc::new(policy), ..State::default() }))
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        self.lock().policy.clone()
    }

    /// Holds for new connections at once; those that it does not permit are cut.
    pub(super) fn set(&self, policy: Policy) {
        let mut state = self.lock();
        state.policy = Arc::new(policy);
        for live in state.live.values() {
            if !state.policy.permits(&live.target, live.address) {
                live.cut.cancel();
            }
        }
    }

    /// Lets a connection through, unless it has just been forbidden.
    pub(super) fn admit(self: &Arc<Self>, target: &Target, address: IpAddr) -> Option<Pass> {
        let mut state = self.lock();
        if !state.policy.permits(target, address) {
            return None;
        }
        let (number, cut) = (state.next, CancellationToken::new());
        state.next += 1;
        state.live.insert(number, Live { target: target.clone(), address, cut: cut.clone() });
        Some(Pass { gate: self.clone(), number, cut })
    }

    /// Cuts all there is.
    pub(super) fn close(&self) {
        self.set(Policy::None);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.lock().live.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Entry;

    #[test]
    fn a_change_cuts_what_it_forbids_and_leaves_the_rest() {
        let list = |names: &[&str]| {
            Policy::List(names.iter().map(|name| Entry::parse(name).unwrap()).collect())
        };
        let gate = Arc::new(Gate::new(list(&["a.example", "b.example"])));
        let admit = |name: &str| {
            let target = Target::parse(name, Some(443)).unwrap();
            gate.admit(&target, "1.1.1.1".parse().unwrap())
        };
        let (a, b) = (admit("a.example").unwrap(), admit("b.example").unwrap());
        assert!(admit("c.example").is_none());
        gate.set(list(&["b.example"]));
        assert!(a.cut.is_cancelled() && !b.cut.is_cancelled());
        assert!(admit("a.example").is_none());
        drop(a);
        assert_eq!(gate.lock().live.len(), 1);
        gate.close();
        assert!(b.cut.is_cancelled() && admit("b.example").is_none());
    }
}
