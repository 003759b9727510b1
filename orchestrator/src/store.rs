//! The orchestrator's own database: one SQLite file with sandboxes, sessions, turns and events.
//!
//! One connection writes, a few read. Every write that must not be torn is one transaction.

mod epoch;
mod events;
mod executions;
mod ports;
mod retention;
mod runs;
mod sandboxes;
mod scrub;
mod secrets;
mod sessions;
mod snapshots;
mod turns;
mod webhooks;

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use futures::FutureExt;
use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub(crate) use events::StoredEvent;
pub(crate) use executions::SaidRow;
pub(crate) use ports::{ExposedPort, MAX_PORTS};
pub(crate) use retention::{Bounds, Cutting, StoredLog};
pub(crate) use sandboxes::{SandboxRow, StoredSandbox};
pub(crate) use secrets::SecretRow;
pub(crate) use sessions::SessionRow;
pub(crate) use snapshots::SnapshotRow;
pub(crate) use turns::{EndedTurn, NewTurn, TurnRow, Used, token_usage};
pub(crate) use webhooks::{NewWebhook, WebhookRow};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// Readers at once. More would only wait for the same disk.
const READERS: u32 = 4;
/// Rows a reader may hold before they are taken: a page of large events must not fill the memory.
const ROWS_AHEAD: usize = 16;

/// What SQLite says when the disk takes no more: `FULL`, and that a write, a truncation, a flush or the
/// growth of a shared file failed.
const DISK_CODES: [i32; 5] = [13, 778, 1546, 1034, 4874];

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    read: SqlitePool,
    write: SqlitePool,
}

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    #[error("the database could not be brought to this version")]
    Migration(#[source] MigrateError),
    #[error("a value could not be written as JSON, or read from it")]
    Json(#[source] serde_json::Error),
}

impl StoreError {
    /// Whether the disk is full, or takes no more for another reason. Nothing was written; later it may
    /// be.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        let error = match self {
            Self::Database(error) => error,
            Self::Migration(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => error,
            _ => return false,
        };
        let sqlx::Error::Database(error) = error else { return false };
        let code = error.code().and_then(|code| code.parse::<i32>().ok());
        code.is_some_and(|code| DISK_CODES.contains(&code))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// Opens the file, makes it if it is missing, and brings its tables to this version.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        // NORMAL: a commit reaches the operating system, not always the disk. A killed process
        // loses nothing by it; a machine without power may, and then the epoch changes.
        create_private(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .row_buffer_size(ROWS_AHEAD)
            // What is deleted is overwritten, where that costs no more writes.
            .pragma("secure_delete", "FAST")
            // Statements hold what people wrote.
            .disable_statement_logging();
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            // On a full disk SQLite ends a transaction by itself. The connection still believes in it, and
            // would begin no other: then another connection takes its place.
            .before_acquire(|connection, _| {
                std::future::ready(Ok(!connection.is_in_transaction())).boxed()
            })
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&write).await.map_err(StoreError::Migration)?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.create_if_missing(false))
            .await?;
        Ok(Self { read, write })
    }

    /// Closes all connections; the last one moves the write-ahead log into the file.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Begins a transaction that may write. Others wait for its end.
    pub(crate) async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }
}

/// Makes a missing file for its owner alone, whatever folder it is in. SQLite gives the files beside
/// it the same mode.
fn create_private(file: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Unsigned numbers of ours are far below 2^63; one from outside that is not compares as the largest.
fn sql_int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lifetime_of_a_sandbox_of_an_older_version_counts_from_its_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let older = SqlitePool::connect_with(options).await.unwrap();
        // As it was before lifetimes counted from the first start.
        MIGRATIONS.run_to(3, &older).await.unwrap();
        let insert = "INSERT INTO sandboxes (id, request, status, created_at, started_at,
                          last_activity_at) VALUES ('a', '{}', 'stopped', 1, 2, 3)";
        sqlx::query(insert).execute(&older).await.unwrap();
        older.close().await;
        let store = Store::open(&path).await.unwrap();
        let row = store.sandboxes().await.unwrap().remove(0).row;
        assert_eq!((row.started_at, row.first_started_at, row.expired_at), (Some(2), None, None));
    }
}
