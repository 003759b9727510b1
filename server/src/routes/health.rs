//! Probes: is the process alive, and can it do its work.

use std::time::Duration;

use axum::extract::State;
use backend::Error;
use http::StatusCode;

use crate::AppState;

/// A probe that waits longer has its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The database and the orchestrator answer.
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, String) {
    let ready = async {
        state.backend().ready().await?;
        state.backend().orchestrator_ready().await
    };
    let problem = match tokio::time::timeout(PATIENCE, ready).await {
        Ok(Ok(())) => return (StatusCode::OK, "ready\n".into()),
        Ok(Err(Error::Unavailable { message })) => message,
        Ok(Err(error)) => {
            tracing::error!(error = app::error::chain(&error), "the readiness probe failed");
            "something is broken, the log says what".into()
        }
        Err(_) => "no answer in time".into(),
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {problem}\n"))
}
