//! Amounts of credits, in whole micro-credits.

use std::fmt;

use crate::Error;

/// An amount in micro-credits: one credit is 1 000 000 of them and worth one US cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credits(i64);

/// What an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Free to spend: what was posted less what is held.
    pub available: Credits,
    /// Set aside for turns that have not ended.
    pub held: Credits,
}

impl Credits {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Micro-credits in a credit.
    pub const MICROS_PER_CREDIT: i64 = 1_000_000;

    /// This many micro-credits.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// This many whole credits.
    pub const fn from_whole(credits: u32) -> Self {
        // u32::MAX × 1 000 000 is far below i64::MAX.
        Self(credits as i64 * Self::MICROS_PER_CREDIT)
    }

    /// The amount in micro-credits.
    pub const fn micros(self) -> i64 {
        self.0
    }

    pub(crate) fn minus(self, other: Self) -> Result<Self, Error> {
        self.0.checked_sub(other.0).map(Self).ok_or_else(|| Error::broken("credits overflow"))
    }
}

/// Credits with at most two decimals, rounded down: `12`, `0.5`, `499.87`.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.div_euclid(Self::MICROS_PER_CREDIT / 100);
        let (sign, cents) =
            if cents < 0 { ("-", cents.unsigned_abs()) } else { ("", cents.unsigned_abs()) };
        match (cents / 100, cents % 100) {
            (whole, 0) => write!(f, "{sign}{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{sign}{whole}.{}", part / 10),
            (whole, part) => write!(f, "{sign}{whole}.{part:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_written_short_and_never_more_than_there_are() {
        let cases = [
            (0, "0"),
            (12_000_000, "12"),
            (500_000, "0.5"),
            (499_879_999, "499.87"),
            (9_999, "0"),
            (-1, "-0.01"),
            (-2_500_000, "-2.5"),
        ];
        for (micros, written) in cases {
            assert_eq!(Credits::from_micros(micros).to_string(), written);
        }
    }
}
