//! The end of a turn: answer, usage, debit, hold and state in one transaction, once.

use sandbox_sdk::types::{
    self as wire, Part, PartBody, TextPart, TokenUsage, ToolPart, ToolState, TurnRecord,
};

use super::row::TurnRow;
use crate::{
    Backend, Credits, Error, Message, MessageState, Role, TurnState,
    clock::now_ms,
    db::{Transaction, args},
    ledger,
};

/// Code of the error by which the orchestrator says that the turn reached its limits.
const OUT_OF_CREDITS: &str = "OUT_OF_CREDITS";

/// How a turn ends.
pub(super) struct Ending {
    state: TurnState,
    parts: Vec<Part>,
    error: Option<String>,
    metered: Option<Metered>,
    /// Whether what was metered is charged.
    billed: bool,
    /// Number of the turn's last event.
    last_seq: u64,
}

/// What the orchestrator says was used.
struct Metered {
    model: String,
    usage: TokenUsage,
    duration_ms: i64,
}

impl Ending {
    /// An end without an answer from the orchestrator. It costs nothing.
    pub(super) fn free(state: TurnState, words: &str) -> Self {
        let error = (!words.is_empty()).then(|| words.to_owned());
        Self { state, parts: Vec::new(), error, metered: None, billed: false, last_seq: 0 }
    }

    /// The end that the orchestrator's record tells of; `None` while the turn runs.
    pub(super) fn of_record(row: &TurnRow, record: TurnRecord) -> Option<Self> {
        let out_of_credits =
            record.error.as_ref().is_some_and(|e| e.code.as_deref() == Some(OUT_OF_CREDITS));
        // A model's provider is paid whatever comes of the answer.
        let used_a_model = row.has_providers_model();
        let price = |billed: bool| if billed { cost(row, &record) } else { Credits::ZERO };
        let (state, error, billed) = match record.state {
            wire::TurnState::Running => return None,
            wire::TurnState::Completed => (TurnState::Completed, None, true),
            wire::TurnState::Aborted => (TurnState::Stopped, None, true),
            wire::TurnState::Interrupted => {
                let words = cut_off(price(used_a_model));
                (TurnState::Interrupted, Some(words), used_a_model)
            }
            wire::TurnState::Failed if out_of_credits => {
                (TurnState::Failed, Some(limit_reached(row, &record)), true)
            }
            wire::TurnState::Failed => {
                let words = failure(&record, price(used_a_model));
                (TurnState::Failed, Some(words), used_a_model)
            }
        };
        let duration_ms =
            record.ended_at.map_or(0, |end| end.saturating_sub(record.started_at).max(0));
        let model = if record.model.is_empty() { row.model.clone() } else { clean(&record.model) };
        Some(Self {
            state,
            error,
            billed,
            last_seq: record.last_seq,
            metered: Some(Metered { model, usage: record.token_usage, duration_ms }),
            parts: parts(row, without_secrets(record.parts), record.final_text),
        })
    }
}

/// What a person gave an agent in confidence is kept nowhere, whatever the record holds.
fn without_secrets(mut parts: Vec<Part>) -> Vec<Part> {
    for part in &mut parts {
        if let PartBody::Interaction(asked) = &mut part.body {
            asked.answer = asked.answer.take().map(|answer| asked.request.without_secrets(&answer));
        }
    }
    parts
}

/// The parts of the answer. A service that keeps only the text gives a message of one part.
fn parts(row: &TurnRow, parts: Vec<Part>, final_text: String) -> Vec<Part> {
    if !parts.is_empty() || final_text.is_empty() {
        return parts;
    }
    vec![Part {
        id: format!("prt_{}_0", row.id),
        session_id: row.session_id.clone(),
        message_id: format!("msg_{}", row.id),
        body: PartBody::Text(TextPart { text: final_text, ..TextPart::default() }),
    }]
}

/// What a turn did that was ended because nothing was left for it.
fn limit_reached(row: &TurnRow, record: &TurnRecord) -> String {
    let done = |part: &&Part| match &part.body {
        PartBody::Tool(ToolPart { state, .. }) => {
            matches!(state, ToolState::Completed { .. } | ToolState::Error { .. })
        }
        _ => false,
    };
    let after = match record.parts.iter().filter(done).count() {
        0 => String::new(),
        1 => " after 1 step".to_owned(),
        steps => format!(" after {steps} steps"),
    };
    let cost = said(cost(row, record));
    format!(
        "This turn reached the limit of what was set aside for it, so it was ended{after}. What it \
         said and did until then is kept and costs {cost}. With credits left, ask it to go on from \
         there."
    )
}

fn failure(record: &TurnRecord, cost: Credits) -> String {
    let why = record.error.as_ref().map(|error| clean(&error.message)).unwrap_or_default();
    let charged = charged(cost);
    match why.trim().trim_end_matches('.') {
        "" => format!("The agent failed without saying why. {charged}"),
        why => format!("The agent failed: {why}. {charged}"),
    }
}

fn cut_off(cost: Credits) -> String {
    let charged = charged(cost);
    format!("The sandbox service was interrupted while it worked on this. {charged}")
}

/// What an answer costs that did not come to its end.
fn charged(cost: Credits) -> String {
    match cost {
        Credits::ZERO => "Nothing was charged.".to_owned(),
        cost => format!("What the model used until then costs {}.", said(cost)),
    }
}

fn said(cost: Credits) -> String {
    match cost {
        Credits::ZERO => "nothing".to_owned(),
        cost if cost == Credits::from_whole(1) => "1 credit".to_owned(),
        cost => format!("{cost} credits"),
    }
}

fn cost(row: &TurnRow, record: &TurnRecord) -> Credits {
    row.cost(&record.token_usage).min(row.hold())
}

/// Without what a database may not be able to store.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).take(2000).collect()
}

fn tokens(count: Option<u64>) -> i64 {
    i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX)
}

impl Backend {
    /// Ends a turn that still stands as `row` says. Answers whether it did: of several callers one
    /// does, the others find it done.
    pub(super) async fn finish(&self, row: &TurnRow, ending: Ending) -> Result<bool, Error> {
        let now = now_ms();
        let mut tx = self.db().begin().await?;
        // Account, chat, turn: every transaction locks in this order.
        ledger::lock_available(&mut tx, &row.account_id).await?;
        let chat_lives = tx
            .execute(
                "UPDATE chats SET updated_at = $2 WHERE id = $1 AND deleted_at IS NULL",
                args![&row.chat_id, now],
            )
            .await?
            == 1;
        let ended = tx
            .execute(
                "UPDATE turns SET state = $3, ended_at = $4 WHERE id = $1 AND state = $2",
                args![&row.id, row.state, ending.state, now],
            )
            .await?;
        if ended == 0 {
            return Ok(false);
        }
        let charge = self.bill(&mut tx, row, &ending, now).await?;
        if ledger::close_hold(&mut tx, &row.id, charge).await?.is_none() {
            return Err(Error::broken("an open turn without an open hold"));
        }
        if chat_lives {
            let message = answer(row, &ending, now);
            message.insert(&mut tx, &row.chat_id, row.position + 1).await?;
        }
        tx.execute(
            "UPDATE sandboxes SET settled_seq = $2 WHERE id = $1 AND settled_seq < $2",
            args![&row.sandbox_id, tokens(Some(ending.last_seq))],
        )
        .await?;
        tx.commit().await?;
        let charged = charge.unwrap_or_default().micros();
        tracing::info!(turn = %row.id, state = ending.state.as_str(), charged, "turn ended");
        if let Some(metered) = &ending.metered {
            super::report::compare(row, &metered.usage);
        }
        Ok(true)
    }

    /// Stores what was metered; answers what is charged for it, `None` where nothing may be.
    async fn bill(
        &self,
        tx: &mut Transaction,
        row: &TurnRow,
        ending: &Ending,
        now: i64,
    ) -> Result<Option<Credits>, Error> {
        let Some(metered) = &ending.metered else { return Ok(None) };
        let cost = row.cost(&metered.usage);
        let charge = ending.billed.then(|| cost.min(row.hold()));
        if cost > row.hold() {
            tracing::warn!(turn = %row.id, cost = cost.micros(), held = row.hold, "a turn used more than it was allowed to");
        }
        tx.execute(
            "INSERT INTO usage
             (turn_id, account_id, model, input_tokens, output_tokens, cache_read_tokens,
              cache_write_tokens, cost, charged, duration_ms, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            args![
                &row.id,
                &row.account_id,
                &metered.model,
                tokens(Some(metered.usage.input_tokens)),
                tokens(Some(metered.usage.output_tokens)),
                tokens(metered.usage.cache_read_input_tokens),
                tokens(metered.usage.cache_creation_input_tokens),
                cost,
                charge.unwrap_or_default(),
                metered.duration_ms,
                now
            ],
        )
        .await?;
        Ok(charge)
    }
}

fn answer(row: &TurnRow, ending: &Ending, now: i64) -> Message {
    Message {
        id: format!("msg_{}", row.id),
        turn_id: row.id.clone(),
        role: Role::Assistant,
        parts: ending.parts.clone(),
        state: match ending.state {
            TurnState::Stopped => MessageState::Stopped,
            TurnState::Failed => MessageState::Failed,
            TurnState::Interrupted => MessageState::Interrupted,
            _ => MessageState::Complete,
        },
        error: ending.error.clone(),
        receipt: None,
        created_at: now,
    }
}
