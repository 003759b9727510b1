//! Credits: what turns are paid with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of credits, in millionths. One credit is worth one US cent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Credits(pub i64);

/// Whole credits are shown without a fraction, others with two digits; what is more than nothing is
/// never shown as nothing.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ONE: u64 = 1_000_000;
        let micro = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if micro.is_multiple_of(ONE) {
            return write!(f, "{sign}{}", micro / ONE);
        }
        if micro < ONE / 100 {
            return write!(f, "{sign}<0.01");
        }
        let hundredths = (micro % ONE) / (ONE / 100);
        write!(f, "{sign}{}.{hundredths:02}", micro / ONE)
    }
}

/// What an account can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceView {
    /// What is left, turns in progress already taken off.
    pub available: Credits,
    /// What turns in progress have reserved.
    pub held: Credits,
    /// Nobody signed up: the account lives in this browser's cookie, or will with the first message.
    pub guest: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_shown_with_two_digits_unless_whole() {
        let shown = |micro| Credits(micro).to_string();
        assert_eq!(shown(500_000_000), "500");
        assert_eq!(shown(499_987_654), "499.98");
        assert_eq!(shown(10_000), "0.01");
        assert_eq!(shown(-1_500_000), "-1.50");
        assert_eq!(shown(0), "0");
    }

    #[test]
    fn a_trace_of_credits_is_not_shown_as_nothing() {
        assert_eq!(Credits(1).to_string(), "<0.01");
        assert_eq!(Credits(9_999).to_string(), "<0.01");
    }
}
