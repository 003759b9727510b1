//! Git as the runtime API has it: flat, without an envelope.

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    routing::{get, post},
};
use sandbox_sdk::types::{ErrorCode, GitCommit, GitDiff, GitStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Git, clone};
use crate::{
    sidecar::{
        api::{Body, Known, Problem, Services},
        message::CloneRepository,
    },
    unread::{self, Warned},
};

pub(in crate::sidecar) fn routes() -> Router<Services> {
    Router::new()
        .route("/git/status", get(status))
        .route("/git/log", get(log))
        .route("/git/diff", get(diff))
        .route("/git/branches", get(branches))
        .route("/git/add", post(add))
        .route("/git/commit", post(commit))
        .route("/git/push", post(push))
        .route("/git/pull", post(pull))
        .route("/git/checkout", post(checkout))
        .route("/git/clone", post(begin))
}

/// What can be asked for. Each route looks at what it knows.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    cwd: Option<String>,
    limit: Option<u32>,
    r#ref: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Add {
    cwd: Option<String>,
    paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Commits {
    cwd: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    amend: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Far {
    cwd: Option<String>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    rebase: bool,
}

#[derive(Debug, Deserialize)]
struct Checkout {
    cwd: Option<String>,
    r#ref: String,
    #[serde(default)]
    create: bool,
}

type Questions = Result<Query<Asked>, QueryRejection>;
type Done = Result<Json<Value>, Problem>;

fn asked(services: Services, questions: Questions) -> Result<(Git, Asked), Problem> {
    let Query(asked) = questions?;
    Ok((Git { commands: services.commands, cwd: asked.cwd.clone() }, asked))
}

fn git(services: Services, cwd: Option<String>) -> Git {
    Git { commands: services.commands, cwd }
}

/// `unread`: names of the request that nobody reads.
fn done(unread: &[String]) -> Json<Value> {
    let warnings = unread::warnings(unread);
    if warnings.is_empty() {
        Json(json!({"success": true}))
    } else {
        Json(json!({"success": true, "warnings": warnings}))
    }
}

async fn status(
    State(services): State<Services>,
    questions: Questions,
) -> Result<Json<GitStatus>, Problem> {
    asked(services, questions)?.0.status().await.map(Json)
}

async fn log(State(services): State<Services>, questions: Questions) -> Done {
    let (git, asked) = asked(services, questions)?;
    let commits = git.log(asked.limit).await?;
    Ok(Json(json!({"commits": commits})))
}

async fn diff(
    State(services): State<Services>,
    questions: Questions,
) -> Result<Json<GitDiff>, Problem> {
    let (git, asked) = asked(services, questions)?;
    git.diff(asked.r#ref.as_deref()).await.map(Json)
}

async fn branches(State(services): State<Services>, questions: Questions) -> Done {
    let branches = asked(services, questions)?.0.branches().await?;
    Ok(Json(json!({"branches": branches})))
}

async fn add(
    State(services): State<Services>,
    Known(Add { cwd, paths }, unread): Known<Add>,
) -> Done {
    git(services, cwd).add(&paths).await?;
    Ok(done(&unread))
}

async fn commit(
    State(services): State<Services>,
    Known(Commits { cwd, message, amend }, unread): Known<Commits>,
) -> Result<Json<Warned<GitCommit>>, Problem> {
    let answer = git(services, cwd).commit(&message, amend).await?;
    Ok(Json(Warned { answer, warnings: unread::warnings(&unread) }))
}

async fn push(State(services): State<Services>, body: Result<Known<Far>, Problem>) -> Done {
    let Known(Far { cwd, force, .. }, unread) = or_nothing(body)?;
    git(services, cwd).push(force).await?;
    Ok(done(&unread))
}

async fn pull(State(services): State<Services>, body: Result<Known<Far>, Problem>) -> Done {
    let Known(Far { cwd, rebase, .. }, unread) = or_nothing(body)?;
    git(services, cwd).pull(rebase).await?;
    Ok(done(&unread))
}

async fn checkout(
    State(services): State<Services>,
    Known(Checkout { cwd, r#ref, create }, unread): Known<Checkout>,
) -> Done {
    git(services, cwd).checkout(&r#ref, create).await?;
    Ok(done(&unread))
}

/// Fills the workspace of a sandbox that nobody has used yet. It is for the orchestrator alone.
async fn begin(State(services): State<Services>, body: Body<CloneRepository>) -> Done {
    let Json(order) = body?;
    clone::clone(&services.commands, &order).await?;
    Ok(done(&[]))
}

/// A request without a body leaves everything as it is by default.
fn or_nothing(body: Result<Known<Far>, Problem>) -> Result<Known<Far>, Problem> {
    match body {
        Err(problem) if problem.code == ErrorCode::UnsupportedMediaType => {
            Ok(Known(Far::default(), Vec::new()))
        }
        body => body,
    }
}
