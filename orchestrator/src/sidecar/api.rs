//! The runtime API as it is served inside the sandbox.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sandbox_sdk::types::{Abort, ErrorBody, ErrorCode, Exec, ExecResult, ReadFile, WriteFile};

use super::{
    agents::Agents,
    commands::CommandRunner,
    files::FileStore,
    message::{
        AbortAnswer, AgentRun, AnswerTaken, DataEnvelope, FileContent, Health, PersonAnswered,
        ResultEnvelope, Written,
    },
    process_tree,
};

/// Room for the largest file, as base64 in JSON.
pub(crate) const MAX_BODY: usize = 2 * super::files::MAX_FILE;

#[derive(Clone)]
pub(super) struct Services {
    pub(super) commands: CommandRunner,
    pub(super) files: FileStore,
    pub(super) agents: Agents,
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
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
            _ => ErrorCode::Validation,
        };
        Self::new(code, rejection.body_text())
    }
}

type Body<T> = Result<Json<T>, JsonRejection>;

pub(super) fn router(services: Services) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/terminals/commands", post(run_command))
        .route("/files/read", post(read_file))
        .route("/files/write", post(write_file))
        .route("/agents/run/stream", post(run_agent))
        .route("/agents/abort", post(abort_agent))
        .route("/agents/interactions", post(answer_agent))
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

async fn run_command(
    State(services): State<Services>,
    body: Body<Exec>,
) -> Result<Json<ResultEnvelope<ExecResult>>, Problem> {
    let Json(exec) = body?;
    let result = services.commands.run(&exec).await?;
    Ok(Json(ResultEnvelope { success: true, result }))
}

async fn read_file(
    State(services): State<Services>,
    body: Body<ReadFile>,
) -> Result<Json<DataEnvelope<FileContent>>, Problem> {
    let Json(request) = body?;
    let data = services.files.read(request).await?;
    Ok(Json(DataEnvelope { success: true, data }))
}

async fn write_file(
    State(services): State<Services>,
    body: Body<WriteFile>,
) -> Result<Json<DataEnvelope<Written>>, Problem> {
    let Json(request) = body?;
    let path = request.path.clone();
    let size = services.files.write(request).await?;
    Ok(Json(DataEnvelope { success: true, data: Written { path, size } }))
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
