//! Git as the runtime API has it: flat, without an envelope.

use axum::{
    Json, Router,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Git, clone, diff::Diff, log::Commit, status::Status};
use crate::sidecar::{
    api::{Body, Problem, Services},
    message::CloneRepository,
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

fn done() -> Json<Value> {
    Json(json!({"success": true}))
}

async fn status(
    State(services): State<Services>,
    questions: Questions,
) -> Result<Json<Status>, Problem> {
    asked(services, questions)?.0.status().await.map(Json)
}

async fn log(State(services): State<Services>, questions: Questions) -> Done {
    let (git, asked) = asked(services, questions)?;
    let commits: Vec<Commit> = git.log(asked.limit).await?;
    Ok(Json(json!({"commits": commits})))
}

async fn diff(
    State(services): State<Services>,
    questions: Questions,
) -> Result<Json<Diff>, Problem> {
    let (git, asked) = asked(services, questions)?;
    git.diff(asked.r#ref.as_deref()).await.map(Json)
}

async fn branches(State(services): State<Services>, questions: Questions) -> Done {
    let branches = asked(services, questions)?.0.branches().await?;
    Ok(Json(json!({"branches": branches})))
}

async fn add(State(services): State<Services>, body: Body<Add>) -> Done {
    let Json(Add { cwd, paths }) = body?;
    git(services, cwd).add(&paths).await?;
    Ok(done())
}

async fn commit(
    State(services): State<Services>,
    body: Body<Commits>,
) -> Result<Json<Commit>, Problem> {
    let Json(Commits { cwd, message, amend }) = body?;
    git(services, cwd).commit(&message, amend).await.map(Json)
}

async fn push(State(services): State<Services>, body: Body<Far>) -> Done {
    let Far { cwd, force, .. } = or_nothing(body)?;
    git(services, cwd).push(force).await?;
    Ok(done())
}

async fn pull(State(services): State<Services>, body: Body<Far>) -> Done {
    let Far { cwd, rebase, .. } = or_nothing(body)?;
    git(services, cwd).pull(rebase).await?;
    Ok(done())
}

async fn checkout(State(services): State<Services>, body: Body<Checkout>) -> Done {
    let Json(Checkout { cwd, r#ref, create }) = body?;
    git(services, cwd).checkout(&r#ref, create).await?;
    Ok(done())
}

/// Fills the workspace of a sandbox that nobody has used yet. It is for the orchestrator alone.
async fn begin(State(services): State<Services>, body: Body<CloneRepository>) -> Done {
    let Json(order) = body?;
    clone::clone(&services.commands, &order).await?;
    Ok(done())
}

/// A request without a body leaves everything as it is by default.
fn or_nothing(body: Body<Far>) -> Result<Far, Problem> {
    match body {
        Ok(Json(far)) => Ok(far),
        Err(JsonRejection::MissingJsonContentType(_)) => Ok(Far::default()),
        Err(rejection) => Err(rejection.into()),
    }
}
