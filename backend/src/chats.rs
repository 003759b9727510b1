//! Chats: list, open, rename, delete. Somebody else's chat is not found.

mod open;

pub use open::{ChatDetail, EarlierMessages};

use crate::{Account, AccountId, Backend, ChatId, Error, TurnId, clock::now_ms, db::args};

/// Longest title of a chat, in characters.
const MAX_TITLE: usize = 120;
/// Length of a title that is made from the first message.
const MADE_TITLE: usize = 60;
/// Abandoned chats that one round deletes.
const ABANDONED_AT_ONCE: i64 = 100;

/// A chat as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSummary {
    /// The chat.
    pub id: ChatId,
    /// One line.
    pub title: String,
    /// Last change, milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// A turn has not ended yet.
    pub running: bool,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    #[sqlx(try_from = "String")]
    id: ChatId,
    title: String,
    updated_at: i64,
    running: i64,
}

impl From<SummaryRow> for ChatSummary {
    fn from(row: SummaryRow) -> Self {
        Self { id: row.id, title: row.title, updated_at: row.updated_at, running: row.running > 0 }
    }
}

impl Backend {
    /// The account's chats, the last changed first, at most 500.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn chats(&self, account: &Account) -> Result<Vec<ChatSummary>, Error> {
        let rows: Vec<SummaryRow> = self
            .db()
            .all(
                "SELECT c.id, c.title, c.updated_at,
                 (SELECT COUNT(*) FROM turns t
                  WHERE t.chat_id = c.id AND t.state IN ('provisioning', 'running')) AS running
                 FROM chats c WHERE c.account_id = $1 AND c.deleted_at IS NULL
                 ORDER BY c.updated_at DESC, c.id DESC LIMIT 500",
                args![account.id()],
            )
            .await?;
        Ok(rows.into_iter().map(ChatSummary::from).collect())
    }

    /// Gives a chat another title: one line, at most 120 characters.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a title without a visible character.
    pub async fn rename_chat(
        &self,
        account: &Account,
        chat: &ChatId,
        title: &str,
    ) -> Result<ChatSummary, Error> {
        let title = one_line(title, MAX_TITLE);
        if title.is_empty() {
            return Err(Error::invalid("title", "A chat needs a title."));
        }
        let (backend, account, chat) = (self.clone(), account.clone(), chat.clone());
        // Whoever reloads the page at once lets go of the request.
        self.to_the_end(async move {
            let changed = backend
                .db()
                .execute(
                    "UPDATE chats SET title = $3
                     WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL",
                    args![&chat, account.id(), title],
                )
                .await?;
            if changed == 0 {
                return Err(Error::NotFound);
            }
            backend.chat_summary(&account, &chat).await
        })
        .await
    }

    /// Deletes a chat with its messages. A running turn is stopped and settled for what it used; the
    /// sandbox goes after that, in the background.
    ///
    /// # Errors
    /// `NotFound`, also for a chat that was deleted before.
    pub async fn delete_chat(&self, account: &Account, chat: &ChatId) -> Result<(), Error> {
        let open = self.erase(account.id(), chat).await?;
        let (backend, chat) = (self.clone(), chat.clone());
        self.in_background("cleaning up after a deleted chat", async move {
            if let Some(turn) = open {
                backend.wind_up(&turn).await?;
            }
            backend.purge_sandboxes(Some(&chat)).await
        });
        Ok(())
    }

    /// Deletes chats of guests who have no web session left: nobody can open them any more.
    pub(crate) async fn delete_abandoned(&self) -> Result<(), Error> {
        let chats: Vec<(String, String)> = self
            .db()
            .all(
                "SELECT c.account_id, c.id FROM chats c JOIN accounts a ON a.id = c.account_id
                 WHERE c.deleted_at IS NULL AND a.kind = 'guest' AND NOT EXISTS
                 (SELECT 1 FROM logins l WHERE l.account_id = a.id) LIMIT $1",
                args![ABANDONED_AT_ONCE],
            )
            .await?;
        for (account, chat) in chats {
            match self.erase(&AccountId::try_from(account)?, &ChatId::try_from(chat)?).await {
                // The background jobs see to the rest: a turn that is to stop, a sandbox to delete.
                Ok(_) | Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Empties the chat, and dooms its sandboxes. Answers which turn is to be stopped.
    async fn erase(&self, account: &AccountId, chat: &ChatId) -> Result<Option<TurnId>, Error> {
        let now = now_ms();
        let mut tx = self.db().begin().await?;
        let deleted = tx
            .execute(
                "UPDATE chats SET deleted_at = $3, updated_at = $3, title = ''
                 WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL",
                args![chat, account, now],
            )
            .await?;
        if deleted == 0 {
            return Err(Error::NotFound);
        }
        let open: Option<(String,)> = tx
            .optional(
                "UPDATE turns SET stop_requested_at = COALESCE(stop_requested_at, $2)
                 WHERE chat_id = $1 AND state IN ('provisioning', 'running') RETURNING id",
                args![chat, now],
            )
            .await?;
        tx.execute(
            "UPDATE sandboxes SET state = 'deleting', updated_at = $2
             WHERE chat_id = $1 AND state <> 'deleted'",
            args![chat, now],
        )
        .await?;
        tx.execute("DELETE FROM messages WHERE chat_id = $1", args![chat]).await?;
        tx.commit().await?;
        open.map(|(turn,)| TurnId::try_from(turn)).transpose()
    }

    pub(crate) async fn chat_summary(
        &self,
        account: &Account,
        chat: &ChatId,
    ) -> Result<ChatSummary, Error> {
        let row: Option<SummaryRow> = self
            .db()
            .optional(
                "SELECT c.id, c.title, c.updated_at,
                 (SELECT COUNT(*) FROM turns t
                  WHERE t.chat_id = c.id AND t.state IN ('provisioning', 'running')) AS running
                 FROM chats c WHERE c.id = $1 AND c.account_id = $2 AND c.deleted_at IS NULL",
                args![chat, account.id()],
            )
            .await?;
        row.map(ChatSummary::from).ok_or(Error::NotFound)
    }
}

/// The title of a chat that begins with this message.
pub(crate) fn title_of(message: &str) -> String {
    let title = one_line(message, MADE_TITLE);
    if title.is_empty() { "New chat".to_owned() } else { title }
}

/// The text with runs of white space and control characters as single spaces, cut at a word where
/// that costs little.
fn one_line(text: &str, max: usize) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    // What is far beyond the cut need not be looked at.
    let head: String = text.trim_start_matches(blank).chars().take(max * 4).collect();
    let line = head.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max {
        return line;
    }
    let cut: String = line.chars().take(max - 1).collect();
    let at_word =
        cut.rfind(' ').filter(|at| *at * 2 > cut.len()).map_or(cut.as_str(), |at| &cut[..at]);
    format!("{}…", at_word.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_beginning_of_the_message_in_one_line() {
        assert_eq!(title_of("List the files"), "List the files");
        assert_eq!(title_of("  List\n\n\tthe \u{0} files\r\n"), "List the files");
        assert_eq!(title_of("\u{7}\u{8}"), "New chat");
        let long = title_of(&"Write a small program that counts words ".repeat(10));
        assert_eq!(long, "Write a small program that counts words Write a small…");
        assert_eq!(title_of(&"ä".repeat(200)).chars().count(), 60);
    }
}
