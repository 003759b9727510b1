//! Commands and tools as the runtime API has them.

use std::collections::BTreeMap;

use axum::{Json, Router, extract::State, response::Response, routing::post};
use sandbox_sdk::types::{Exec, ExecResult};
use serde::Deserialize;

use super::{
    super::{
        api::{Body, Known, Problem, Services},
        message::ResultEnvelope,
    },
    MAX_OUTPUT, Program,
};
use crate::{toolchain, unread};

pub(in crate::sidecar) fn routes() -> Router<Services> {
    Router::new()
        .route("/terminals/commands", post(run))
        .route("/terminals/commands/stream", post(stream))
        .route("/tools/run", post(run_tool))
}

async fn run(
    State(services): State<Services>,
    body: Body<Exec>,
) -> Result<Json<ResultEnvelope<ExecResult>>, Problem> {
    let Json(exec) = body?;
    let result = services.commands.run(exec).await?;
    Ok(Json(ResultEnvelope { success: true, result }))
}

async fn stream(
    State(services): State<Services>,
    Known(exec, unread): Known<Exec>,
) -> Result<Response, Problem> {
    services.commands.stream(exec, unread::warnings(&unread)).await
}

/// One of the tools that are listed, with arguments that no shell looks at.
#[derive(Debug, Deserialize)]
struct RunTool {
    tool: String,
    #[serde(default)]
    args: Vec<String>,
    cwd: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(alias = "timeoutMs")]
    timeout: Option<u64>,
}

async fn run_tool(
    State(services): State<Services>,
    body: Body<RunTool>,
) -> Result<Json<ExecResult>, Problem> {
    let Json(RunTool { tool, args, cwd, env, timeout }) = body?;
    let runnable = toolchain::runnable(&tool, services.commands.path(&env));
    let program = runnable.map_err(|reason| Problem::not_implemented("tools", reason))?;
    let words = std::iter::once(program.to_owned()).chain(args).collect();
    let program = Program { words, cwd, env, timeout, input: None };
    let ended = services.commands.perform(&program, MAX_OUTPUT).await?;
    Ok(Json(ended.into()))
}
