//! A turn as it stands in the database, with the sandbox it runs in.

use std::time::Duration;

use sandbox_sdk::types::{BackendChoice, CostLimit, ModelChoice, TokenUsage, TurnLimits};

use crate::{
    AccountId, Backend, ChatId, Credits, Error, Permissions, TurnId, TurnState,
    clock::{from_now, now_ms},
    db::args,
    prices::{LimitedBy, Price},
};

#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct TurnRow {
    #[sqlx(try_from = "String")]
    pub(crate) id: TurnId,
    #[sqlx(try_from = "String")]
    pub(crate) account_id: AccountId,
    #[sqlx(try_from = "String")]
    pub(crate) chat_id: ChatId,
    pub(crate) sandbox_id: String,
    pub(crate) position: i64,
    #[sqlx(try_from = "String")]
    pub(crate) state: TurnState,
    pub(crate) agent: String,
    pub(crate) model: String,
    #[sqlx(try_from = "String")]
    permissions: Permissions,
    provider: Option<String>,
    provider_model: Option<String>,
    price_input: i64,
    price_output: i64,
    price_cache_read: i64,
    price_cache_write: i64,
    #[sqlx(try_from = "String")]
    limited_by: LimitedBy,
    max_input_tokens: i64,
    max_output_tokens: i64,
    pub(crate) dispatched_at: Option<i64>,
    pub(crate) since_seq: i64,
    pub(crate) stop_requested_at: Option<i64>,
    pub(crate) woken_at: Option<i64>,
    pub(crate) unreachable_since: Option<i64>,
    pub(crate) notice: Option<String>,
    pub(crate) report: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) remote_id: Option<String>,
    pub(crate) session_id: String,
    pub(crate) settled_seq: i64,
    pub(crate) sandbox_state: String,
    pub(crate) hold: i64,
    chat_deleted_at: Option<i64>,
}

impl TurnRow {
    /// What the usage costs at the price the turn began with.
    pub(crate) fn cost(&self, usage: &TokenUsage) -> Credits {
        self.price().charge(usage)
    }

    fn price(&self) -> Price {
        Price {
            input: self.price_input,
            output: self.price_output,
            cache_read: self.price_cache_read,
            cache_write: self.price_cache_write,
        }
    }

    /// A provider serves its model, and is paid for it. An agent that needs none counts for show.
    pub(crate) fn has_providers_model(&self) -> bool {
        self.provider_model.is_some()
    }

    /// What the orchestrator is asked to run.
    pub(crate) fn backend(&self) -> BackendChoice {
        let model = self.provider_model.as_ref().map(|_| ModelChoice {
            provider: self.provider.clone(),
            model: self.provider_model.clone(),
            ..ModelChoice::default()
        });
        let mut choice =
            BackendChoice { kind: Some(self.agent.clone()), model, ..BackendChoice::default() };
        if self.permissions != Permissions::default() {
            choice.extra.insert("profile".to_owned(), self.permissions.as_str().into());
        }
        choice
    }

    /// What it may use at most: nothing that costs more than is held, at the price it began with. A
    /// free turn is bounded by time, and by what the orchestrator itself sets.
    pub(crate) fn limits(&self, longest: Duration) -> TurnLimits {
        let mut limits = TurnLimits {
            max_duration_ms: u64::try_from(longest.as_millis()).ok(),
            ..TurnLimits::default()
        };
        match self.limited_by {
            LimitedBy::Tokens => {
                limits.max_input_tokens = Some(natural(self.max_input_tokens));
                limits.max_output_tokens = Some(natural(self.max_output_tokens));
            }
            LimitedBy::Cost => {
                limits.max_cost = Some(CostLimit {
                    amount: natural(self.hold),
                    input: natural(self.price_input),
                    output: natural(self.price_output),
                    cache_read: natural(self.price_cache_read),
                    cache_write: natural(self.price_cache_write),
                });
            }
            LimitedBy::Nothing => {}
        }
        limits
    }

    /// The same turn, now that its sandbox has a name.
    pub(crate) fn in_sandbox(&self, remote_id: String) -> Self {
        Self { remote_id: Some(remote_id), ..self.clone() }
    }

    /// The most the turn may cost.
    pub(crate) fn hold(&self) -> Credits {
        Credits::from_micros(self.hold)
    }

    /// Handed over, as far as we know: claimed for dispatch, but not confirmed.
    pub(crate) fn is_in_the_air(&self) -> bool {
        self.state == TurnState::Running && self.dispatched_at.is_none()
    }
}

/// A number that the database keeps from being negative.
fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Backend {
    pub(crate) async fn turn_row(&self, turn: &TurnId) -> Result<Option<TurnRow>, Error> {
        self.db()
            .optional(
                "SELECT t.id, t.account_id, t.chat_id, t.sandbox_id, t.position, t.state, t.agent,
                        t.model, t.permissions, t.provider, t.provider_model, t.limited_by,
                        t.price_input, t.price_output, t.price_cache_read, t.price_cache_write,
                        t.max_input_tokens, t.max_output_tokens, t.dispatched_at, t.since_seq,
                        t.stop_requested_at, t.woken_at, t.unreachable_since, t.notice, t.report, t.created_at,
                        s.remote_id, s.session_id, s.settled_seq, s.state AS sandbox_state,
                        h.amount AS hold, c.deleted_at AS chat_deleted_at
                 FROM turns t
                 JOIN chats c ON c.id = t.chat_id
                 JOIN sandboxes s ON s.id = t.sandbox_id
                 JOIN holds h ON h.turn_id = t.id
                 WHERE t.id = $1",
                args![turn],
            )
            .await
    }

    /// The account's turn, in a chat that was not deleted.
    pub(crate) async fn owned_turn(
        &self,
        account: &AccountId,
        turn: &TurnId,
    ) -> Result<TurnRow, Error> {
        let row = self.turn_row(turn).await?;
        let theirs = |row: &TurnRow| row.account_id == *account && row.chat_deleted_at.is_none();
        row.filter(theirs).ok_or(Error::NotFound)
    }

    /// Keeps other workers from the turn for a while.
    pub(crate) async fn renew_lease(&self, turn: &TurnId, lease: Duration) -> Result<(), Error> {
        let until = from_now(lease);
        let sql = "UPDATE turns SET lease_until = $2 WHERE id = $1 AND ended_at IS NULL";
        self.db().execute(sql, args![turn, until]).await?;
        Ok(())
    }

    /// Notes whether the orchestrator could be asked about the turn. Answers since when it could not.
    pub(crate) async fn note_reach(&self, turn: &TurnRow, reached: bool) -> Result<i64, Error> {
        let now = now_ms();
        match (reached, turn.unreachable_since) {
            (true, Some(_)) => {
                let sql = "UPDATE turns SET unreachable_since = NULL WHERE id = $1";
                self.db().execute(sql, args![&turn.id]).await?;
                Ok(now)
            }
            (false, None) => {
                let sql = "UPDATE turns SET unreachable_since = $2
                           WHERE id = $1 AND unreachable_since IS NULL";
                self.db().execute(sql, args![&turn.id, now]).await?;
                Ok(now)
            }
            (_, since) => Ok(since.unwrap_or(now)),
        }
    }
}
