//! One unprivileged uid for each live sandbox, so that sandboxes are strangers to each other also
//! where namespaces do not reach: file owners, per-user limits, signals.

mod claims;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::DriverError;
use claims::{Claim, Claims};

/// Above what distributions give to people, system services and subordinate ids by default.
pub(super) const DEFAULT_POOL: Range<u32> = 400_000..400_512;
/// Taken instead where the default is not mapped, as in a container with 65 536 ids.
const NARROW_POOL: Range<u32> = 64_000..64_512;

#[derive(Clone, Debug)]
pub(super) struct UidPool {
    range: Range<u32>,
    taken: Arc<Mutex<BTreeMap<u32, Claim>>>,
    /// What other orchestrators have.
    claims: Claims,
}

/// A uid that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    uid: u32,
    pool: UidPool,
}

impl UidPool {
    /// `uid_map` is the text of `/proc/self/uid_map`.
    pub(super) fn choose(wanted: Range<u32>, uid_map: &str) -> Result<Self, DriverError> {
        Self::beside(Claims::common, wanted, uid_map)
    }

    fn beside(
        claims: impl FnOnce() -> Claims,
        wanted: Range<u32>,
        uid_map: &str,
    ) -> Result<Self, DriverError> {
        if wanted.is_empty() || wanted.contains(&0) {
            return Err(DriverError::UidPool(
                "running as root needs a pool of unprivileged uids for the sandboxes, and the one \
                 given is empty or holds uid 0. Give another, or run as an ordinary user."
                    .into(),
            ));
        }
        let candidates = [wanted.clone(), NARROW_POOL];
        let allowed = if wanted == DEFAULT_POOL { &candidates[..] } else { &candidates[..1] };
        match allowed.iter().find(|range| is_mapped(uid_map, range)) {
            Some(range) => {
                Ok(Self { range: range.clone(), taken: Arc::default(), claims: claims() })
            }
            None => Err(DriverError::UidPool(format!(
                "the uids {}–{} for sandboxes do not exist in this container. Give it a larger \
                 range of subordinate uids, or run as an ordinary user.",
                wanted.start,
                wanted.end - 1
            ))),
        }
    }

    /// Takes a free uid, `preferred` when it is one: files that belong to it need no new owner.
    pub(super) fn take(&self, preferred: Option<u32>) -> Result<Lease, DriverError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let preferred = preferred.filter(|uid| self.range.contains(uid));
        for uid in preferred.into_iter().chain(self.range.clone()) {
            if taken.contains_key(&uid) {
                continue;
            }
            let claim = self.claims.take(uid);
            let claim =
                claim.map_err(DriverError::io(format!("the uid {uid} cannot be locked")))?;
            if let Some(claim) = claim {
                taken.insert(uid, claim);
                return Ok(Lease { uid, pool: self.clone() });
            }
        }
        Err(DriverError::NoFreeUid(self.range.len()))
    }
}

impl Lease {
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uid);
    }
}

fn is_mapped(uid_map: &str, range: &Range<u32>) -> bool {
    uid_map.lines().any(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
        let (Some(inside), Some(_), Some(length)) = (fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        inside <= u64::from(range.start) && u64::from(range.end) <= inside + length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "         0          0 4294967295\n";
    const CONTAINER: &str = "0 1000 1\n1 100000 65536\n";

    fn choose(wanted: Range<u32>, uid_map: &str) -> Result<UidPool, DriverError> {
        UidPool::beside(Claims::default, wanted, uid_map)
    }

    #[test]
    fn a_lease_is_exclusive_until_dropped() {
        let pool = choose(500..502, HOST).unwrap();
        let first = pool.take(Some(501)).unwrap();
        assert_eq!(first.uid(), 501);
        let second = pool.take(Some(501)).unwrap();
        assert_eq!(second.uid(), 500);
        assert!(pool.take(None).is_err());
        drop(first);
        assert_eq!(pool.take(None).unwrap().uid(), 501);
    }

    #[test]
    fn what_another_orchestrator_has_given_away_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let claims = || Claims::within(&folder.path().join("uids")).unwrap();
        let pool = || UidPool::beside(claims, 500..502, HOST).unwrap();
        let (one, other) = (pool(), pool());
        let first = one.take(None).unwrap();
        let second = other.take(Some(500)).unwrap();
        assert_eq!((first.uid(), second.uid()), (500, 501));
        assert!(one.take(None).is_err() && other.take(None).is_err());
        drop(first);
        assert_eq!(other.take(None).unwrap().uid(), 500);
    }

    #[test]
    fn there_may_be_no_common_folder_and_none_is_taken_that_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Claims::within(&folder.path().join("missing/uids")).is_err());
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink("/", &elsewhere).unwrap();
        assert!(Claims::within(&elsewhere).is_err());
    }

    #[test]
    fn a_preferred_uid_outside_of_the_pool_is_not_taken() {
        let pool = choose(500..502, HOST).unwrap();
        assert_eq!(pool.take(Some(0)).unwrap().uid(), 500);
    }

    #[test]
    fn the_default_pool_moves_into_a_narrow_container_but_a_chosen_one_does_not() {
        assert_eq!(choose(DEFAULT_POOL, CONTAINER).unwrap().range, NARROW_POOL);
        assert!(choose(300_000..300_010, CONTAINER).is_err());
    }

    #[test]
    fn a_pool_never_holds_root() {
        assert!(choose(0..10, HOST).is_err());
        assert!(choose(10..10, HOST).is_err());
    }
}
