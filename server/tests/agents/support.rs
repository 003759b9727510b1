//! The product, somebody who uses it, and what one looks at from outside.

mod agent;
mod bill;
mod books;
mod process;
mod product;
mod session;

use std::time::Duration;

pub(crate) use agent::{Agent, HOLD};
pub(crate) use bill::{Bill, cost};
pub(crate) use books::assert_books_balance;
pub(crate) use process::{Process, processes_below, there};
pub(crate) use product::{Keys, Product};
pub(crate) use session::Session;

/// Longer than any turn here may take on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
