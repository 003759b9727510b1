//! Transactions that write.

use sqlx::{Postgres, Sqlite, query_as_with, query_with};

use super::{Db, Row, Value, failed, on_either, value::bind};
use crate::Error;

/// A transaction that was begun to write. Dropped without a commit, it leaves no trace.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    pub(super) async fn begin(db: &Db) -> Result<Self, sqlx::Error> {
        match db {
            // Taking the write lock at once: a transaction that reads first and then finds the file
            // changed by another writer could only give up.
            Db::Sqlite { write, .. } => {
                Ok(Self::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?))
            }
            Db::Postgres(pool) => Ok(Self::Postgres(pool.begin().await?)),
        }
    }

    /// Runs a statement; answers how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<u64, Error> {
        let done = on_either!(self, Kind; Self::Sqlite(tx), Self::Postgres(tx) => async {
            let query = query_with(sql, bind::<Kind>(args)?);
            query.execute(&mut **tx).await.map(|done| done.rows_affected())
        });
        done.map_err(|source| failed(sql, source))
    }

    /// Reads at most one row.
    pub(crate) async fn optional<T: Row>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<T>, Error> {
        let found = on_either!(self, Kind; Self::Sqlite(tx), Self::Postgres(tx) => async {
            query_as_with(sql, bind::<Kind>(args)?).fetch_optional(&mut **tx).await
        });
        found.map_err(|source| failed(sql, source))
    }

    /// Reads a row that is there.
    pub(crate) async fn one<T: Row>(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<T, Error> {
        let found = on_either!(self, Kind; Self::Sqlite(tx), Self::Postgres(tx) => async {
            query_as_with(sql, bind::<Kind>(args)?).fetch_one(&mut **tx).await
        });
        found.map_err(|source| failed(sql, source))
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        let done = match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        };
        done.map_err(|source| failed("commit a transaction", source))
    }
}
