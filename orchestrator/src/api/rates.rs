//! How much may be asked for in a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sandbox_sdk::types::ErrorCode;
use tokio::time::Instant;

use super::App;
use crate::{allowance::Allowance, error::ApiError};

/// Limits of the REST API, each a minute: for the product's key, and as much again for the tokens of
/// each sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimits {
    /// Requests of any kind.
    pub(crate) requests: u32,
    /// Sessions that are made.
    pub(crate) new_sessions: u32,
}

/// What is left of them now.
#[derive(Debug)]
pub(crate) struct Rates {
    limits: RateLimits,
    product: Mutex<Left>,
    /// By sandbox; those of which something is taken.
    sandboxes: Mutex<HashMap<String, Left>>,
}

#[derive(Debug)]
struct Left {
    limits: RateLimits,
    requests: Allowance,
    new_sessions: Allowance,
}

type Take = fn(&mut Left, Instant) -> Result<(), ApiError>;

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            product: Mutex::new(Left::new(limits, Instant::now())),
            sandboxes: Mutex::default(),
        }
    }

    /// Counts a request that came with the product's key.
    pub(super) fn product_request(&self) -> Result<(), ApiError> {
        self.take(None, Left::request)
    }

    /// Counts a request that came with a token of the sandbox.
    pub(super) fn sandbox_request(&self, id: &str) -> Result<(), ApiError> {
        self.take(Some(id), Left::request)
    }

    /// `of`: the sandbox whose token asks for it; `None`: the product's key.
    fn new_session(&self, of: Option<&str>) -> Result<(), ApiError> {
        self.take(of, Left::new_session)
    }

    fn take(&self, of: Option<&str>, take: Take) -> Result<(), ApiError> {
        let now = Instant::now();
        let Some(id) = of else {
            return take(&mut self.product.lock().unwrap_or_else(PoisonError::into_inner), now);
        };
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = sandboxes.get_mut(id) {
            return take(left, now);
        }
        // Room is made before the map grows: sandboxes come and go.
        if sandboxes.len() == sandboxes.capacity() {
            sandboxes.retain(|_, left| !left.is_full(now));
        }
        let mut left = Left::new(self.limits, now);
        let answer = take(&mut left, now);
        sandboxes.insert(id.to_owned(), left);
        answer
    }
}

impl Left {
    fn new(limits: RateLimits, now: Instant) -> Self {
        let requests = Allowance::per_minute(limits.requests, now);
        let new_sessions = Allowance::per_minute(limits.new_sessions, now);
        Self { limits, requests, new_sessions }
    }

    fn request(&mut self, now: Instant) -> Result<(), ApiError> {
        allowed(&mut self.requests, "requests_per_minute", self.limits.requests, now)
    }

    fn new_session(&mut self, now: Instant) -> Result<(), ApiError> {
        allowed(&mut self.new_sessions, "sessions_per_minute", self.limits.new_sessions, now)
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.requests.is_full(now) && self.new_sessions.is_full(now)
    }
}

impl App {
    /// Counts a session that is not there yet, before it is made. `of`: the sandbox whose token asks
    /// for it; `None`: the product's key.
    pub(super) async fn admit_session(&self, of: Option<&str>, sid: &str) -> Result<(), ApiError> {
        match self.store.session(sid).await? {
            Some(_) => Ok(()),
            None => self.rates.new_session(of),
        }
    }
}

fn allowed(
    allowance: &mut Allowance,
    quota: &str,
    limit: u32,
    now: Instant,
) -> Result<(), ApiError> {
    allowance.take(1, now).map_err(|wait| {
        ApiError::new(ErrorCode::QuotaExceeded, "That is too much for one minute. Try again soon.")
            .with("quotaType", quota)
            .with("current", limit)
            .with("limit", limit)
            .retry_after(wait)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_sandbox_takes_is_missing_to_no_other_and_not_to_the_product() {
        let rates = Rates::new(RateLimits { requests: 2, new_sessions: 1 });
        for _ in 0..2 {
            assert!(rates.sandbox_request("a").is_ok() && rates.product_request().is_ok());
        }
        assert!(rates.sandbox_request("a").is_err() && rates.product_request().is_err());
        assert!(rates.sandbox_request("b").is_ok());
        for of in [Some("a"), Some("c"), None] {
            assert!(rates.new_session(of).is_ok() && rates.new_session(of).is_err(), "{of:?}");
        }
    }

    #[test]
    fn sandboxes_of_which_nothing_is_taken_any_more_are_forgotten() {
        let rates = Rates::new(RateLimits { requests: 60_000, new_sessions: 1 });
        // One request comes back in a millisecond; this takes many.
        for number in 0..100_000 {
            rates.sandbox_request(&number.to_string()).unwrap();
        }
        assert!(rates.sandboxes.lock().unwrap().len() < 100_000);
    }
}
