//! Messages: what a person asked and what the agent answered.

use std::ops::Range;

use sandbox_sdk::types::{Part, PartBody, TextPart};

use crate::{
    Backend, ChatId, Credits, Error, TurnId,
    db::{Transaction, args},
    words::stored_as_words,
};

/// The mark of a question that was asked before, in its text part.
const REPEATS: &str = "repeats";

stored_as_words! {
    /// Who speaks.
    pub enum Role {
        /// The person.
        User = "user",
        /// The agent.
        Assistant = "assistant",
    }
}

stored_as_words! {
    /// How a message came to its end.
    pub enum MessageState {
        /// All of it is there.
        Complete = "complete",
        /// Cut short on request; what is there stands.
        Stopped = "stopped",
        /// The turn went wrong; `error` says how.
        Failed = "failed",
        /// Cut off from outside; `error` says how.
        Interrupted = "interrupted",
    }
}

/// One message of a chat. A turn has two: the person's and the agent's.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `msg_<turn id>` for the agent's, `usr_<turn id>` for the person's.
    pub id: String,
    /// The turn both messages share.
    pub turn_id: TurnId,
    /// Who speaks.
    pub role: Role,
    /// The pieces, in order.
    pub parts: Vec<Part>,
    /// How it ended.
    pub state: MessageState,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// What the turn used and cost; only on the agent's message, and only when something was metered.
    pub receipt: Option<Receipt>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// What a turn used, as the orchestrator metered it, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The agent that ran the turn, by the name it is chosen by.
    pub agent: String,
    /// The model that served it.
    pub model: String,
    /// Tokens read, those from a cache included.
    pub input_tokens: u64,
    /// Of these, tokens read from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What was taken from the account.
    pub charged: Credits,
    /// From start to end, milliseconds.
    pub duration_ms: u64,
}

#[derive(sqlx::FromRow)]
struct MessageRow {
    id: String,
    #[sqlx(try_from = "String")]
    turn_id: TurnId,
    #[sqlx(try_from = "String")]
    role: Role,
    parts: String,
    #[sqlx(try_from = "String")]
    state: MessageState,
    error: Option<String>,
    created_at: i64,
    agent: String,
    model: Option<String>,
    input_tokens: Option<i64>,
    cache_read_tokens: Option<i64>,
    cache_write_tokens: Option<i64>,
    output_tokens: Option<i64>,
    charged: Option<i64>,
    duration_ms: Option<i64>,
}

impl MessageRow {
    fn message(self) -> Result<Message, Error> {
        let receipt = match (self.role, &self.model) {
            (Role::Assistant, Some(model)) => Some(Receipt {
                agent: self.agent,
                model: model.clone(),
                input_tokens: [self.input_tokens, self.cache_read_tokens, self.cache_write_tokens]
                    .into_iter()
                    .fold(0, |sum: u64, tokens| sum.saturating_add(count(tokens))),
                cached_tokens: count(self.cache_read_tokens),
                output_tokens: count(self.output_tokens),
                charged: Credits::from_micros(self.charged.unwrap_or(0)),
                duration_ms: count(self.duration_ms),
            }),
            _ => None,
        };
        let parts = serde_json::from_str(&self.parts)
            .map_err(|source| Error::internal("read a stored message", source))?;
        Ok(Message {
            id: self.id,
            turn_id: self.turn_id,
            role: self.role,
            parts,
            state: self.state,
            error: self.error,
            receipt,
            created_at: self.created_at,
        })
    }
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match &part.body {
        PartBody::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

fn count(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

impl Message {
    /// What a person said.
    pub(crate) fn from_person(turn: &TurnId, session: &str, text: String, now: i64) -> Self {
        let id = format!("usr_{turn}");
        let part = Part {
            id: format!("prt_usr_{turn}"),
            session_id: session.to_owned(),
            message_id: id.clone(),
            body: PartBody::Text(TextPart { text, ..TextPart::default() }),
        };
        Self {
            id,
            turn_id: turn.clone(),
            role: Role::User,
            parts: vec![part],
            state: MessageState::Complete,
            error: None,
            receipt: None,
            created_at: now,
        }
    }

    /// What the person said last in a chat.
    pub(crate) async fn last_question(
        tx: &mut Transaction,
        chat: &ChatId,
    ) -> Result<Option<String>, Error> {
        let sql = "SELECT parts FROM messages WHERE chat_id = $1 AND role = $2
                   ORDER BY position DESC LIMIT 1";
        let row: Option<(String,)> = tx.optional(sql, args![chat, Role::User]).await?;
        let Some((parts,)) = row else { return Ok(None) };
        let parts: Vec<Part> = serde_json::from_str(&parts)
            .map_err(|source| Error::internal("read a stored message", source))?;
        Ok(Some(text_of(&parts)))
    }

    /// Marks the person's message as one that was said before. The mark is kept with the text.
    pub(crate) fn repeating(mut self, repeats: bool) -> Self {
        if let (true, Some(PartBody::Text(said))) =
            (repeats, self.parts.first_mut().map(|part| &mut part.body))
        {
            said.extra.insert(REPEATS.to_owned(), true.into());
        }
        self
    }

    /// The person had the chat's last question asked again.
    pub fn repeats(&self) -> bool {
        self.parts.iter().any(|part| match &part.body {
            PartBody::Text(text) => text.extra.get(REPEATS).is_some_and(|mark| mark == true),
            _ => false,
        })
    }

    /// The text of the message: its text parts, parted by blank lines.
    pub(crate) fn text(&self) -> String {
        text_of(&self.parts)
    }

    /// Stores the message at a place of its chat. The receipt is stored as the turn's usage.
    pub(crate) async fn insert(
        &self,
        tx: &mut Transaction,
        chat: &ChatId,
        position: i64,
    ) -> Result<(), Error> {
        let parts = serde_json::to_string(&self.parts)
            .map_err(|source| Error::internal("write a message", source))?;
        tx.execute(
            "INSERT INTO messages
             (id, chat_id, turn_id, position, role, parts, state, error, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            args![
                &self.id,
                chat,
                &self.turn_id,
                position,
                self.role,
                parts,
                self.state,
                self.error.as_deref(),
                self.created_at
            ],
        )
        .await?;
        Ok(())
    }
}

impl Backend {
    /// The messages of a chat from a place on and before another one, in order.
    pub(crate) async fn messages(
        &self,
        chat: &ChatId,
        places: Range<i64>,
    ) -> Result<Vec<Message>, Error> {
        let rows: Vec<MessageRow> = self
            .db()
            .all(
                "SELECT m.id, m.turn_id, m.role, m.parts, m.state, m.error, m.created_at,
                        t.agent, u.model, u.input_tokens, u.cache_read_tokens, u.cache_write_tokens,
                        u.output_tokens, u.charged, u.duration_ms
                 FROM messages m JOIN turns t ON t.id = m.turn_id
                 LEFT JOIN usage u ON u.turn_id = m.turn_id
                 WHERE m.chat_id = $1 AND m.position >= $2 AND m.position < $3 ORDER BY m.position",
                args![chat, places.start, places.end],
            )
            .await?;
        rows.into_iter().map(MessageRow::message).collect()
    }

    /// Where the last turns before a place begin, at most so many of them, and whether there are
    /// others before these.
    pub(crate) async fn last_turns(
        &self,
        chat: &ChatId,
        before: i64,
        turns: i64,
    ) -> Result<(i64, bool), Error> {
        let first_and_earlier: Vec<(i64,)> = self
            .db()
            .all(
                "SELECT position FROM messages
                 WHERE chat_id = $1 AND role = $2 AND position < $3
                 ORDER BY position DESC LIMIT 2 OFFSET $4",
                args![chat, Role::User, before, turns - 1],
            )
            .await?;
        let first = first_and_earlier.first().map_or(0, |(position,)| *position);
        Ok((first, first_and_earlier.len() > 1))
    }

    /// One of a turn's two messages.
    pub(crate) async fn message(
        &self,
        turn: &TurnId,
        role: Role,
    ) -> Result<Option<Message>, Error> {
        let row: Option<MessageRow> = self
            .db()
            .optional(
                "SELECT m.id, m.turn_id, m.role, m.parts, m.state, m.error, m.created_at,
                        t.agent, u.model, u.input_tokens, u.cache_read_tokens, u.cache_write_tokens,
                        u.output_tokens, u.charged, u.duration_ms
                 FROM messages m JOIN turns t ON t.id = m.turn_id
                 LEFT JOIN usage u ON u.turn_id = m.turn_id
                 WHERE m.turn_id = $1 AND m.role = $2",
                args![turn, role],
            )
            .await?;
        row.map(MessageRow::message).transpose()
    }
}
