//! Rows of turns: the record that billing and history are taken from.

use sandbox_sdk::types::{
    Extra, MeteredRequest, Part, TokenUsage, TurnError, TurnRecord, TurnState,
};
use sqlx::{FromRow, SqliteConnection};

use super::{NewWebhook, Result, Store, sql_int, unsigned};

pub(super) const COLUMNS: &str = "turns.id, turns.session, state, model, input_tokens, \
    output_tokens, usage, requests, final_text, parts, error, first_seq, last_seq, started_at, \
    ended_at";

#[derive(Clone, Debug, FromRow)]
pub(crate) struct TurnRow {
    pub(crate) id: String,
    pub(crate) session: i64,
    state: String,
    pub(crate) model: String,
    input_tokens: i64,
    output_tokens: i64,
    usage: Option<String>,
    requests: Option<String>,
    final_text: String,
    parts: String,
    error: Option<String>,
    first_seq: i64,
    last_seq: i64,
    started_at: i64,
    ended_at: Option<i64>,
}

/// A turn that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewTurn {
    pub(crate) id: String,
    pub(crate) model: String,
    /// What the person said.
    pub(crate) prompt: String,
    pub(crate) input_tokens: u64,
    /// Nothing yet, if the model gateway meters it.
    pub(crate) usage: Option<TokenUsage>,
}

/// A turn that ends.
#[derive(Clone, Debug)]
pub(crate) struct EndedTurn {
    pub(crate) id: String,
    pub(crate) state: TurnState,
    pub(crate) final_text: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) used: Used,
    pub(crate) error: Option<TurnError>,
    /// What the product is to be told of it, if it wants to be told.
    pub(crate) webhook: Option<NewWebhook>,
}

/// What a turn used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) tokens: TokenUsage,
    /// The requests that this is the sum of, if the model gateway metered it.
    pub(crate) requests: Vec<MeteredRequest>,
}

impl From<TokenUsage> for Used {
    fn from(tokens: TokenUsage) -> Self {
        Self { tokens, requests: Vec::new() }
    }
}

impl TurnRow {
    pub(crate) fn state(&self) -> TurnState {
        match self.state.as_str() {
            "running" => TurnState::Running,
            "completed" => TurnState::Completed,
            "aborted" => TurnState::Aborted,
            "interrupted" => TurnState::Interrupted,
            _ => TurnState::Failed,
        }
    }

    /// Number of the event before the turn's first.
    pub(crate) fn since(&self) -> u64 {
        unsigned(self.first_seq).saturating_sub(1)
    }

    /// Number of the turn's last event, once it has ended.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.state().is_final().then(|| unsigned(self.last_seq))
    }

    pub(crate) fn input_tokens(&self) -> u64 {
        unsigned(self.input_tokens)
    }

    /// What the model gateway has metered so far, if the turn is metered there.
    pub(crate) fn metered(&self) -> Result<Option<Used>> {
        let Some(tokens) = self.usage.as_deref() else { return Ok(None) };
        let requests = self.requests.as_deref().map(serde_json::from_str).transpose()?;
        let tokens = serde_json::from_str(tokens)?;
        Ok(Some(Used { tokens, requests: requests.unwrap_or_default() }))
    }

    /// The record as the API gives it.
    pub(crate) fn record(self, session_id: &str) -> Result<TurnRecord> {
        let (input, output) = (unsigned(self.input_tokens), unsigned(self.output_tokens));
        let used = self.metered()?.unwrap_or_else(|| token_usage(input, output).into());
        Ok(TurnRecord {
            session_id: session_id.to_owned(),
            state: self.state(),
            final_text: self.final_text,
            parts: serde_json::from_str(&self.parts)?,
            token_usage: used.tokens,
            requests: used.requests,
            error: self.error.as_deref().map(serde_json::from_str).transpose()?,
            model: self.model,
            first_seq: unsigned(self.first_seq),
            last_seq: unsigned(self.last_seq),
            started_at: self.started_at,
            ended_at: self.ended_at,
            turn_id: self.id,
            extra: Extra::new(),
        })
    }
}

pub(crate) fn token_usage(input_tokens: u64, output_tokens: u64) -> TokenUsage {
    TokenUsage {
        input_tokens,
        output_tokens,
        total_tokens: Some(input_tokens.saturating_add(output_tokens)),
        ..TokenUsage::default()
    }
}

fn word(state: TurnState) -> &'static str {
    match state {
        TurnState::Running => "running",
        TurnState::Completed => "completed",
        TurnState::Failed => "failed",
        TurnState::Aborted => "aborted",
        TurnState::Interrupted => "interrupted",
    }
}

impl Store {
    pub(crate) async fn turn(&self, session: i64, id: &str) -> Result<Option<TurnRow>> {
        let sql = format!("SELECT {COLUMNS} FROM turns WHERE session = ?1 AND id = ?2");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(session)
            .bind(id)
            .fetch_optional(&self.read)
            .await?)
    }

    /// Turns that were running when the last process ended, with their sessions' ids.
    pub(crate) async fn running_turns(&self) -> Result<Vec<(String, TurnRow)>> {
        let sql =
            format!("SELECT {COLUMNS} FROM turns WHERE state = 'running' ORDER BY started_at");
        let turns: Vec<TurnRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&self.read).await?;
        let mut found = Vec::with_capacity(turns.len());
        for turn in turns {
            let id = sqlx::query_scalar("SELECT id FROM sessions WHERE key = ?1")
                .bind(turn.session)
                .fetch_one(&self.read)
                .await?;
            found.push((id, turn));
        }
        Ok(found)
    }

    /// Whether a turn runs in the session: the given one, or any.
    pub(crate) async fn is_running(&self, session: &str, turn: Option<&str>) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM turns JOIN sessions ON sessions.key = turns.session
             WHERE sessions.id = ?1 AND state = 'running' AND (?2 IS NULL OR turns.id = ?2)",
        )
        .bind(session)
        .bind(turn)
        .fetch_optional(&self.read)
        .await?;
        Ok(found.is_some())
    }

    /// The turn of that id, or else the one that runs in the session: why a new one can't begin.
    pub(crate) async fn turn_in_the_way(
        connection: &mut SqliteConnection,
        session: i64,
        id: &str,
    ) -> Result<Option<TurnRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM turns WHERE session = ?1 AND (id = ?2 OR state = 'running')
             ORDER BY id = ?2 DESC LIMIT 1"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(session)
            .bind(id)
            .fetch_optional(connection)
            .await?)
    }

    pub(crate) async fn insert_turn(
        connection: &mut SqliteConnection,
        session: i64,
        turn: &NewTurn,
        first_seq: u64,
        at: i64,
    ) -> Result<()> {
        let usage = turn.usage.as_ref().map(serde_json::to_string).transpose()?;
        sqlx::query(
            "INSERT INTO turns
                 (session, id, state, model, input_tokens, first_seq, started_at, usage, prompt)
             VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(session)
        .bind(&turn.id)
        .bind(&turn.model)
        .bind(sql_int(turn.input_tokens))
        .bind(sql_int(first_seq))
        .bind(at)
        .bind(usage)
        .bind(&turn.prompt)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Keeps what was metered of a turn that still runs.
    pub(crate) async fn save_usage(&self, session: i64, id: &str, used: &Used) -> Result<()> {
        sqlx::query(
            "UPDATE turns SET usage = ?3, requests = ?4
             WHERE session = ?1 AND id = ?2 AND state = 'running'",
        )
        .bind(session)
        .bind(id)
        .bind(serde_json::to_string(&used.tokens)?)
        .bind(serde_json::to_string(&used.requests)?)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Ends a running turn. `false`: it has ended already, and nothing was changed.
    pub(crate) async fn end_turn(
        connection: &mut SqliteConnection,
        session: i64,
        turn: &EndedTurn,
        last_seq: u64,
        at: i64,
    ) -> Result<bool> {
        let error = turn.error.as_ref().map(serde_json::to_string).transpose()?;
        let ended = sqlx::query(
            "UPDATE turns SET state = ?3, final_text = ?4, parts = ?5, input_tokens = ?6,
                 output_tokens = ?7, error = ?8, last_seq = ?9, ended_at = ?10, usage = ?11,
                 requests = ?12
             WHERE session = ?1 AND id = ?2 AND state = 'running'",
        )
        .bind(session)
        .bind(&turn.id)
        .bind(word(turn.state))
        .bind(&turn.final_text)
        .bind(serde_json::to_string(&turn.parts)?)
        .bind(sql_int(turn.used.tokens.input_tokens))
        .bind(sql_int(turn.used.tokens.output_tokens))
        .bind(error)
        .bind(sql_int(last_seq))
        .bind(at)
        .bind(serde_json::to_string(&turn.used.tokens)?)
        .bind(serde_json::to_string(&turn.used.requests)?)
        .execute(connection)
        .await?;
        Ok(ended.rows_affected() == 1)
    }
}
