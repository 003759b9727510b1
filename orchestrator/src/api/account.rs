//! What was used, and what may be.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use super::{App, Shared};
use crate::{
    clock::{iso, month, now_ms, start_of_day},
    error::ApiError,
};

/// There is one organisation: whoever has the key.
const ORGANISATION: &str = "local";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/usage", get(usage))
        .route("/v1/usage", get(usage))
        .route("/usage/subscription", get(subscription))
        .route("/v1/usage/subscription", get(subscription))
}

/// Requests of the product since midnight, in UTC, or since the start.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Day>);

#[derive(Clone, Copy, Debug, Default)]
struct Day {
    start: i64,
    calls: u64,
}

impl Calls {
    pub(super) fn count(&self, now: i64) {
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = start_of_day(now);
        if day.start != start {
            *day = Day { start, calls: 0 };
        }
        day.calls += 1;
    }

    fn today(&self, now: i64) -> u64 {
        let day = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if day.start == start_of_day(now) { day.calls } else { 0 }
    }
}

/// One body for both kinds of readers: flat, and in an envelope.
async fn usage(State(app): Shared) -> Result<Json<Value>, ApiError> {
    let usage = app.sandboxes.usage().await?;
    let (start, end) = usage.period;
    Ok(Json(json!({
        "success": true,
        "computeMinutes": minutes(usage.compute_ms),
        "activeSandboxes": usage.running,
        "totalSandboxes": usage.existing,
        "periodStart": iso(start),
        "periodEnd": iso(end),
        "data": {
            "orgId": ORGANISATION,
            "period": {"start": iso(start), "end": iso(end)},
            "sessionsCreated": usage.sessions,
            "messagesSent": usage.turns,
            "computeMs": usage.compute_ms,
            "activeSessionCount": app.turns.running(),
            "active_sandboxes": usage.running,
            "compute_minutes_today": minutes(usage.compute_ms_today),
            "api_calls_today": app.calls.today(now_ms()),
        },
    })))
}

/// Nothing is sold here, so that only what this machine bears is limited; `null` is no limit.
async fn subscription(State(app): Shared) -> Json<Value> {
    let (sandboxes, running) = app.sandboxes.most();
    Json(json!({
        "orgId": ORGANISATION,
        "plan": "enterprise",
        "status": "active",
        "currentPeriodEnd": iso(month(now_ms()).1),
        "limits": {
            "sessionsPerDay": null,
            "maxConcurrent": running,
            "computeMinutesPerDay": null,
            "maxSandboxes": sandboxes,
        },
        "maxConcurrentSandboxes": running,
        "creditsAvailableUsd": null,
    }))
}

/// With two decimals.
fn minutes(ms: u64) -> f64 {
    (ms / 600) as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_the_day() {
        let (calls, day) = (Calls::default(), 86_400_000);
        calls.count(day);
        calls.count(2 * day - 1);
        assert_eq!((calls.today(day + 5), calls.today(2 * day)), (2, 0));
        calls.count(2 * day);
        assert_eq!(calls.today(2 * day), 1);
    }

    #[test]
    fn minutes_have_two_decimals() {
        assert_eq!(minutes(0), 0.0);
        assert_eq!(minutes(90_000), 1.5);
        assert_eq!(minutes(61_199), 1.01);
    }
}
