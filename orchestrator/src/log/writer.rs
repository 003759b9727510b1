//! The one task that writes events. Whatever waits goes into one transaction: commits are what
//! costs, not rows.

use std::{collections::HashMap, sync::Arc};

use sandbox_sdk::types::{DispatchReceipt, Event, TurnState};
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::SessionLog;
use crate::{
    clock::WallClock,
    store::{EndedTurn, NewTurn, Store, StoreError, StoredEvent, TurnRow},
};

/// Appends of one transaction.
const MAX_BATCH: usize = 256;

/// A change of a turn that happens together with its events, or not at all.
#[derive(Clone, Debug)]
pub(crate) enum TurnChange {
    Begin(NewTurn),
    End(EndedTurn),
}

/// What came of an append.
#[derive(Clone, Debug)]
pub(crate) enum Appended {
    /// The first event has this number, the others those after it.
    Written { first: u64 },
    /// The turn to begin is known already, or another one runs in the session. Nothing was written.
    InTheWay(Box<TurnRow>),
    /// Another session of the sandbox has a turn of that id. Nothing was written.
    Elsewhere,
    /// The turn to end has ended before. Nothing was written.
    AlreadyEnded,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the session has been deleted")]
    SessionGone,
    #[error("the event log is closed")]
    Closed,
    #[error("the events could not be written")]
    Store(#[source] Arc<StoreError>),
}

#[derive(Debug)]
pub(super) struct Append {
    session: Arc<SessionLog>,
    events: Vec<Event>,
    change: Option<TurnChange>,
    reply: oneshot::Sender<Result<Appended, LogError>>,
}

/// What one append wrote, to be published once it is committed.
struct Written {
    session: Arc<SessionLog>,
    events: Vec<Arc<StoredEvent>>,
}

pub(super) async fn append(
    writer: &mpsc::Sender<Append>,
    session: &Arc<SessionLog>,
    events: Vec<Event>,
    change: Option<TurnChange>,
) -> Result<Appended, LogError> {
    let (reply, answer) = oneshot::channel();
    let append = Append { session: session.clone(), events, change, reply };
    writer.send(append).await.map_err(|_| LogError::Closed)?;
    answer.await.map_err(|_| LogError::Closed)?
}

pub(super) async fn run(store: Store, wall: WallClock, mut queue: mpsc::Receiver<Append>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let mut replies = Vec::with_capacity(batch.len());
        let result = write(&store, wall.now_ms(), batch.drain(..), &mut replies).await;
        let failure = result.err().map(Arc::new);
        if let Some(error) = &failure {
            tracing::error!(error = error.as_ref() as &dyn std::error::Error, "events not written");
        }
        for (reply, outcome) in replies {
            let outcome = match &failure {
                Some(error) => Err(LogError::Store(error.clone())),
                None => outcome,
            };
            // Whoever asked may have gone; the events stand all the same.
            drop(reply.send(outcome));
        }
    }
}

type Reply = (oneshot::Sender<Result<Appended, LogError>>, Result<Appended, LogError>);

/// Writes a batch in one transaction, commits, then publishes. The replies are sent after it.
async fn write(
    store: &Store,
    at: i64,
    batch: impl Iterator<Item = Append>,
    replies: &mut Vec<Reply>,
) -> Result<(), StoreError> {
    let mut written: Vec<Written> = Vec::new();
    let mut ends: HashMap<i64, u64> = HashMap::new();
    let mut failed = None;
    let mut transaction = match store.begin().await {
        Ok(transaction) => Some(transaction),
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    for append in batch {
        let Append { session, events, change, reply } = append;
        let (Some(connection), Some(key)) = (transaction.as_mut(), session.key()) else {
            replies.push((reply, Err(LogError::SessionGone)));
            continue;
        };
        let end = ends.entry(key).or_insert_with(|| session.head().seq);
        match write_one(connection, key, *end, events, change, at).await {
            Ok((outcome, events)) => {
                *end += events.len() as u64;
                written.push(Written { session, events });
                replies.push((reply, Ok(outcome)));
            }
            Err(error) => {
                replies.push((reply, Err(LogError::SessionGone)));
                failed = Some(error);
                // Dropping it rolls everything back: numbers of this batch were never given.
                transaction = None;
            }
        }
    }
    #[cfg(test)]
    let transaction = transaction.filter(|_| !crate::mutants::Mutant::NoDurability.is_on());
    if let Some(transaction) = transaction {
        transaction.commit().await?;
    }
    if let Some(error) = failed {
        return Err(error);
    }
    for Written { session, events } in written {
        session.publish(&events);
    }
    Ok(())
}

async fn write_one(
    connection: &mut SqliteConnection,
    key: i64,
    end: u64,
    events: Vec<Event>,
    change: Option<TurnChange>,
    at: i64,
) -> Result<(Appended, Vec<Arc<StoredEvent>>), StoreError> {
    let mut rows = Vec::with_capacity(events.len());
    for (seq, event) in (end + 1..).zip(events) {
        let data = serde_json::to_string(&event.data)?.into();
        rows.push(Arc::new(StoredEvent { seq, at, kind: event.kind.into(), data }));
    }
    let last = end + rows.len() as u64;
    if let Some(TurnChange::Begin(turn)) = &change {
        if let Some(row) = Store::turn_in_the_way(connection, key, &turn.id).await? {
            return Ok((Appended::InTheWay(Box::new(row)), Vec::new()));
        }
        if Store::is_turn_elsewhere(connection, key, &turn.id).await? {
            return Ok((Appended::Elsewhere, Vec::new()));
        }
        Store::insert_turn(connection, key, turn, end + 1, at).await?;
    }
    if let Some(TurnChange::End(turn)) = &change {
        let ended = Store::end_turn(connection, key, turn, last, at).await?;
        // Nobody ended a turn that was deleted a moment ago: of that one the product is told as well.
        if let Some(webhook) = &turn.webhook
            && (ended || Store::turn_in_the_way(connection, key, &turn.id).await?.is_none())
        {
            Store::insert_webhook(connection, webhook).await?;
        }
        if !ended {
            return Ok((Appended::AlreadyEnded, Vec::new()));
        }
    }
    Store::insert_events(connection, key, &rows).await?;
    Ok((Appended::Written { first: end + 1 }, rows))
}

impl Appended {
    /// The receipt for a turn that was to begin.
    pub(crate) fn receipt(&self, session_id: &str, turn_id: &str) -> Option<DispatchReceipt> {
        let (already_existed, state, since) = match self {
            Self::Written { first } => (false, TurnState::Running, first - 1),
            Self::InTheWay(row) if row.id == turn_id => (true, row.state(), row.since()),
            Self::InTheWay(_) | Self::Elsewhere | Self::AlreadyEnded => return None,
        };
        Some(DispatchReceipt {
            session_id: session_id.to_owned(),
            turn_id: turn_id.to_owned(),
            already_existed,
            state,
            since,
            processing: !state.is_final(),
            warnings: Vec::new(),
            extra: Default::default(),
        })
    }
}
