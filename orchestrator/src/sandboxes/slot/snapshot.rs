//! A sandbox at one moment, for those who look at it.

use std::sync::{Arc, atomic::Ordering};

use sandbox_sdk::types::{CreateSandbox, SandboxStatus};

use super::{Slot, Unreadable};
use crate::{sandboxes::request, store::SandboxRow};

/// A sandbox at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) row: SandboxRow,
    pub(crate) request: Arc<CreateSandbox>,
    unreadable: Option<Unreadable>,
    uses_image: bool,
    without: Arc<[String]>,
}

impl Snapshot {
    pub(crate) fn status(&self) -> SandboxStatus {
        match (self.row.status.as_str(), self.row.expired_at) {
            ("deleted", _) | (_, None) => SandboxStatus::from(self.row.status.as_str()),
            (_, Some(_)) => SandboxStatus::Expired,
        }
    }

    /// When its time is up, if it has started and was given one. Milliseconds since the Unix epoch.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let seconds = i64::try_from(self.request.max_lifetime_seconds?).unwrap_or(i64::MAX);
        Some(self.row.first_started_at?.saturating_add(seconds.saturating_mul(1000)))
    }

    /// What it is not, of what was asked for once more: it was made otherwise, or changed since.
    /// `id`: the one that was asked for, if any; the idempotency key may be another sandbox's.
    pub(crate) fn differs_from(&self, id: Option<&str>, asked: &CreateSandbox) -> Option<String> {
        if self.unreadable.is_some() {
            return None;
        }
        let mut fields = request::differences(&self.request, asked);
        if id.is_some_and(|id| id != self.row.id) {
            fields.insert(0, "projectRef".to_owned());
        }
        let words = "the sandbox was there already and stays as it is. Not as asked for now:";
        (!fields.is_empty()).then(|| format!("{words} {}", fields.join(", ")))
    }

    /// What was asked for and makes no difference.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = request::warnings(&self.request, self.uses_image);
        if let Some(why) = self.unreadable {
            warnings.push(format!(
                "what the sandbox was made with can't be read: {why}. It runs with the defaults, \
                 and without its environment."
            ));
        }
        warnings.extend(self.without.iter().map(|name| {
            format!(
                "the secret {name} is not in the environment: it is gone, it can't be opened, or \
                 there was no room for it when the sandbox was started"
            )
        }));
        warnings
    }
}

impl Slot {
    pub(in crate::sandboxes) fn snapshot(&self) -> Snapshot {
        let mut row = self.row().clone();
        // A start is an activity, also one after which nothing could be written down.
        let last_activity = self.last_activity.load(Ordering::Relaxed);
        row.last_activity_at = last_activity.max(row.started_at.unwrap_or(last_activity));
        if self.is_condemned() {
            row.status = "deleted".to_owned();
        }
        let without = self.lock_running().as_ref().map(|running| running.without.clone());
        let without = without.unwrap_or_default();
        Snapshot {
            row,
            request: self.request(),
            unreadable: self.unreadable,
            uses_image: self.uses_image,
            without,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::the_box;

    #[test]
    fn a_sandbox_was_last_active_when_it_was_started_or_later() {
        let active = |started_at: Option<i64>, last_activity_at: i64| {
            let row = SandboxRow { started_at, last_activity_at, ..the_box() };
            let slot = Slot::new(row, CreateSandbox::default(), None, false);
            slot.snapshot().row.last_activity_at
        };
        assert_eq!(active(Some(200), 100), 200, "the process was killed before it wrote more down");
        assert_eq!(active(Some(200), 300), 300);
        assert_eq!(active(None, 100), 100);
    }

    #[test]
    fn another_id_than_the_one_that_stands_is_named() {
        let slot = Slot::new(the_box(), CreateSandbox::default(), None, false);
        let (standing, asked) = (slot.snapshot(), CreateSandbox::default());
        let id = standing.row.id.clone();
        assert_eq!(standing.differs_from(None, &asked), None);
        assert_eq!(standing.differs_from(Some(&id), &asked), None);
        let told = standing.differs_from(Some("other"), &asked).unwrap();
        assert!(told.ends_with(": projectRef"), "{told}");
    }
}
