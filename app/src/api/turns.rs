//! The life of a turn: start, watch, stop, complete.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use sandbox_sdk::types::InteractionAnswer;

use crate::error::AppError;
use crate::model::{ReportedUsage, StartTurn, StartedTurn, StreamGrant, TurnStatus};

#[cfg(feature = "ssr")]
use super::request::Caller;

/// Sends a message. The first one ever makes a guest account and sets its cookie.
#[server(name = StartTurnCall, endpoint = "start_turn", input = Json)]
pub async fn start_turn(request: StartTurn) -> Result<StartedTurn, AppError> {
    let request = request.try_into()?;
    let caller = Caller::known_or_new_guest(&request).await?;
    Ok(caller.backend.start_turn(&caller.account, request).await?.into())
}

/// Where a turn stands, with what is needed to watch it.
#[server(name = TurnStatusCall, endpoint = "turn_status", input = Json)]
pub async fn turn_status(turn_id: String) -> Result<TurnStatus, AppError> {
    let caller = Caller::known().await?;
    Ok(caller.backend.turn_status(&caller.account, &turn_id.parse()?).await?.into())
}

/// A fresh token to watch a chat with.
#[server(endpoint = "refresh_token", input = Json)]
pub async fn refresh_token(chat_id: String) -> Result<StreamGrant, AppError> {
    let caller = Caller::known().await?;
    Ok(caller.backend.refresh_token(&caller.account, &chat_id.parse()?).await?.into())
}

/// Stops a turn. What was answered until then is kept. Stopping a turn that has ended is no error.
#[server(endpoint = "stop_turn", input = Json)]
pub async fn stop_turn(turn_id: String) -> Result<TurnStatus, AppError> {
    let caller = Caller::known().await?;
    Ok(caller.backend.stop_turn(&caller.account, &turn_id.parse()?).await?.into())
}

/// Answers what the agent of a running turn asks. What becomes of it comes with the stream.
#[server(endpoint = "answer_interaction", input = Json)]
pub async fn answer_interaction(
    turn_id: String,
    answer: InteractionAnswer,
) -> Result<(), AppError> {
    let caller = Caller::known().await?;
    caller.may_answer()?;
    Ok(caller.backend.answer_interaction(&caller.account, &turn_id.parse()?, &answer).await?)
}

/// Tells the server that the stream has ended, so that it settles the turn from the orchestrator's
/// own record. The reported numbers change nothing.
#[server(endpoint = "complete_turn", input = Json)]
pub async fn complete_turn(turn_id: String, report: ReportedUsage) -> Result<TurnStatus, AppError> {
    let caller = Caller::known().await?;
    let turn_id = turn_id.parse()?;
    let status = caller.backend.complete_turn(&caller.account, &turn_id, report.into()).await?;
    Ok(status.into())
}
