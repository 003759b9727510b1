//! The runtime API as it is served inside the sandbox.

use axum::{
    Json, Router,
    body::{Body as HttpBody, Bytes},
    extract::{
        DefaultBodyLimit, FromRequest, Request, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sandbox_sdk::types::{Abort, ErrorBody, ErrorCode, Extra};
use serde::de::DeserializeOwned;

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
use crate::{error::not_valid, flaw::Flaw, unread};

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
    /// More for the envelope, by names of [`ABOUT`].
    about: Vec<(&'static str, String)>,
    /// What is wrong with single fields of the request, by name.
    fields: Option<Extra>,
}

/// What the envelope tells beside the code and the message.
pub(super) const ABOUT: [&str; 4] = ["resourceType", "resourceId", "feature", "reason"];
/// What the envelope tells of single fields.
pub(super) const FIELDS: &str = "fields";
/// Characters of an id that are told.
const MAX_ID: usize = 200;

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), about: Vec::new(), fields: None }
    }

    /// There is none of this kind by this name.
    pub(crate) fn not_found(kind: &str, id: &str, message: impl Into<String>) -> Self {
        let [resource_type, resource_id, ..] = ABOUT;
        let id = id.chars().take(MAX_ID).collect();
        let about = vec![(resource_type, kind.to_owned()), (resource_id, id)];
        Self { about, ..Self::new(ErrorCode::NotFound, message) }
    }

    /// What the protocol knows and this sandbox can't do: the feature's name, and why.
    pub(crate) fn not_implemented(feature: &str, reason: impl Into<String>) -> Self {
        let [.., feature_name, reason_name] = ABOUT;
        let reason = reason.into();
        let about = vec![(feature_name, feature.to_owned()), (reason_name, reason.clone())];
        Self { about, ..Self::new(ErrorCode::NotImplemented, reason) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// A part of the request, and what is wrong with it.
    pub(super) fn flawed(part: &str, flaw: &Flaw) -> Self {
        Self { fields: flaw.fields(), ..Self::invalid(not_valid(part, flaw)) }
    }
}

#[cfg(test)]
impl Problem {
    /// What else the envelope tells.
    pub(super) fn about(&self) -> Vec<(&str, &str)> {
        self.about.iter().map(|(name, value)| (*name, value.as_str())).collect()
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
        let mut body = ErrorBody::new(self.code, self.message);
        let about = self.about.into_iter();
        body.extra.extend(about.map(|(name, value)| (name.to_owned(), value.into())));
        body.extra.extend(self.fields.map(|fields| (FIELDS.to_owned(), fields.into())));
        (status, Json(body)).into_response()
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
            error => Self::flawed("body", &Flaw::of(&error)),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::flawed("query", &Flaw::of(&rejection))
    }
}

pub(super) type Body<T> = Result<Json<T>, JsonRejection>;

/// A body, and the names in it that nobody reads.
pub(super) struct Known<T>(pub(super) T, pub(super) Vec<String>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Known<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(body, state).await.map_err(JsonRejection::from)?;
        let again = Request::from_parts(parts, HttpBody::from(body.clone()));
        let Json(value) = Json::<T>::from_request(again, state).await?;
        Ok(Self(value, unread::names::<T>(&body)))
    }
}

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
        .fallback(unknown_route)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(services)
}

async fn unknown_route(uri: Uri) -> Problem {
    Problem::not_found("route", uri.path(), "no such path")
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
