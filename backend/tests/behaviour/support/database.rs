//! A database for one test.

use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Connection, Executor, Row,
    postgres::{PgConnectOptions, PgConnection},
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use tempfile::TempDir;

const POSTGRES_URL: &str = "SKEIN_TEST_POSTGRES_URL";

/// An empty database that goes with the test.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    folder: Option<TempDir>,
}

impl TestDatabase {
    /// For a test that builds its own world on the database.
    pub(crate) async fn on(database: Self) -> Self {
        database
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self { url, folder: Some(folder) }
    }

    /// A new database on the test server.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = std::env::var(POSTGRES_URL).ok()?;
        let name = format!("skein_{}", uuid::Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let options = PgConnectOptions::from_str(&server).unwrap().database(&name);
        Some(Self { url: sqlx::ConnectOptions::to_url_lossy(&options).to_string(), folder: None })
    }

    /// The number a query gives, past the backend.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.folder.is_some() {
            let row = self.open_sqlite().await.fetch_one(sqlx::query(sql)).await.unwrap();
            row.get(0)
        } else {
            let mut db = PgConnection::connect(&self.url).await.unwrap();
            let row = db.fetch_one(sqlx::query(sql)).await.unwrap();
            row.get(0)
        }
    }

    /// Runs a statement past the backend.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.folder.is_some() {
            self.open_sqlite().await.execute(sql).await.map(drop)
        } else {
            PgConnection::connect(&self.url).await?.execute(sql).await.map(drop)
        }
    }

    async fn open_sqlite(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::from_str(&self.url).unwrap();
        SqliteConnection::connect_with(&options).await.unwrap()
    }
}
