//! How often an account may answer its agents.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::error::AppError;

/// Answers that an account may give in a minute, all of them at once. An agent waits after each
/// question: more than a person ever needs, and less than would be a burden.
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// Accounts that are forgotten once there are so many, where their allowance is whole again.
const FORGET_FROM: usize = 10_000;

#[derive(Clone)]
pub(super) struct AnswerLimiter(Arc<DefaultKeyedRateLimiter<String>>);

impl std::fmt::Debug for AnswerLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerLimiter").field("accounts", &self.0.len()).finish()
    }
}

impl Default for AnswerLimiter {
    fn default() -> Self {
        Self(Arc::new(DefaultKeyedRateLimiter::keyed(Quota::per_minute(PER_MINUTE))))
    }
}

impl AnswerLimiter {
    pub(super) fn check(&self, account: &str) -> Result<(), AppError> {
        if self.0.len() > FORGET_FROM {
            self.0.retain_recent();
        }
        self.0.check_key(&account.to_owned()).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            AppError::RateLimited { retry_after_s: wait.as_secs() + 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_answers_as_often_as_a_person_does_and_holds_up_nobody_else() {
        let limiter = AnswerLimiter::default();
        let given = (0..1_000).take_while(|_| limiter.check("a").is_ok()).count();
        assert!((60..100).contains(&given), "{given}");
        assert!(matches!(limiter.check("a"), Err(AppError::RateLimited { retry_after_s: 1.. })));
        assert!(limiter.check("b").is_ok());
    }
}
