//! A product that drives an orchestrator.

mod fault_proxy;
mod process;
mod product;
mod viewer;

use std::time::Duration;

pub(crate) use fault_proxy::FaultProxy;
pub(crate) use process::Process;
pub(crate) use product::Product;
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
