//! The price file: its shape, and what makes sense in it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Ceiling, Model, Price, Prices, Served};
use crate::Credits;

/// Credits per million tokens above which a price is taken for a slip of the pen.
pub(super) const MAX_PRICE: f64 = 1_000_000.0;
/// Tokens above which a ceiling is taken for a slip of the pen.
pub(super) const MAX_TOKENS: u64 = 100_000_000;

/// Why a price file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// Not the shape of a price file.
    #[error("the price file can't be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value makes no sense.
    #[error("price file, {key}: {problem}")]
    Value {
        /// Where.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    version: String,
    default: String,
    hold: Option<f64>,
    minimum_hold: Option<f64>,
    models: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    hold: Option<f64>,
    minimum_hold: Option<f64>,
    agent: Option<String>,
    provider: Option<String>,
    model: Option<String>,
}

/// What holds for entries that do not say it themselves.
#[derive(Clone, Copy)]
struct Holds {
    full: Option<f64>,
    minimum: Option<f64>,
}

pub(super) fn read(text: &str) -> Result<Prices, PriceError> {
    let file: PriceFile = toml::from_str(text)?;
    let holds = Holds { full: file.hold, minimum: file.minimum_hold };
    let (mut fixed, mut exact, mut beginnings) =
        <(BTreeMap<_, _>, BTreeMap<_, _>, BTreeMap<_, _>)>::default();
    for (name, entry) in file.models {
        let model = Checked { name: &name, holds }.model(entry)?;
        if model.agent.is_some() {
            fixed.insert(name, model);
        } else if let Some(beginning) = name.strip_suffix('*') {
            beginnings.insert(beginning.to_owned(), model);
        } else {
            exact.insert(name, model);
        }
    }
    if !fixed.contains_key(&file.default) {
        return Err(refused("default", "names no model that is listed with its agent"));
    }
    Ok(Prices { version: file.version, default: file.default, fixed, exact, beginnings })
}

/// Checks one entry.
struct Checked<'a> {
    name: &'a str,
    holds: Holds,
}

impl Checked<'_> {
    fn model(&self, entry: Entry) -> Result<Model, PriceError> {
        let price = self.price(&entry)?;
        let ceiling = self.ceiling(&entry, &price)?;
        let minimum_hold = match ceiling {
            Ceiling::None => Credits::ZERO,
            _ => self.minimum_hold(&entry)?,
        };
        let served = self.served(&entry)?;
        let name = self.name.to_owned();
        let model = Model { name, price, ceiling, minimum_hold, agent: entry.agent, served };
        if model.minimum_hold > model.full_hold() {
            return Err(self.refused("minimum_hold", "is more than the dearest turn costs"));
        }
        Ok(model)
    }

    fn price(&self, entry: &Entry) -> Result<Price, PriceError> {
        let input = self.amount("input", entry.input)?;
        let or_input = |key, price: Option<f64>| price.map_or(Ok(input), |p| self.amount(key, p));
        Ok(Price {
            input,
            output: self.amount("output", entry.output)?,
            cache_read: or_input("cache_read", entry.cache_read)?,
            cache_write: or_input("cache_write", entry.cache_write)?,
        })
    }

    fn ceiling(&self, entry: &Entry, price: &Price) -> Result<Ceiling, PriceError> {
        match (entry.max_input_tokens, entry.max_output_tokens) {
            (Some(input), Some(output)) => {
                if entry.hold.is_some() {
                    let problem = "follows from max_input_tokens and max_output_tokens";
                    return Err(self.refused("hold", problem));
                }
                let input = self.tokens("max_input_tokens", input)?;
                let output = self.tokens("max_output_tokens", output)?;
                Ok(Ceiling::Tokens { input, output })
            }
            (None, None) if price.is_free() => match entry.hold {
                None | Some(0.0) => Ok(Ceiling::None),
                Some(_) => Err(self.refused("hold", "must not be set: the model is free")),
            },
            (None, None) => {
                let hold = entry.hold.or(self.holds.full);
                let hold = hold.ok_or_else(|| self.refused("hold", "is missing"))?;
                match self.amount("hold", hold)? {
                    0 => Err(self.refused("hold", "must be more than 0: the model is not free")),
                    hold => Ok(Ceiling::Cost(Credits::from_micros(hold))),
                }
            }
            _ => Err(self.refused("max_input_tokens", "goes with max_output_tokens")),
        }
    }

    fn minimum_hold(&self, entry: &Entry) -> Result<Credits, PriceError> {
        let minimum = entry.minimum_hold.or(self.holds.minimum);
        let minimum = minimum.ok_or_else(|| self.refused("minimum_hold", "is missing"))?;
        self.amount("minimum_hold", minimum).map(Credits::from_micros)
    }

    /// A fixed entry says who serves it; the name of another is `provider/model`.
    fn served(&self, entry: &Entry) -> Result<Option<Served>, PriceError> {
        match (&entry.agent, &entry.provider, &entry.model) {
            (Some(_), None, None) => Ok(None),
            (Some(_), Some(provider), Some(model)) => {
                Ok(Some(Served { provider: provider.clone(), id: model.clone() }))
            }
            (Some(_), ..) => Err(self.refused("provider", "goes with model")),
            (None, None, None) => {
                let (provider, id) = self.name.split_once('/').unwrap_or_default();
                let stars = self.name.trim_end_matches('*').contains('*') || id.ends_with("**");
                if provider.is_empty() || id.is_empty() || stars {
                    let problem =
                        "must be provider/model, with at most one * at its end, or name its agent";
                    return Err(refused(&format!("models.\"{}\"", self.name), problem));
                }
                Ok(None)
            }
            (None, ..) => Err(self.refused("provider", "is said by the name already")),
        }
    }

    fn amount(&self, key: &str, credits: f64) -> Result<i64, PriceError> {
        micros(credits).ok_or_else(|| self.refused(key, "must be a number from 0 to 1 000 000"))
    }

    fn tokens(&self, key: &str, count: u64) -> Result<u64, PriceError> {
        match count {
            1..=MAX_TOKENS => Ok(count),
            _ => Err(self.refused(key, "must be from 1 to 100 000 000")),
        }
    }

    fn refused(&self, key: &str, problem: &str) -> PriceError {
        refused(&format!("models.\"{}\".{key}", self.name), problem)
    }
}

/// Credits as a whole number of micro-credits, if that makes sense.
fn micros(credits: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^12")]
    (0.0..=MAX_PRICE).contains(&credits).then(|| (credits * 1e6).round() as i64)
}

fn refused(key: &str, problem: &str) -> PriceError {
    PriceError::Value { key: key.to_owned(), problem: problem.to_owned() }
}
