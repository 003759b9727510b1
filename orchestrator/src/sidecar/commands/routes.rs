//! Commands and tools as the runtime API has them.

use std::collections::BTreeMap;

use axum::{Json, Router, extract::State, response::Response, routing::post};
use sandbox_sdk::types::{Exec, ExecResult};
use serde::Deserialize;

use super::{
    super::{
        api::{Body, Problem, Services},
        message::ResultEnvelope,
    },
    MAX_OUTPUT, Program,
};
use crate::toolchain;

/// Longest name of a tool.
const MAX_NAME: usize = 64;

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
    let result = services.commands.run(&exec).await?;
    Ok(Json(ResultEnvelope { success: true, result }))
}

async fn stream(State(services): State<Services>, body: Body<Exec>) -> Result<Response, Problem> {
    let Json(exec) = body?;
    services.commands.stream(&exec).await
}

/// A program by its name, with arguments that no shell looks at.
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
    if !is_name(&tool) {
        return Err(Problem::invalid("tool must be the plain name of a program"));
    }
    let name = toolchain::program(&tool).map_or(tool, str::to_owned);
    let words = std::iter::once(name).chain(args).collect();
    let program = Program { words, cwd, env, timeout };
    let ended = services.commands.perform(&program, MAX_OUTPUT).await?;
    Ok(Json(ended.into()))
}

/// No path, so that it is looked for where programs are; nothing that looks like an option.
fn is_name(tool: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    let begins_well = tool.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    begins_well && tool.len() <= MAX_NAME && tool.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_tool_is_a_name_and_nothing_else() {
        for name in ["node", "python3.13", "g++", "x86_64-linux-gnu-gcc", "_"] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(65);
        for name in ["", "/bin/sh", "../sh", ".", "-c", "a b", "a;b", "a\0", "ä", &long] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
