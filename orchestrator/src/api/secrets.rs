//! `/v1/secrets`: what products keep here for the environments of their sandboxes.

use std::sync::Arc;

use axum::{Json as JsonBody, Router, extract::State, http::StatusCode, routing};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    App, Shared,
    extract::{Known, Path},
};
use crate::{
    clock::iso,
    error::ApiError,
    unread::{self, Warned},
    vault::SecretInfo,
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/secrets", routing::get(list).post(create))
        .route("/v1/secrets/{name}", routing::get(get).patch(update).delete(delete))
}

#[derive(Deserialize)]
struct NewSecret {
    name: String,
    value: SecretString,
}

#[derive(Deserialize)]
struct NewValue {
    value: SecretString,
}

async fn create(
    State(app): Shared,
    Known(secret, unread): Known<NewSecret>,
) -> Result<(StatusCode, JsonBody<Warned<Value>>), ApiError> {
    let info = app.vault.add(&secret.name, &secret.value).await?;
    Ok((StatusCode::CREATED, warned(&info, &unread)))
}

async fn list(State(app): Shared) -> Result<JsonBody<Value>, ApiError> {
    let secrets: Vec<_> = app.vault.list().await?.iter().map(shown).collect();
    Ok(JsonBody(json!({"secrets": secrets})))
}

/// The one answer that holds a secret.
async fn get(State(app): Shared, Path(name): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    let value = app.vault.get(&name).await?;
    Ok(JsonBody(json!({"name": name, "value": value.expose_secret()})))
}

async fn update(
    State(app): Shared,
    Path(name): Path<String>,
    Known(new, unread): Known<NewValue>,
) -> Result<JsonBody<Warned<Value>>, ApiError> {
    Ok(warned(&app.vault.change(&name, &new.value).await?, &unread))
}

async fn delete(State(app): Shared, Path(name): Path<String>) -> Result<JsonBody<Value>, ApiError> {
    app.vault.remove(&name).await?;
    Ok(JsonBody(json!({"success": true})))
}

/// `unread`: names of the request that nobody reads.
fn warned(info: &SecretInfo, unread: &[String]) -> JsonBody<Warned<Value>> {
    JsonBody(Warned { answer: shown(info), warnings: unread::warnings(unread) })
}

fn shown(info: &SecretInfo) -> Value {
    json!({
        "name": info.name,
        "createdAt": iso(info.created_at),
        "updatedAt": iso(info.updated_at),
    })
}
