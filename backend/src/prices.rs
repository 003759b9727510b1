//! Prices of models: read from a file, checked, and turned into micro-credits.
//!
//! A price that makes no sense stops the start: a negative one would pay people for asking.

mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sandbox_sdk::types::TokenUsage;

pub use file::PriceError;

use crate::{Credits, words::stored_as_words};

const PER_MILLION: i128 = 1_000_000;

/// The models that can be used and what they cost. What no entry matches can't be used.
#[derive(Clone, Debug)]
pub struct Prices {
    version: String,
    default: String,
    /// Entries that name the agent they are for.
    fixed: BTreeMap<String, Model>,
    /// Entries for models that an orchestrator says it can reach, by `provider/model` or the
    /// beginning of one.
    exact: BTreeMap<String, Model>,
    beginnings: BTreeMap<String, Model>,
}

/// A model, its price and its ceilings.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// `provider/model`, or the name of a fixed entry.
    pub(crate) name: String,
    pub(crate) price: Price,
    pub(crate) ceiling: Ceiling,
    pub(crate) minimum_hold: Credits,
    /// The agent of a fixed entry.
    pub(crate) agent: Option<String>,
    /// Who serves it, and the provider's own name of it; none where the agent needs no model.
    pub(crate) served: Option<Served>,
}

/// A model by its provider's own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) provider: String,
    pub(crate) id: String,
}

/// The most that one turn may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ceiling {
    Tokens {
        input: u64,
        output: u64,
    },
    Cost(Credits),
    /// Nothing is charged, so nothing has to be held.
    None,
}

stored_as_words! {
    /// What bounds a turn, beside its time.
    pub(crate) enum LimitedBy {
        /// Tokens read and tokens written.
        Tokens = "tokens",
        /// What its tokens cost.
        Cost = "cost",
        /// It is free.
        Nothing = "nothing",
    }
}

/// Micro-credits per million tokens of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) input: i64,
    pub(crate) output: i64,
    pub(crate) cache_read: i64,
    pub(crate) cache_write: i64,
}

impl Prices {
    /// The prices that come with the product.
    ///
    /// # Errors
    /// Never, as a test shows.
    pub fn built_in() -> Result<Self, PriceError> {
        Self::parse(include_str!("../prices.toml"))
    }

    /// Reads a price file.
    ///
    /// # Errors
    /// On anything that is missing, unknown, negative, not a number, or beyond reason.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        file::read(text)
    }

    /// The model of a request that names none, where the orchestrator does not name one either.
    pub(crate) fn default_model(&self) -> Option<&Model> {
        self.fixed.get(&self.default)
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Entries that name the agent they are for, in alphabetical order.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = &Model> {
        self.fixed.values()
    }

    /// The price of a model: of a fixed entry's name, or of `provider/model`. Unknown means refused,
    /// never free.
    pub(crate) fn model(&self, name: &str) -> Option<Model> {
        if let Some(model) = self.fixed.get(name) {
            return Some(model.clone());
        }
        let (provider, id) = name.split_once('/').filter(|(_, id)| !id.is_empty())?;
        let entry = self.exact.get(name).or_else(|| self.exact.get(undated(name)));
        let entry = entry.or_else(|| {
            let fits = |(beginning, _): &(&String, &Model)| name.starts_with(beginning.as_str());
            let longest = self.beginnings.iter().filter(fits).max_by_key(|(with, _)| with.len());
            longest.map(|(_, model)| model)
        })?;
        let served = Served { provider: provider.to_owned(), id: id.to_owned() };
        Some(Model { name: name.to_owned(), served: Some(served), ..entry.clone() })
    }
}

/// The name without the date that providers put after it (`-20260922`, `-2026-09-22`): one version
/// of a model costs what the model costs.
fn undated(name: &str) -> &str {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some((rest, last)) = name.rsplit_once('-') else { return name };
    if digits(last, 8) {
        return rest;
    }
    let mut parts = name.rsplitn(4, '-');
    let date = (parts.next(), parts.next(), parts.next(), parts.next());
    match date {
        (Some(day), Some(month), Some(year), Some(rest))
            if digits(day, 2) && digits(month, 2) && digits(year, 4) =>
        {
            rest
        }
        _ => name,
    }
}

impl Model {
    /// What is held for a turn of an account that can afford it: what the dearest turn costs.
    pub(crate) fn full_hold(&self) -> Credits {
        match self.ceiling {
            Ceiling::None => Credits::ZERO,
            Ceiling::Cost(hold) => hold,
            Ceiling::Tokens { input, output } => {
                // Both factors are bounded where they are read, so that this can't saturate.
                let Price { input: read, cache_read, cache_write, output: written } = self.price;
                let dearest = read.max(cache_read).max(cache_write);
                Credits::from_micros(amount(&[(input, dearest), (output, written)]))
            }
        }
    }

    pub(crate) fn limited_by(&self) -> LimitedBy {
        match self.ceiling {
            Ceiling::Tokens { .. } => LimitedBy::Tokens,
            Ceiling::Cost(_) => LimitedBy::Cost,
            Ceiling::None => LimitedBy::Nothing,
        }
    }

    /// The longest prompt that the ceiling lets in, in tokens; none where there is no ceiling.
    pub(crate) fn longest_prompt(&self) -> Option<u64> {
        match self.ceiling {
            Ceiling::Tokens { input, .. } => Some(input),
            Ceiling::Cost(hold) if self.price.input > 0 => {
                let tokens = i128::from(hold.micros()) * PER_MILLION / i128::from(self.price.input);
                u64::try_from(tokens).ok()
            }
            Ceiling::Cost(_) | Ceiling::None => None,
        }
    }

    /// The smallest hold whose limits let a prompt of so many tokens in.
    pub(crate) fn hold_for_input(&self, tokens: u64) -> Credits {
        match self.ceiling {
            Ceiling::None => Credits::ZERO,
            Ceiling::Cost(_) => Credits::from_micros(amount(&[(tokens, self.price.input)])),
            Ceiling::Tokens { input, .. } => {
                let (full, most) = (i128::from(self.full_hold().micros()), i128::from(input));
                let share = (full * i128::from(tokens) + most - 1) / most;
                Credits::from_micros(i64::try_from(share).unwrap_or(i64::MAX))
            }
        }
    }

    /// Tokens to read and to write whose price is at most `hold`, in the proportion of the ceilings;
    /// 0 where tokens are not what bounds the turn.
    pub(crate) fn token_limits(&self, hold: Credits) -> (u64, u64) {
        let Ceiling::Tokens { input, output } = self.ceiling else { return (0, 0) };
        let full = i128::from(self.full_hold().micros());
        let share = |tokens: u64| match full {
            0 => tokens,
            _ => {
                let share = i128::from(tokens) * i128::from(hold.micros()) / full;
                u64::try_from(share).unwrap_or(0).min(tokens)
            }
        };
        (share(input), share(output))
    }
}

impl Price {
    pub(crate) fn is_free(&self) -> bool {
        [self.input, self.output, self.cache_read, self.cache_write].iter().all(|price| *price == 0)
    }

    /// What the usage costs: summed exactly, rounded up once for the turn. Numbers beyond reason
    /// give the largest amount there is, which the hold then bounds.
    pub(crate) fn charge(&self, usage: &TokenUsage) -> Credits {
        Credits::from_micros(amount(&[
            (usage.input_tokens, self.input),
            (usage.output_tokens, self.output),
            (usage.cache_read_input_tokens.unwrap_or(0), self.cache_read),
            (usage.cache_creation_input_tokens.unwrap_or(0), self.cache_write),
        ]))
    }
}

/// Sum of tokens × micro-credits per million, rounded up.
fn amount(items: &[(u64, i64)]) -> i64 {
    // A product of a u64 and an i64 fits in an i128; a sum of several is bounded.
    let products = items.iter().map(|(tokens, price)| i128::from(*tokens) * i128::from(*price));
    let total = products.fold(0, i128::saturating_add);
    i64::try_from(total.saturating_add(PER_MILLION - 1) / PER_MILLION).unwrap_or(i64::MAX)
}
