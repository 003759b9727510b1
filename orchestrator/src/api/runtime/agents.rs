//! What a sandbox's agent is, what it can do, and what of the protocol's turns is done here.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, routing::get};
use sandbox_sdk::types::{AgentInfo, SandboxStatus};
use serde_json::{Map, Value, json};

use crate::{
    api::{App, Shared, extract::Path},
    error::ApiError,
    models::DEMO,
    profile,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/capabilities", get(capabilities))
        .route("/backend/status", get(status))
        .route("/backend/capabilities", get(of_backend))
        .route("/backend/mcp", get(servers))
}

/// What clients may count on, whichever agent works.
async fn capabilities(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Value>, ApiError> {
    app.sandboxes.get(&id)?;
    Ok(JsonBody(json!({
        "schema": 1,
        "dispatch": {"runControlRef": false, "executionIdOnAdmission": true},
        "cancel": {"byExecutionId": true, "bySession": true, "noopIsNoError": true},
        "runs": {"eventReplay": true, "executionScopedStatus": true},
        "interactions": {
            "responseDedupe": true,
            "kinds": ["question", "permission", "plan"],
        },
        "interactiveAgent": {"supported": false},
    })))
}

/// An agent is started with its turn, so that it is there whenever its sandbox can be.
async fn status(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let status = match app.sandboxes.get(&id)?.status() {
        SandboxStatus::Running => "running",
        SandboxStatus::Pending | SandboxStatus::Provisioning => "starting",
        SandboxStatus::Stopped | SandboxStatus::Expired | SandboxStatus::Failed => "stopped",
        SandboxStatus::Deleted | SandboxStatus::Other(_) => "unknown",
    };
    let agent = app.agent_of(&id).await?;
    let mut shown = json!({"type": agent.id, "status": status});
    for (name, value) in [("version", agent.version), ("error", agent.problem)] {
        if let Some(value) = value {
            shown[name] = value.into();
        }
    }
    Ok(JsonBody(shown))
}

/// `contextWindow` is that of the sandbox's model, and 0 where it is not known: clients count on a
/// number.
async fn of_backend(
    State(app): Shared,
    Path(id): Path<String>,
) -> Result<JsonBody<Value>, ApiError> {
    let agent = app.agent_of(&id).await?;
    let request = app.sandboxes.get(&id)?.request;
    let asked = request.backend.as_ref().and_then(|backend| backend.model.as_ref());
    let asked = asked.and_then(|model| model.model.clone());
    let catalog = app.models.catalog().await;
    let named = asked.or(catalog.default_model).filter(|_| agent.id != DEMO);
    let model = catalog.models.iter().find(|model| {
        let full = format!("{}/{}", model.provider, model.id);
        named.as_ref().is_some_and(|named| *named == model.id || *named == full)
    });
    Ok(JsonBody(json!({
        "streaming": true,
        "toolUse": true,
        "reasoning": agent.id != DEMO,
        // Turns take text parts only.
        "multimodal": false,
        "contextWindow": model.and_then(|model| model.context_tokens).unwrap_or(0),
    })))
}

/// The servers with further tools in the sandbox's inline profiles, by name. They are started with a
/// turn and end with it, so that none runs by itself. What they are started with may be secret.
async fn servers(State(app): Shared, Path(id): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let request = app.sandboxes.get(&id)?.request;
    let profiles = request.backend.iter().flat_map(|backend| {
        profile::FIELDS.into_iter().filter_map(move |field| backend.extra.get(field))
    });
    let servers: Map<_, _> = profiles
        .filter_map(|profile| profile.get("mcp")?.as_object())
        .flat_map(|servers| servers.keys().cloned())
        .map(|name| (name, json!({"status": "stopped"})))
        .collect();
    Ok(JsonBody(json!({"servers": servers})))
}

impl App {
    /// The agent of the sandbox's turns that name none.
    async fn agent_of(&self, id: &str) -> Result<AgentInfo, ApiError> {
        let request = self.sandboxes.get(id)?.request;
        let catalog = self.models.catalog().await;
        let asked = request.backend.as_ref().and_then(|backend| backend.kind.clone());
        let wanted = asked.unwrap_or(catalog.default_agent);
        let found = catalog.agents.into_iter().find(|agent| agent.id == wanted);
        Ok(found.unwrap_or_else(|| AgentInfo { id: wanted, ..AgentInfo::default() }))
    }
}
