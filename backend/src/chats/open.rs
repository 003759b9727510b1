//! A chat is read from its end: the last turns with all else that a page needs, then, as they are asked
//! for, those before them.

use super::ChatSummary;
use crate::{
    Account, ActiveTurn, Backend, ChatId, Choice, Error, Message, Role, SandboxState, TurnId,
    TurnState, db::args,
};

/// How many turns of a chat are read at once: some screens full, and no more than a page lays out in a
/// moment.
const TURNS_AT_ONCE: i64 = 12;

/// A chat with its settled history, or the end of it, and the turn that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatDetail {
    /// The chat.
    pub summary: ChatSummary,
    /// Oldest first, whole turns. Of a running turn only the person's message.
    pub messages: Vec<Message>,
    /// There are messages before these.
    pub earlier: bool,
    /// The turn that has not ended.
    pub active: Option<ActiveTurn>,
    /// The chat's sandbox.
    pub sandbox: SandboxState,
    /// What its last turn was run with.
    pub choice: Option<Choice>,
    /// Number of the last event of the chat's agent session that is part of the history.
    pub settled_seq: u64,
}

/// Messages that stand before others of their chat.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierMessages {
    /// Oldest first, whole turns.
    pub messages: Vec<Message>,
    /// There are messages before these.
    pub earlier: bool,
}

#[derive(sqlx::FromRow)]
struct ActiveRow {
    #[sqlx(try_from = "String")]
    id: TurnId,
    #[sqlx(try_from = "String")]
    state: TurnState,
    created_at: i64,
    notice: Option<String>,
}

#[derive(sqlx::FromRow)]
struct SandboxRow {
    #[sqlx(try_from = "String")]
    state: SandboxState,
    settled_seq: i64,
}

impl From<ActiveRow> for ActiveTurn {
    fn from(row: ActiveRow) -> Self {
        let (turn_id, state, started_at) = (row.id, row.state, row.created_at);
        Self { turn_id, state, started_at, notice: row.notice, waiting: Vec::new() }
    }
}

impl Backend {
    /// A chat with its last turns and the turn that runs.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn open_chat(&self, account: &Account, chat: &ChatId) -> Result<ChatDetail, Error> {
        let summary = self.chat_summary(account, chat).await?;
        let (from, earlier) = self.last_turns(chat, i64::MAX, TURNS_AT_ONCE).await?;
        let opened = self.open_from(account, summary, from).await?;
        Ok(ChatDetail { earlier, ..opened })
    }

    /// A chat with all of its turns, however many there are.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn open_whole_chat(
        &self,
        account: &Account,
        chat: &ChatId,
    ) -> Result<ChatDetail, Error> {
        let summary = self.chat_summary(account, chat).await?;
        self.open_from(account, summary, 0).await
    }

    /// The chat with its messages from a place on.
    async fn open_from(
        &self,
        account: &Account,
        summary: ChatSummary,
        from: i64,
    ) -> Result<ChatDetail, Error> {
        let chat = &summary.id;
        // Before the messages: what it says to be settled is then among them.
        let sandbox: Option<SandboxRow> = self
            .db()
            .optional(
                "SELECT state, settled_seq FROM sandboxes
                 WHERE chat_id = $1 AND state NOT IN ('deleting', 'deleted')
                 ORDER BY created_at DESC, id DESC LIMIT 1",
                args![chat],
            )
            .await?;
        let choice = self.choice_of_chat(account.id(), chat).await?;
        let (messages, mut active) = self.history(chat, from).await?;
        if let Some(turn) = &mut active {
            turn.waiting = self.waiting_parts(&turn.turn_id).await?;
        }
        Ok(ChatDetail {
            summary: ChatSummary { running: active.is_some(), ..summary },
            messages,
            earlier: false,
            active,
            choice,
            sandbox: sandbox.as_ref().map_or(SandboxState::None, |sandbox| sandbox.state),
            settled_seq: sandbox.map_or(0, |row| u64::try_from(row.settled_seq).unwrap_or(0)),
        })
    }

    /// The messages from a place on, and the turn behind a last message that has no answer yet.
    async fn history(
        &self,
        chat: &ChatId,
        from: i64,
    ) -> Result<(Vec<Message>, Option<ActiveTurn>), Error> {
        loop {
            let messages = self.messages(chat, from..i64::MAX).await?;
            let Some(asked) = messages.last().filter(|last| last.role == Role::User) else {
                return Ok((messages, None));
            };
            let row: Option<ActiveRow> = self
                .db()
                .optional(
                    "SELECT id, state, created_at, notice FROM turns WHERE id = $1",
                    args![&asked.turn_id],
                )
                .await?;
            match row {
                // It has ended since the messages were read: the answer is there by now.
                Some(row) if row.state.is_final() => {}
                row => return Ok((messages, row.map(ActiveTurn::from))),
            }
        }
    }

    /// The last turns before one of the chat's turns.
    ///
    /// # Errors
    /// `NotFound`, also for a turn of another chat.
    pub async fn earlier_messages(
        &self,
        account: &Account,
        chat: &ChatId,
        before: &TurnId,
    ) -> Result<EarlierMessages, Error> {
        let place: Option<(i64,)> = self
            .db()
            .optional(
                "SELECT m.position FROM messages m JOIN chats c ON c.id = m.chat_id
                 WHERE m.turn_id = $1 AND m.role = $2
                 AND c.id = $3 AND c.account_id = $4 AND c.deleted_at IS NULL",
                args![before, Role::User, chat, account.id()],
            )
            .await?;
        let (place,) = place.ok_or(Error::NotFound)?;
        let (from, earlier) = self.last_turns(chat, place, TURNS_AT_ONCE).await?;
        Ok(EarlierMessages { messages: self.messages(chat, from..place).await?, earlier })
    }
}
