//! A product that drives an orchestrator.

mod fault_proxy;
mod process;
mod product;
pub(crate) mod s3;
mod viewer;

use std::{path::Path, time::Duration};

pub(crate) use fault_proxy::FaultProxy;
pub(crate) use process::Process;
pub(crate) use product::{Answer, ORIGIN, Product, USER, kinds_to_the_end};
pub(crate) use s3::S3;
pub(crate) use viewer::Viewer;

/// Long enough for any machine; nothing here waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a statement on the orchestrator's database, and gives the texts it returns.
pub(crate) async fn sql(data: &Path, statement: &str) -> Vec<String> {
    use sqlx::Connection;
    let file = data.join("orchestrator/orchestrator.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(30));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    let rows = sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}
