//! The event log: one append-only sequence of events per agent session.
//!
//! Numbers are given once, at append, by the one writer task. An event is committed first and
//! published then: what a viewer has seen is on disk. Viewers hold nothing but a position in the
//! log; they read the newest events from memory they share and older ones from the database, so that
//! a slow viewer costs no more than a fast one.

mod cursor;
mod retention;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::AtomicU64},
    time::Instant,
};

use sandbox_sdk::types::Event;
use tokio::{sync::mpsc, task::JoinHandle};

pub(crate) use cursor::{Cursor, Page};
pub(crate) use retention::Retention;
pub(crate) use session::{Head, Life, SessionLog};
pub(crate) use writer::{Appended, LogError, TurnChange};

use crate::{
    clock::WallClock,
    metrics::LogFigures,
    store::{SessionRow, Store, StoreError},
};
use writer::Append;

/// Appends that may wait for the writer. Agents wait when it is full.
const QUEUE: usize = 256;

/// All logs of an orchestrator. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct EventLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    epoch: String,
    retention: Retention,
    /// Dates what is appended, and so says what is young.
    wall: WallClock,
    writer: mpsc::Sender<Append>,
    /// Logs in use. A log that nobody holds is forgotten and read anew when it is wanted again.
    sessions: Mutex<HashMap<String, Weak<SessionLog>>>,
    reads: Reads,
    figures: LogFigures,
}

/// Whose events the viewers of a session see.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Its own.
    Own,
    /// Those of the session that it is mapped to, which runs in the same sandbox.
    Runtime(Arc<SessionLog>),
    /// It is mapped to a session that is gone, or that now runs elsewhere.
    Nothing,
}

/// Pages that viewers read, by where they came from.
#[derive(Debug, Default)]
struct Reads {
    memory: AtomicU64,
    store: AtomicU64,
}

impl EventLog {
    /// Starts the writer. It ends when the last clone of the log is gone.
    pub(crate) async fn open(
        store: Store,
        retention: Retention,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let epoch = store.open_epoch().await?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let wall = WallClock::default();
        let writer = tokio::spawn(writer::run(store.clone(), wall.clone(), receiver));
        let inner = Inner {
            store,
            epoch,
            retention,
            wall,
            writer: sender,
            sessions: Mutex::default(),
            reads: Reads::default(),
            figures: LogFigures::default(),
        };
        Ok((Self(Arc::new(inner)), writer))
    }

    /// Names the life of the logs: within one epoch a number means one event for ever.
    pub(crate) fn epoch(&self) -> &str {
        &self.0.epoch
    }

    /// What is kept of each log.
    pub(crate) fn retention(&self) -> Retention {
        self.0.retention
    }

    /// The log of a session, known or not: a viewer may come before the session does.
    pub(crate) async fn session(&self, id: &str) -> Result<Arc<SessionLog>, StoreError> {
        let log = self.entry(id);
        log.load(&self.0.store).await?;
        Ok(log)
    }

    /// The log of a session that stands in the database now.
    pub(crate) async fn known_session(
        &self,
        row: &SessionRow,
    ) -> Result<Arc<SessionLog>, StoreError> {
        let log = self.session(&row.id).await?;
        if log.set_known(row.key, row.user_id.as_deref()) {
            return Ok(log);
        }
        // Its numbers and its events are not those of the new session.
        self.retire(&log);
        let log = self.session(&row.id).await?;
        log.set_known(row.key, row.user_id.as_deref());
        Ok(log)
    }

    /// The log of an agent session that runs in one of the sandboxes now.
    pub(crate) async fn session_of(
        &self,
        id: &str,
        sandboxes: &[String],
    ) -> Result<Option<Arc<SessionLog>>, StoreError> {
        // Those of the sandboxes themselves begin like this.
        let row = if id.starts_with('@') { None } else { self.0.store.session(id).await? };
        let Some(row) = row.filter(|row| sandboxes.contains(&row.sandbox_id)) else {
            return Ok(None);
        };
        let log = self.known_session(&row).await?;
        // It may have been made again elsewhere meanwhile.
        Ok((log.key() == Some(row.key)).then_some(log))
    }

    /// Whose events the viewers of a session see now. One step: where the other one is mapped to does
    /// not matter.
    pub(crate) async fn shown(&self, id: &str) -> Result<Shown, StoreError> {
        let Some((sandbox, runtime)) = self.0.store.runtime_session(id).await? else {
            return Ok(Shown::Own);
        };
        let log = self.session_of(&runtime, &[sandbox]).await?;
        Ok(log.map_or(Shown::Nothing, Shown::Runtime))
    }

    /// Ids of a sandbox's agent sessions, the newest first.
    pub(crate) async fn newest_sessions(
        &self,
        sandbox: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.0.store.newest_sessions(sandbox, most).await
    }

    /// Tells the viewers of a deleted session that there is nothing more to come.
    pub(crate) fn forget(&self, id: &str) {
        let log = self.sessions().remove(id).and_then(|log| log.upgrade());
        if let Some(log) = log {
            log.set_deleted();
        }
    }

    /// As `forget`, but never a log that has taken the place of this one.
    fn retire(&self, log: &Arc<SessionLog>) {
        let mut sessions = self.sessions();
        let current = sessions.get(log.id()).and_then(Weak::upgrade);
        if current.is_some_and(|current| Arc::ptr_eq(&current, log)) {
            sessions.remove(log.id());
        }
        drop(sessions);
        log.set_deleted();
    }

    /// Appends events to a session's log. When it returns they are on disk and published.
    pub(crate) async fn append(
        &self,
        session: &Arc<SessionLog>,
        events: Vec<Event>,
        change: Option<TurnChange>,
    ) -> Result<Appended, LogError> {
        let (began, count) = (Instant::now(), events.len());
        let ended = match &change {
            Some(TurnChange::End(turn)) => Some((turn.state, turn.used.requests.clone())),
            _ => None,
        };
        let appended = writer::append(&self.0.writer, session, events, change).await?;
        if matches!(appended, Appended::Written { .. }) {
            self.0.figures.appended(count, began.elapsed());
            if let Some((state, requests)) = ended {
                self.0.figures.turn_ended(state, &requests);
            }
        }
        Ok(appended)
    }

    /// A reader that begins after the event with the given number.
    pub(crate) fn cursor(&self, session: Arc<SessionLog>, after: u64) -> Cursor {
        Cursor::new(self.clone(), session, after)
    }

    /// Pages read from memory and from the database since the start.
    pub(crate) fn pages_read(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        (self.0.reads.memory.load(Relaxed), self.0.reads.store.load(Relaxed))
    }

    /// What was appended since the start.
    pub(crate) fn figures(&self) -> &LogFigures {
        &self.0.figures
    }

    fn entry(&self, id: &str) -> Arc<SessionLog> {
        let mut sessions = self.sessions();
        if let Some(log) = sessions.get(id).and_then(Weak::upgrade) {
            return log;
        }
        // Room is made before the map grows, so that it never holds more dead entries than live.
        if sessions.len() == sessions.capacity() {
            sessions.retain(|_, log| log.strong_count() > 0);
        }
        let log = Arc::new(SessionLog::new(id));
        sessions.insert(id.to_owned(), Arc::downgrade(&log));
        log
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Weak<SessionLog>>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
