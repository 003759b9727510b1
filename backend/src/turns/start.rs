//! Starting a turn: check, store everything in one transaction, then set it going.

use super::row::TurnRow;
use crate::{
    Account, AccountId, Backend, ChatId, Credits, Error, Message, Role, StartTurn, StartedTurn,
    TurnId, TurnState,
    chats::title_of,
    clock::{from_now, now_ms},
    db::{Transaction, args},
    ledger,
    options::Offer,
    sandboxes,
};

/// Longest message, in characters.
const MAX_TEXT: usize = 100_000;
/// Bytes of text that make about one token.
const BYTES_PER_TOKEN: u64 = 4;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

impl Backend {
    /// Stores the message and the turn, reserves what the turn may cost, and sets it going. With a
    /// warm sandbox the turn is handed over in the background and can be watched at once; else the
    /// sandbox is made ready in the background.
    ///
    /// The same turn id again, at the same time or later, is a look-up.
    ///
    /// # Errors
    /// `Invalid` for the text, the agent, the model; `NotFound` for the chat; `Conflict` when the chat
    /// has a running turn, the turn id belongs to another chat, or all sandboxes are at work;
    /// `InsufficientCredits`; `RateLimited`. After these nothing is stored. After `Unavailable` or
    /// `Internal` the turn may be: the same id again tells.
    pub async fn start_turn(
        &self,
        account: &Account,
        mut request: StartTurn,
    ) -> Result<StartedTurn, Error> {
        request.text = checked_text(&request.text)?;
        if let Some(known) = self.turn_row(&request.turn_id).await? {
            return self.started_before(account, &request, known).await;
        }
        self.refuse_while_stopping()?;
        let offer = self.offer(account.id(), &request).await?;
        let (backend, account) = (self.clone(), account.clone());
        self.to_the_end(async move {
            if !backend.admit(account.id(), &request, &offer).await? {
                let known = backend.turn_row(&request.turn_id).await?.ok_or(Error::NotFound)?;
                return backend.started_before(&account, &request, known).await;
            }
            backend.launch(&request.turn_id).await?;
            backend.started(&account, &request.turn_id).await
        })
        .await
    }

    /// Whether a request makes sense before it is known whose it is.
    ///
    /// # Errors
    /// `Invalid` for the text, the agent, the model.
    pub async fn check_turn(&self, request: &StartTurn) -> Result<(), Error> {
        let text = checked_text(&request.text)?;
        let offer = self.offer_after(None, request.permissions, request).await?;
        needed(&offer, &text).map(drop)
    }

    async fn started_before(
        &self,
        account: &Account,
        request: &StartTurn,
        known: TurnRow,
    ) -> Result<StartedTurn, Error> {
        let other_chat = request.chat_id.as_ref().is_some_and(|chat| *chat != known.chat_id);
        if known.account_id != *account.id() || other_chat {
            return Err(Error::conflict("This turn id is in use elsewhere."));
        }
        self.started(account, &request.turn_id).await
    }

    async fn started(&self, account: &Account, turn: &TurnId) -> Result<StartedTurn, Error> {
        let row = self.owned_turn(account.id(), turn).await?;
        let user_message = self.message(turn, Role::User).await?.ok_or(Error::NotFound)?;
        Ok(StartedTurn {
            chat: self.chat_summary(account, &row.chat_id).await?,
            turn_id: row.id.clone(),
            state: row.state,
            stream: self.stream_of(&row)?,
            user_message,
        })
    }

    /// Stores the turn with its message and its hold. Answers whether it was new.
    async fn admit(
        &self,
        account: &AccountId,
        request: &StartTurn,
        offer: &Offer,
    ) -> Result<bool, Error> {
        let needed = needed(offer, &request.text)?;
        let mut tx = self.db().begin().await?;
        // The account's row is locked first: starts of one account happen one after the other.
        let available = ledger::lock_available(&mut tx, account).await?;
        let known: Option<(String,)> =
            tx.optional("SELECT id FROM turns WHERE id = $1", args![&request.turn_id]).await?;
        if known.is_some() {
            return Ok(false);
        }
        if available < needed {
            return Err(Error::InsufficientCredits { available, needed });
        }
        self.check_rates(&mut tx, account, request.chat_id.is_none()).await?;
        let hold = offer.model.full_hold().min(available);
        let place = match &request.chat_id {
            Some(chat) => take_place(&mut tx, account, chat).await?,
            None => new_chat(&mut tx, account, &request.text).await?,
        };
        let most = self.config().limits.sandboxes;
        sandboxes::make_room(&mut tx, account, &place.chat, most).await?;
        let sandbox = sandboxes::current(&mut tx, account, &place.chat).await?;
        let new = NewTurn { account, request, offer, place: &place, sandbox: &sandbox, hold };
        if !self.insert_turn(&mut tx, new).await? {
            return Ok(false);
        }
        if !ledger::hold(&mut tx, account, &request.turn_id, hold).await? {
            return Err(Error::broken("credits went away under the account's lock"));
        }
        let text = request.text.clone();
        let asked_before = request.repeats
            && Message::last_question(&mut tx, &place.chat).await?.as_ref() == Some(&text);
        Message::from_person(&request.turn_id, &sandbox.session_id, text, now_ms())
            .repeating(asked_before)
            .insert(&mut tx, &place.chat, place.position)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn check_rates(
        &self,
        tx: &mut Transaction,
        account: &AccountId,
        new_chat: bool,
    ) -> Result<(), Error> {
        let (limits, now) = (self.config().limits, now_ms());
        let rates: Rates = tx
            .one(
                "SELECT
                 (SELECT COUNT(*) FROM turns WHERE account_id = $1 AND created_at > $2) AS turns,
                 (SELECT MIN(created_at) FROM turns WHERE account_id = $1 AND created_at > $2)
                 AS oldest_turn,
                 (SELECT COUNT(*) FROM chats WHERE account_id = $1 AND created_at > $3) AS chats,
                 (SELECT MIN(created_at) FROM chats WHERE account_id = $1 AND created_at > $3)
                 AS oldest_chat,
                 (SELECT COUNT(*) FROM turns
                  WHERE account_id = $1 AND state IN ('provisioning', 'running')) AS running",
                args![account, now - MINUTE_MS, now - HOUR_MS],
            )
            .await?;
        within(rates.turns, limits.turns_per_minute, rates.oldest_turn, MINUTE_MS, now)?;
        if new_chat {
            within(rates.chats, limits.chats_per_hour, rates.oldest_chat, HOUR_MS, now)?;
        }
        if rates.running >= i64::from(limits.running_turns) {
            return Err(Error::conflict(format!(
                "{} of your chats are working already. Wait for one to finish, or stop one.",
                rates.running
            )));
        }
        Ok(())
    }

    async fn insert_turn(&self, tx: &mut Transaction, new: NewTurn<'_>) -> Result<bool, Error> {
        let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let model = &new.offer.model;
        let (max_input, max_output) = model.token_limits(new.hold);
        let served = model.served.as_ref();
        let inserted = tx
            .execute(
                "INSERT INTO turns
                 (id, account_id, chat_id, sandbox_id, position, state, agent, model, provider,
                  provider_model, price_version, price_input, price_output, price_cache_read,
                  price_cache_write, limited_by, max_input_tokens, max_output_tokens, lease_until,
                  notice, created_at, permissions)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                         $18, $19, $20, $21, $22)
                 ON CONFLICT (id) DO NOTHING",
                args![
                    &new.request.turn_id,
                    new.account,
                    &new.place.chat,
                    &new.sandbox.id,
                    new.place.position,
                    TurnState::Provisioning,
                    &new.offer.agent,
                    &model.name,
                    served.map(|served| served.provider.as_str()),
                    served.map(|served| served.id.as_str()),
                    self.config().prices.version(),
                    model.price.input,
                    model.price.output,
                    model.price.cache_read,
                    model.price.cache_write,
                    model.limited_by(),
                    count(max_input),
                    count(max_output),
                    from_now(self.config().timing.lease),
                    new.sandbox.notice,
                    now_ms(),
                    new.offer.permissions
                ],
            )
            .await?;
        Ok(inserted == 1)
    }
}

/// What an account did of late.
#[derive(sqlx::FromRow)]
struct Rates {
    turns: i64,
    oldest_turn: Option<i64>,
    chats: i64,
    oldest_chat: Option<i64>,
    running: i64,
}

struct NewTurn<'a> {
    account: &'a AccountId,
    request: &'a StartTurn,
    offer: &'a Offer,
    place: &'a Place,
    sandbox: &'a sandboxes::Current,
    hold: Credits,
}

/// Where in which chat the turn's messages stand.
struct Place {
    chat: ChatId,
    position: i64,
}

/// Takes the next place in a chat that has no running turn.
async fn take_place(
    tx: &mut Transaction,
    account: &AccountId,
    chat: &ChatId,
) -> Result<Place, Error> {
    let next: Option<(i64,)> = tx
        .optional(
            "UPDATE chats SET next_position = next_position + 2, updated_at = $3
             WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL RETURNING next_position",
            args![chat, account, now_ms()],
        )
        .await?;
    let (next,) = next.ok_or(Error::NotFound)?;
    let running: Option<(String,)> = tx
        .optional(
            "SELECT id FROM turns WHERE chat_id = $1 AND state IN ('provisioning', 'running')",
            args![chat],
        )
        .await?;
    match running {
        Some(_) => Err(Error::conflict(
            "This chat is still working on your last message. Wait for the answer, or stop it.",
        )),
        None => Ok(Place { chat: chat.clone(), position: next - 2 }),
    }
}

async fn new_chat(tx: &mut Transaction, account: &AccountId, text: &str) -> Result<Place, Error> {
    let chat = ChatId::generate();
    tx.execute(
        "INSERT INTO chats (id, account_id, title, next_position, created_at, updated_at)
         VALUES ($1, $2, $3, 2, $4, $4)",
        args![&chat, account, title_of(text), now_ms()],
    )
    .await?;
    Ok(Place { chat, position: 0 })
}

fn checked_text(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid("text", "Write a message first."));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(Error::invalid("text", "A message can have at most 100 000 characters."));
    }
    Ok(text.to_owned())
}

/// The least an account must have free to start this turn.
fn needed(offer: &Offer, text: &str) -> Result<Credits, Error> {
    let tokens = u64::try_from(text.len()).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN);
    let longest = [offer.model.longest_prompt(), offer.context_tokens].into_iter().flatten().min();
    if let Some(longest) = longest.filter(|longest| tokens > *longest) {
        return Err(Error::invalid(
            "text",
            format!(
                "This message is too long for the model: about {tokens} tokens, of at most {longest}."
            ),
        ));
    }
    Ok(offer.model.minimum_hold.max(offer.model.hold_for_input(tokens)))
}

/// Whether one more is allowed in a window that has `count` of them, the oldest from `oldest`.
fn within(
    count: i64,
    limit: u32,
    oldest: Option<i64>,
    window_ms: i64,
    now: i64,
) -> Result<(), Error> {
    if count < i64::from(limit) {
        return Ok(());
    }
    let wait = oldest.unwrap_or(now) + window_ms - now;
    Err(Error::RateLimited { retry_after_s: u64::try_from(wait / 1000).unwrap_or(0) + 1 })
}
