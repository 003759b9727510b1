//! Accounts and the web sessions that open them.

use std::{fmt, time::Duration};

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    AccountId, Backend, Balance, Credits, Error,
    clock::{from_now, millis, now_ms},
    db::args,
    ledger,
};

/// A web session's use is noted no more often than this.
const TOUCH_EVERY: Duration = Duration::from_secs(300);
const SECRET_BYTES: usize = 32;

/// Somebody who was authenticated. Only [`Backend::authenticate`] and [`Backend::create_guest`] make
/// one.
#[derive(Clone, Debug)]
pub struct Account {
    id: AccountId,
    guest: bool,
}

/// The secret of a web session, for the browser's cookie. Only its hash is stored.
#[derive(Clone)]
pub struct SessionToken {
    secret: String,
    expires_at: i64,
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    #[sqlx(try_from = "String")]
    account_id: AccountId,
    kind: String,
    seen_at: i64,
}

#[derive(sqlx::FromRow)]
struct FundsRow {
    posted: i64,
    held: i64,
}

impl Account {
    /// Who it is.
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Never signed up.
    pub fn is_guest(&self) -> bool {
        self.guest
    }
}

impl SessionToken {
    /// The secret itself: 32 random bytes in base64url.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// When the session ends in any case, seconds since the Unix epoch.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Backend {
    /// What a new guest gets.
    pub fn guest_grant(&self) -> Credits {
        self.config().guest_credits
    }

    /// The secret of a web session that is still to begin. Nothing is stored.
    ///
    /// # Errors
    /// Without randomness.
    pub fn new_session(&self) -> Result<SessionToken, Error> {
        let mut bytes = [0; SECRET_BYTES];
        rand::fill(&mut bytes).map_err(|_| Error::broken("no randomness"))?;
        Ok(self.token(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The same, for a secret that was given to a browser before and has come back; `None` for what
    /// can't be one of ours.
    pub fn given_session(&self, secret: &str) -> Option<SessionToken> {
        let bytes = URL_SAFE_NO_PAD.decode(secret).ok()?;
        (bytes.len() == SECRET_BYTES).then(|| self.token(secret.to_owned()))
    }

    fn token(&self, secret: String) -> SessionToken {
        let expires_at = from_now(self.config().timing.session_absolute) / 1000;
        SessionToken { secret, expires_at }
    }

    /// Makes a guest with free credits, and begins the web session. The same secret again, at the
    /// same time or later, is the same guest: a browser whose first request was answered in vain
    /// finds its account. A session that has ended opens nothing; its secret begins a new guest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn create_guest(&self, token: &SessionToken) -> Result<Account, Error> {
        let account = Account { id: AccountId::generate(), guest: true };
        let (hash, now) = (hash(&token.secret), now_ms());
        let expires_at = token.expires_at.saturating_mul(1000);
        let mut tx = self.db().begin().await?;
        tx.execute(
            "DELETE FROM logins WHERE token_hash = $1 AND (idle_until <= $2 OR expires_at <= $2)",
            args![&hash, now],
        )
        .await?;
        tx.execute(
            "INSERT INTO accounts (id, kind, created_at) VALUES ($1, 'guest', $2)",
            args![&account.id, now],
        )
        .await?;
        let idle_until = from_now(self.config().timing.session_idle).min(expires_at);
        let begun = tx
            .execute(
                "INSERT INTO logins
                 (token_hash, account_id, created_at, seen_at, idle_until, expires_at)
                 VALUES ($1, $2, $3, $3, $4, $5) ON CONFLICT (token_hash) DO NOTHING",
                args![&hash, &account.id, now, idle_until, expires_at],
            )
            .await?;
        if begun == 0 {
            drop(tx);
            return self.authenticate(&token.secret).await?.ok_or(Error::Unauthenticated);
        }
        let reference = format!("grant:guest:{}", account.id);
        ledger::grant(&mut tx, &account.id, self.guest_grant(), &reference).await?;
        tx.commit().await?;
        Ok(account)
    }

    /// Whose web session this is, if it is one that has not ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Account>, Error> {
        // Nothing else can be one of ours, and an endless cookie is not worth hashing.
        if token.len() != SECRET_BYTES.div_ceil(3) * 4 - 1 {
            return Ok(None);
        }
        let (hash, now) = (hash(token), now_ms());
        let login: Option<LoginRow> = self
            .db()
            .optional(
                "SELECT l.account_id, a.kind, l.seen_at
                 FROM logins l JOIN accounts a ON a.id = l.account_id
                 WHERE l.token_hash = $1 AND l.idle_until > $2 AND l.expires_at > $2",
                args![&hash, now],
            )
            .await?;
        let Some(login) = login else { return Ok(None) };
        if now - login.seen_at > millis(TOUCH_EVERY) {
            // Whoever it is may go on all the same: the next request notes it.
            if let Err(error) = self.note_use(&hash, now).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the use of a session could not be noted");
            }
        }
        Ok(Some(Account { id: login.account_id, guest: login.kind == "guest" }))
    }

    async fn note_use(&self, hash: &str, now: i64) -> Result<(), Error> {
        let idle_until = from_now(self.config().timing.session_idle);
        self.db()
            .execute(
                "UPDATE logins SET seen_at = $2,
                 idle_until = CASE WHEN $3 < expires_at THEN $3 ELSE expires_at END
                 WHERE token_hash = $1",
                args![hash, now, idle_until],
            )
            .await?;
        Ok(())
    }

    /// What the account has. An account without a row has nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn balance(&self, account: &Account) -> Result<Balance, Error> {
        let sql = "SELECT posted, held FROM accounts WHERE id = $1";
        let funds: Option<FundsRow> = self.db().optional(sql, args![&account.id]).await?;
        let Some(funds) = funds else { return Ok(Balance::default()) };
        let held = Credits::from_micros(funds.held);
        Ok(Balance { available: Credits::from_micros(funds.posted).minus(held)?, held })
    }

    /// Removes web sessions that have ended.
    pub(crate) async fn purge_logins(&self) -> Result<(), Error> {
        let sql = "DELETE FROM logins WHERE idle_until <= $1";
        self.db().execute(sql, args![now_ms()]).await?;
        Ok(())
    }
}

/// The secret has 256 random bits, so that a plain hash can't be reversed by guessing.
fn hash(secret: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}
