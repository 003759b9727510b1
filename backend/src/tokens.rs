//! What a browser needs to watch a session: where, with which token, from which event on.

use std::fmt;

use sandbox_sdk::auth::{IssueRequest, Tier};

use crate::{Account, AccountId, Backend, ChatId, Error, db::args};

/// Opens one session's stream for reading, for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamGrant {
    /// WebSocket address of the session gateway.
    pub url: String,
    /// Read token, scoped to this one session. A secret: never written to HTML or a log.
    pub token: String,
    /// Seconds since the Unix epoch.
    pub expires_at: i64,
    /// The agent session; its channel is `session:<id>`.
    pub session_id: String,
    /// Events up to this number are in the history already.
    pub since: u64,
}

impl fmt::Debug for StreamGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGrant")
            .field("url", &self.url)
            .field("expires_at", &self.expires_at)
            .field("session_id", &self.session_id)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// The session a grant is for.
#[derive(sqlx::FromRow)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    pub(crate) remote_id: Option<String>,
    pub(crate) since: i64,
}

impl Backend {
    /// A fresh token for the session of the chat's sandbox.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while the chat has no sandbox that is ready.
    pub async fn refresh_token(
        &self,
        account: &Account,
        chat: &ChatId,
    ) -> Result<StreamGrant, Error> {
        // One query, so that somebody else's chat and a missing one take the same way. `running` is
        // written after the session was mapped: a token never comes before its mapping.
        let session: Option<Session> = self
            .db()
            .optional(
                "SELECT COALESCE(s.session_id, '') AS session_id, s.remote_id,
                        CASE WHEN t.since_seq > s.settled_seq THEN t.since_seq
                             ELSE COALESCE(s.settled_seq, 0) END AS since
                 FROM chats c
                 LEFT JOIN sandboxes s ON s.chat_id = c.id AND s.state = 'running'
                 LEFT JOIN turns t ON t.sandbox_id = s.id AND t.state = 'running'
                 WHERE c.id = $1 AND c.account_id = $2 AND c.deleted_at IS NULL",
                args![chat, account.id()],
            )
            .await?;
        match session {
            None => Err(Error::NotFound),
            Some(session) if session.remote_id.is_none() => {
                Err(Error::conflict("The sandbox of this chat is not ready yet."))
            }
            Some(session) => self.grant(account.id(), session),
        }
    }

    /// Signs a token for a session that is mapped.
    pub(crate) fn grant(
        &self,
        account: &AccountId,
        session: Session,
    ) -> Result<StreamGrant, Error> {
        let issued = self
            .issuer()
            .issue(&IssueRequest {
                user_id: account.to_string(),
                session_id: session.session_id.clone(),
                tier: Tier::Free,
                sandbox_id: session.remote_id,
            })
            .map_err(|source| Error::internal("sign a read token", source))?;
        Ok(StreamGrant {
            url: self.config().gateway_url.clone(),
            token: issued.token,
            expires_at: issued.expires_at,
            session_id: session.session_id,
            since: u64::try_from(session.since).unwrap_or(0),
        })
    }
}
