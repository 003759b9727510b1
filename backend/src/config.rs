//! What a backend is built from.

use std::{fmt, time::Duration};

use secrecy::SecretString;

use crate::{Credits, Prices};

/// Everything a backend needs to know. Times and limits have defaults.
#[derive(Clone)]
pub struct BackendConfig {
    /// `sqlite:…` or `postgres:…`.
    pub database_url: String,
    /// Base address of the orchestrator.
    pub orchestrator_url: String,
    /// Base address of the sandbox API, where it is another.
    pub sandbox_api_url: Option<String>,
    /// Opens both.
    pub api_key: SecretString,
    /// The product's id in read tokens.
    pub product_id: String,
    /// Signs read tokens and verifies webhooks.
    pub signing_secret: SecretString,
    /// WebSocket address of the session gateway, as browsers reach it.
    pub gateway_url: String,
    /// Image to ask for; none leaves it to the orchestrator.
    pub sandbox_image: Option<String>,
    /// Credits of a new guest.
    pub guest_credits: Credits,
    /// What models cost.
    pub prices: Prices,
    /// How long things may take.
    pub timing: Timing,
    /// How much an account may do.
    pub limits: Limits,
}

/// Without the database's address, which may hold a password.
impl fmt::Debug for BackendConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendConfig")
            .field("orchestrator_url", &self.orchestrator_url)
            .field("gateway_url", &self.gateway_url)
            .field("timing", &self.timing)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// One call to the orchestrator in the background, its retries included.
    pub call: Duration,
    /// One call to the orchestrator that a person waits for.
    pub quick_call: Duration,
    /// How long a new turn waits for the session of a sandbox that should be ready, before the page
    /// shows progress instead.
    pub warm: Duration,
    /// From the request until the prompt was handed over, sandbox included. Later the turn fails.
    pub start: Duration,
    /// How long one worker has a turn to itself, and how often the orchestrator is asked about a
    /// running one.
    pub lease: Duration,
    /// How long the orchestrator may be out of reach before its turns end as interrupted.
    pub unreachable: Duration,
    /// The longest turn.
    pub turn: Duration,
    /// Pause between two rounds of the background jobs.
    pub sweep: Duration,
    /// Pause between two rounds of tidying up: ended sessions, abandoned chats, unused sandboxes.
    pub tidy: Duration,
    /// A chat that was not used for this long lets go of its sandbox.
    pub sandbox_idle: Duration,
    /// A lost sandbox is deleted after this. Until then an operator may save what is in it.
    pub lost_grace: Duration,
    /// How long an answer about agents and models counts as fresh.
    pub catalog: Duration,
    /// First pause of a retry; it doubles up to `retry_max`.
    pub retry: Duration,
    /// Longest pause of a retry.
    pub retry_max: Duration,
    /// A web session ends when it was not used for this long.
    pub session_idle: Duration,
    /// A web session ends after this long in any case.
    pub session_absolute: Duration,
}

/// How much an account may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Turns begun in any 60 seconds.
    pub turns_per_minute: u32,
    /// Chats begun in any hour.
    pub chats_per_hour: u32,
    /// Turns that run at the same time.
    pub running_turns: u32,
    /// Sandboxes that stand at the same time. The next one takes the place of that of the chat that
    /// was not used for the longest time.
    pub sandboxes: u32,
}

impl Default for Timing {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            call: Duration::from_secs(10),
            quick_call: Duration::from_secs(2),
            warm: Duration::from_secs(1),
            start: Duration::from_secs(120),
            lease: Duration::from_secs(15),
            unreachable: Duration::from_secs(180),
            turn: Duration::from_secs(30 * 60),
            sweep: Duration::from_secs(5),
            tidy: Duration::from_secs(300),
            sandbox_idle: Duration::from_secs(30 * DAY),
            lost_grace: Duration::from_secs(7 * DAY),
            catalog: Duration::from_secs(30),
            retry: Duration::from_millis(100),
            retry_max: Duration::from_secs(3),
            session_idle: Duration::from_secs(30 * DAY),
            session_absolute: Duration::from_secs(180 * DAY),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { turns_per_minute: 30, chats_per_hour: 120, running_turns: 8, sandboxes: 20 }
    }
}
