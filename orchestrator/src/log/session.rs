//! One session's log: where it ends, and its newest events.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OnceCell, watch};

use crate::store::{Bounds, Store, StoreError, StoredEvent};

/// Newest events that stay in memory, in bytes: enough for every viewer that keeps up.
const RECENT_BYTES: usize = 256 * 1024;

/// What viewers wait on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Number of the last published event, 0 before the first.
    pub(crate) seq: u64,
    /// Number of the last event that was cut off the beginning, 0 while the log is whole.
    pub(crate) cut: u64,
    /// How often its viewers had to look again whose events they are shown.
    pub(crate) moves: u64,
    pub(crate) life: Life,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nobody has registered the session yet.
    Unknown,
    /// `user`: whose it is, once a mapping has said so.
    Known {
        key: i64,
        user: Option<Box<str>>,
    },
    Deleted,
}

#[derive(Debug)]
pub(crate) struct SessionLog {
    id: Box<str>,
    loaded: OnceCell<()>,
    head: watch::Sender<Head>,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Without gaps; the last one is the last published.
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
}

impl SessionLog {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            loaded: OnceCell::new(),
            head: watch::Sender::new(Head { seq: 0, cut: 0, moves: 0, life: Life::Unknown }),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Row key of the session, once it stands in the database and as long as it does.
    pub(crate) fn key(&self) -> Option<i64> {
        match self.head.borrow().life {
            Life::Known { key, .. } => Some(key),
            Life::Unknown | Life::Deleted => None,
        }
    }

    /// Reads from the database where the log begins and ends, once.
    pub(super) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let load = async || {
            if let Some(row) = store.session(&self.id).await? {
                let Bounds { cut, last } = store.bounds(row.key).await?;
                self.head.send_modify(|head| (head.cut, head.seq) = (cut, last));
                self.set_known(row.key, row.user_id.as_deref());
            }
            Ok(())
        };
        self.loaded.get_or_try_init(load).await.copied()
    }

    /// `false`: the session has been deleted and made again since, and this is the log of the first.
    pub(super) fn set_known(&self, key: i64, user: Option<&str>) -> bool {
        let mut is_this = true;
        self.head.send_if_modified(|head| {
            let user = match &head.life {
                // A deleted log stays deleted: its viewers are on their way out.
                Life::Deleted => return false,
                Life::Known { key: known, .. } if *known != key => {
                    // Keys only grow; a lower one was read before the session was made again.
                    is_this = key < *known;
                    return false;
                }
                // The row may have been read before a mapping was written.
                Life::Known { user: Some(known), .. } if user.is_none() => Some(known.clone()),
                Life::Known { .. } | Life::Unknown => user.map(Into::into),
            };
            let life = Life::Known { key, user };
            let changes = head.life != life;
            head.life = life;
            changes
        });
        is_this
    }

    pub(super) fn set_deleted(&self) {
        self.head.send_modify(|head| head.life = Life::Deleted);
    }

    /// Tells viewers that the session is mapped to another one than before.
    pub(crate) fn set_moved(&self) {
        self.head.send_modify(|head| head.moves += 1);
    }

    /// Makes committed events visible. Only the writer calls it, in the order of the log.
    pub(super) fn publish(&self, events: &[Arc<StoredEvent>]) {
        let Some(last) = events.last() else { return };
        let mut recent = self.recent();
        for event in events {
            recent.bytes += event.size();
            recent.events.push_back(event.clone());
        }
        while recent.bytes > RECENT_BYTES
            && recent.events.len() > 1
            && let Some(oldest) = recent.events.pop_front()
        {
            recent.bytes -= oldest.size();
        }
        drop(recent);
        self.head.send_modify(|head| head.seq = last.seq);
    }

    /// The events up to this number are gone, for every reader from now on.
    pub(super) fn set_cut(&self, cut: u64) {
        let mut recent = self.recent();
        while recent.events.front().is_some_and(|event| event.seq <= cut)
            && let Some(oldest) = recent.events.pop_front()
        {
            recent.bytes -= oldest.size();
        }
        drop(recent);
        self.head.send_modify(|head| head.cut = head.cut.max(cut));
    }

    /// Events after the given number, as many as the bytes allow but at least one; `None`: they are
    /// not in memory (any more).
    pub(super) fn recent_after(
        &self,
        after: u64,
        max_bytes: usize,
    ) -> Option<Vec<Arc<StoredEvent>>> {
        let recent = self.recent();
        let first = recent.events.front()?.seq;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for event in recent.events.iter().skip(skip) {
            if bytes >= max_bytes {
                break;
            }
            bytes += event.size();
            page.push(event.clone());
        }
        Some(page)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
