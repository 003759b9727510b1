//! The runtime API as it is served inside the sandbox.

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sandbox_sdk::types::{Abort, ErrorBody, ErrorCode};

use super::{
    agents::Agents,
    archive,
    commands::{self, CommandRunner},
    files::{self, FileStore},
    git,
    message::{AbortAnswer, AgentRun, AnswerTaken, Health, NetworkTold, PersonAnswered},
    ports, process_tree,
    processes::{self, Processes},
    search,
    terminals::{self, Terminals},
};
use crate::error::not_valid;

/// Room for the largest file, as base64 in JSON.
pub(crate) const MAX_BODY: usize = 2 * super::files::MAX_FILE;

#[derive(Clone)]
pub(super) struct Services {
    pub(super) commands: CommandRunner,
    pub(super) files: FileStore,
    pub(super) agents: Agents,
    pub(super) processes: Processes,
    pub(super) terminals: Terminals,
}

/// What went wrong, in the terms of the protocol.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }
}

/// What a model is told.
impl From<Problem> for String {
    fn from(problem: Problem) -> Self {
        problem.message
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(ErrorBody::new(self.code, self.message))).into_response()
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                let words = "The body must be application/json.";
                Self::new(ErrorCode::UnsupportedMediaType, words)
            }
            JsonRejection::BytesRejection(error) => match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    Self::new(ErrorCode::TooLarge, "The body is too large.")
                }
                _ => Self::invalid("The body could not be read."),
            },
            error => Self::invalid(not_valid("body", &error)),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(not_valid("query", &rejection))
    }
}

pub(super) type Body<T> = Result<Json<T>, JsonRejection>;

pub(super) fn router(services: Services) -> Router {
    Router::new()
        .route("/health", get(health))
        .merge(files::routes())
        .merge(archive::routes())
        .route("/agents/run/stream", post(run_agent))
        .route("/agents/abort", post(abort_agent))
        .route("/agents/interactions", post(answer_agent))
        .merge(commands::routes())
        .merge(processes::routes())
        .merge(terminals::routes())
        .merge(search::routes())
        .merge(git::routes())
        .route("/network", post(tell_network))
        .route("/ports/{port}", get(ports::open))
        .fallback(|| async { Problem::new(ErrorCode::NotFound, "no such path") })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(services)
}

async fn health(State(services): State<Services>) -> Json<Health> {
    Json(Health {
        status: "ok".into(),
        processes: process_tree::ids().len(),
        disk_used: services.files.disk_used(),
    })
}

async fn run_agent(
    State(services): State<Services>,
    body: Body<AgentRun>,
) -> Result<Response, Problem> {
    let Json(run) = body?;
    Ok(services.agents.stream(run)?.into_response())
}

async fn abort_agent(
    State(services): State<Services>,
    body: Body<Abort>,
) -> Result<Json<AbortAnswer>, Problem> {
    let Json(abort) = body?;
    Ok(Json(AbortAnswer { cancelled: services.agents.abort(abort.turn_id.as_deref()) }))
}

async fn answer_agent(
    State(services): State<Services>,
    body: Body<PersonAnswered>,
) -> Result<Json<AnswerTaken>, Problem> {
    let Json(PersonAnswered { turn_id, answer }) = body?;
    Ok(Json(AnswerTaken { taken: services.agents.answer(&turn_id, answer) }))
}

async fn tell_network(
    State(services): State<Services>,
    body: Body<NetworkTold>,
) -> Result<Json<NetworkTold>, Problem> {
    let Json(told) = body?;
    services.commands.outlet().tell(told.reachable).await?;
    Ok(Json(told))
}
