//! Prices of models: read from a file, checked, and turned into micro-credits.
//!
//! A price that makes no sense stops the start: a negative one would pay people for asking.

use std::collections::BTreeMap;

use sandbox_sdk::types::{BackendChoice, ModelChoice, TokenUsage, TurnLimits};
use serde::Deserialize;

use crate::{Credits, Error};

/// Credits per million tokens above which a price is taken for a slip of the pen.
const MAX_PRICE: f64 = 1_000_000.0;
/// Tokens above which a ceiling is taken for a slip of the pen.
const MAX_TOKENS: u64 = 100_000_000;
const PER_MILLION: i128 = 1_000_000;

/// The models that can be used and what they cost.
#[derive(Clone, Debug)]
pub struct Prices {
    version: String,
    default: String,
    models: BTreeMap<String, Model>,
}

/// A model, its price and its ceilings.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) name: String,
    pub(crate) price: Price,
    pub(crate) max_input_tokens: u64,
    pub(crate) max_output_tokens: u64,
    pub(crate) minimum_hold: Credits,
    pub(crate) choice: BackendChoice,
}

/// Micro-credits per million tokens of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) input: i64,
    pub(crate) output: i64,
    pub(crate) cache_read: i64,
    pub(crate) cache_write: i64,
}

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
    models: BTreeMap<String, ModelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    max_input_tokens: u64,
    max_output_tokens: u64,
    minimum_hold: f64,
    agent: String,
    provider: Option<String>,
    model: Option<String>,
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
        let file: PriceFile = toml::from_str(text)?;
        let models = file
            .models
            .into_iter()
            .map(|(name, entry)| Ok((name.clone(), entry.check(name)?)))
            .collect::<Result<BTreeMap<_, _>, PriceError>>()?;
        if !models.contains_key(&file.default) {
            return Err(refused("default", "names a model that is not listed"));
        }
        Ok(Self { version: file.version, default: file.default, models })
    }

    /// Names of the models, in alphabetical order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Name of the model of a request that names none.
    pub fn default_model(&self) -> &str {
        &self.default
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Unknown means refused, never free.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<&Model, Error> {
        let name = name.unwrap_or(&self.default);
        self.models.get(name).ok_or_else(|| Error::invalid("model", "There is no such model."))
    }
}

impl ModelEntry {
    fn check(self, name: String) -> Result<Model, PriceError> {
        let price = |key: &str, credits: f64| {
            micros(credits).ok_or_else(|| {
                refused(&format!("models.{name}.{key}"), "must be a number from 0 to 1 000 000")
            })
        };
        let tokens = |key: &str, count: u64| match count {
            1..=MAX_TOKENS => Ok(count),
            _ => Err(refused(&format!("models.{name}.{key}"), "must be from 1 to 100 000 000")),
        };
        let input = price("input", self.input)?;
        let model = match (self.provider, self.model) {
            (None, None) => None,
            (provider, model) => Some(ModelChoice { provider, model, ..Default::default() }),
        };
        let model = Model {
            price: Price {
                input,
                output: price("output", self.output)?,
                cache_read: self.cache_read.map_or(Ok(input), |p| price("cache_read", p))?,
                cache_write: self.cache_write.map_or(Ok(input), |p| price("cache_write", p))?,
            },
            max_input_tokens: tokens("max_input_tokens", self.max_input_tokens)?,
            max_output_tokens: tokens("max_output_tokens", self.max_output_tokens)?,
            minimum_hold: Credits::from_micros(price("minimum_hold", self.minimum_hold)?),
            choice: BackendChoice { kind: Some(self.agent), model, ..Default::default() },
            name,
        };
        if model.minimum_hold > model.ceiling() {
            let key = format!("models.{}.minimum_hold", model.name);
            return Err(refused(&key, "is more than the dearest turn costs"));
        }
        Ok(model)
    }
}

impl Model {
    /// What the dearest turn costs.
    pub(crate) fn ceiling(&self) -> Credits {
        // Both factors are bounded where they are read, so that this can't saturate.
        let dearest = self.price.input.max(self.price.cache_read).max(self.price.cache_write);
        Credits::from_micros(amount(&[
            (self.max_input_tokens, dearest),
            (self.max_output_tokens, self.price.output),
        ]))
    }

    /// The smallest hold whose limits let a prompt of so many tokens in.
    pub(crate) fn hold_for_input(&self, tokens: u64) -> Credits {
        let ceiling = i128::from(self.ceiling().micros());
        let most = i128::from(self.max_input_tokens);
        let share = (ceiling * i128::from(tokens) + most - 1) / most;
        Credits::from_micros(i64::try_from(share).unwrap_or(i64::MAX))
    }

    /// Limits whose price is at most `hold`, in the proportion of the ceilings.
    pub(crate) fn limits(&self, hold: Credits, longest: std::time::Duration) -> TurnLimits {
        let ceiling = i128::from(self.ceiling().micros());
        let share = |tokens: u64| match ceiling {
            0 => tokens,
            _ => {
                let share = i128::from(tokens) * i128::from(hold.micros()) / ceiling;
                u64::try_from(share).unwrap_or(0).min(tokens)
            }
        };
        TurnLimits {
            max_input_tokens: Some(share(self.max_input_tokens)),
            max_output_tokens: Some(share(self.max_output_tokens)),
            max_duration_ms: u64::try_from(longest.as_millis()).ok(),
        }
    }
}

impl Price {
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
    // u64 × i64 fits in an i128, and so do four of them: 2^64 × 2^40 (the price cap) × 4.
    let total: i128 =
        items.iter().map(|(tokens, price)| i128::from(*tokens) * i128::from(*price)).sum();
    i64::try_from((total + PER_MILLION - 1) / PER_MILLION).unwrap_or(i64::MAX)
}

/// Credits as a whole number of micro-credits, if that makes sense.
fn micros(credits: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^12")]
    (0.0..=MAX_PRICE).contains(&credits).then(|| (credits * 1e6).round() as i64)
}

fn refused(key: &str, problem: &str) -> PriceError {
    PriceError::Value { key: key.to_owned(), problem: problem.to_owned() }
}
