//! The database: SQLite or Postgres behind one small set of calls.
//!
//! Queries are written once, in the SQL that both accept. Every write is part of a [`Transaction`]
//! that holds the write lock from its first statement on SQLite, and that locks the rows it reads in
//! a fixed order (account, chat, turn, sandbox) on Postgres.

mod transaction;
mod value;

use std::{
    fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, str::FromStr, time::Duration,
};

use sqlx::{
    Executor, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    query_as_with, query_with,
    sqlite::{
        SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

pub(crate) use transaction::Transaction;
use value::bind;
pub(crate) use value::{Row, Value, args};

use crate::Error;

/// A call that finds no free connection for so long fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 8;
const POSTGRES_CONNECTIONS: u32 = 16;
const LEDGER_GUARD: &str = "SELECT 1 FROM pg_trigger
    WHERE tgrelid = 'ledger'::regclass AND tgname = 'ledger_no_change'";

/// A database that is open and migrated.
#[derive(Clone, Debug)]
pub(crate) enum Db {
    /// SQLite allows one writer: its pool has one connection, on which writers queue fairly instead
    /// of racing for the file lock.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// Runs the same call on whichever database there is; `$db` names its sqlx type in the call.
macro_rules! on_either {
    ($value:expr, $db:ident; $sqlite:pat, $postgres:pat => $call:expr) => {
        match $value {
            $sqlite => {
                type $db = sqlx::Sqlite;
                $call.await
            }
            $postgres => {
                type $db = sqlx::Postgres;
                $call.await
            }
        }
    };
}
pub(crate) use on_either;

impl Db {
    /// Opens the database (a missing SQLite file is made) and brings its tables up to date.
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let db = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Self::open_sqlite(url).await,
            Some("postgres" | "postgresql") => Self::open_postgres(url).await,
            _ => {
                let message = "The database address must begin with sqlite: or postgres:.";
                return Err(Error::invalid("database_url", message));
            }
        };
        let db = db.map_err(|source| Error::internal("open the database", source))?;
        db.migrate().await?;
        Ok(db)
    }

    async fn open_sqlite(url: &str) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        create_private(options.get_filename())?;
        let pool = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        let write = pool.clone().max_connections(1).connect_with(options.clone()).await?;
        let read = pool.max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { write, read })
    }

    async fn open_postgres(url: &str) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_connections(POSTGRES_CONNECTIONS)
            .connect_with(PgConnectOptions::from_str(url)?)
            .await?;
        Ok(Self::Postgres(pool))
    }

    async fn migrate(&self) -> Result<(), Error> {
        let migrator = sqlx::migrate!("../migrations");
        let migrated = match self {
            Self::Sqlite { write, .. } => migrator.run(write).await,
            Self::Postgres(pool) => migrator.run(pool).await,
        };
        migrated.map_err(|source| Error::internal("migrate the database", source))?;
        self.guard_ledger().await.map_err(|source| Error::internal("guard the ledger", source))
    }

    /// Triggers are the one thing that the two databases have no common words for.
    async fn guard_ledger(&self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { write, .. } => {
                write.execute(include_str!("../../migrations/sqlite/append_only.sql")).await?;
            }
            Self::Postgres(pool) => {
                // Several servers may start at once; the lock ends with the transaction.
                let mut tx = pool.begin().await?;
                tx.execute("SELECT pg_advisory_xact_lock(7309453)").await?;
                // Making it again would wait for every transaction that has the ledger in hand.
                if tx.fetch_optional(LEDGER_GUARD).await?.is_none() {
                    tx.execute(include_str!("../../migrations/postgres/append_only.sql")).await?;
                }
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        Transaction::begin(self).await.map_err(|source| failed("begin a transaction", source))
    }

    /// Runs one statement that writes, on its own. Answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, args: Vec<Value>) -> Result<u64, Error> {
        let done = on_either!(self, Kind; Self::Sqlite { write: pool, .. }, Self::Postgres(pool) => async {
            let query = query_with(sql, bind::<Kind>(args)?);
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        done.map_err(|source| failed(sql, source))
    }

    /// Reads at most one row.
    pub(crate) async fn optional<T: Row>(
        &self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<T>, Error> {
        let found = on_either!(self, Kind; Self::Sqlite { read: pool, .. }, Self::Postgres(pool) => async {
            query_as_with(sql, bind::<Kind>(args)?).fetch_optional(pool).await
        });
        found.map_err(|source| failed(sql, source))
    }

    /// Reads all rows.
    pub(crate) async fn all<T: Row>(
        &self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let found = on_either!(self, Kind; Self::Sqlite { read: pool, .. }, Self::Postgres(pool) => async {
            query_as_with(sql, bind::<Kind>(args)?).fetch_all(pool).await
        });
        found.map_err(|source| failed(sql, source))
    }

    /// Closes all connections; running queries end first.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Makes a missing file for its owner alone, whatever folder it is in. SQLite gives the files beside
/// it the same mode.
fn create_private(file: &Path) -> io::Result<()> {
    // A database in memory, or one that SQLite itself is to find by an address.
    if file.to_string_lossy().starts_with("file:") {
        return Ok(());
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A failure that may be over in a moment is told as such, and logged here. In both cases the
/// statement says what failed; its values stay out of the log.
fn failed(doing: &'static str, source: sqlx::Error) -> Error {
    let doing = doing.split_whitespace().collect::<Vec<_>>().join(" ");
    if !may_pass(&source) {
        return Error::internal(doing, source);
    }
    tracing::error!(error = &source as &dyn std::error::Error, doing, "the database is away");
    Error::unavailable("The database does not answer. Try again in a moment.")
}

/// Whether the database is away, overloaded or restarting, or gave up one of two transactions that
/// stood in each other's way.
fn may_pass(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let sqlx::Error::Database(error) = error else {
        return matches!(
            error,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_)
        );
    };
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<SqliteError>().is_some() {
        // The lowest byte is the code, those above say more about it.
        return code.parse::<u32>().is_ok_and(|code| code & 0xff == SQLITE_BUSY);
    }
    code.starts_with("57P0") || matches!(&*code, "53300" | "40001" | "40P01")
}
