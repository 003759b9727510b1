//! Rows of the event log.

use std::sync::Arc;

use futures::TryStreamExt;
use sandbox_sdk::types::Event;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{Result, Store, sql_int, unsigned};

/// Rows of one INSERT: SQLite takes 32 766 parameters, and a few lengths keep statements cached.
const ROWS_PER_INSERT: usize = 64;

/// An event as it stands in the log; `data` is JSON, written once and sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    pub(crate) seq: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) at: i64,
    pub(crate) kind: Box<str>,
    pub(crate) data: Box<str>,
}

impl StoredEvent {
    /// Bytes it takes in memory and, nearly, on the wire.
    pub(crate) fn size(&self) -> usize {
        self.kind.len() + self.data.len() + 64
    }

    pub(crate) fn decode(&self) -> Result<Event> {
        Ok(Event { kind: self.kind.to_string(), data: serde_json::from_str(&self.data)? })
    }
}

type Row = (i64, i64, String, String);

fn from_row((seq, at, kind, data): Row) -> StoredEvent {
    StoredEvent { seq: unsigned(seq), at, kind: kind.into(), data: data.into() }
}

impl Store {
    /// Events with `after < seq <= until`, in order: as many as `max_bytes` hold, but at least one.
    pub(crate) async fn events(
        &self,
        session: i64,
        after: u64,
        until: u64,
        max_bytes: usize,
    ) -> Result<Vec<Arc<StoredEvent>>> {
        let mut rows = sqlx::query_as::<_, Row>(
            "SELECT seq, at, kind, data FROM events
             WHERE session = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq",
        )
        .bind(session)
        .bind(sql_int(after))
        .bind(sql_int(until))
        .fetch(&self.read);
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes
            && let Some(row) = rows.try_next().await?
        {
            let event = from_row(row);
            bytes += event.size();
            page.push(Arc::new(event));
        }
        Ok(page)
    }

    pub(crate) async fn insert_events(
        connection: &mut SqliteConnection,
        session: i64,
        events: &[Arc<StoredEvent>],
    ) -> Result<()> {
        for chunk in events.chunks(ROWS_PER_INSERT) {
            let mut insert =
                QueryBuilder::<Sqlite>::new("INSERT INTO events (session, seq, at, kind, data) ");
            insert.push_values(chunk, |mut row, event| {
                row.push_bind(session)
                    .push_bind(sql_int(event.seq))
                    .push_bind(event.at)
                    .push_bind(event.kind.as_ref())
                    .push_bind(event.data.as_ref());
            });
            // Only full chunks are worth a cached statement; the rest would crowd the cache.
            let cached = chunk.len() == 1 || chunk.len() == ROWS_PER_INSERT;
            insert.build().persistent(cached).execute(&mut *connection).await?;
        }
        Ok(())
    }
}
