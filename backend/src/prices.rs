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
pub(crate) struct Model {
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
            max_cost: None,
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
    // A product of a u64 and an i64 fits in an i128; a sum of several is bounded.
    let products = items.iter().map(|(tokens, price)| i128::from(*tokens) * i128::from(*price));
    let total = products.fold(0, i128::saturating_add);
    i64::try_from(total.saturating_add(PER_MILLION - 1) / PER_MILLION).unwrap_or(i64::MAX)
}

/// Credits as a whole number of micro-credits, if that makes sense.
fn micros(credits: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^12")]
    (0.0..=MAX_PRICE).contains(&credits).then(|| (credits * 1e6).round() as i64)
}

fn refused(key: &str, problem: &str) -> PriceError {
    PriceError::Value { key: key.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = include_str!("../prices.toml");

    fn demo() -> Model {
        Prices::built_in().unwrap().model(None).unwrap().clone()
    }

    fn usage(input: u64, output: u64) -> TokenUsage {
        TokenUsage { input_tokens: input, output_tokens: output, ..TokenUsage::default() }
    }

    #[test]
    fn the_built_in_prices_are_those_of_the_file() {
        let model = demo();
        assert_eq!(model.name, "demo");
        assert_eq!(model.choice.kind.as_deref(), Some("demo"));
        assert_eq!(model.price.input, 100_000_000);
        assert_eq!(model.price.cache_read, 100_000_000);
        assert_eq!(model.ceiling(), Credits::from_whole(12));
        assert_eq!(model.minimum_hold, Credits::from_whole(1));
    }

    #[test]
    fn a_price_that_makes_no_sense_is_refused() {
        for wrong in ["-100", "-0.000001", "nan", "inf", "-inf", "1_000_001", "1e300", "\"100\""] {
            let file = FILE.replace("input = 100\n", &format!("input = {wrong}\n"));
            assert!(Prices::parse(&file).is_err(), "{wrong}");
        }
        for (from, to) in [
            ("max_input_tokens = 20_000", "max_input_tokens = 0"),
            ("max_input_tokens = 20_000", "max_input_tokens = -1"),
            ("max_input_tokens = 20_000", "max_input_tokens = 18446744073709551615"),
            ("minimum_hold = 1", "minimum_hold = 13"),
            ("minimum_hold = 1", "minimum_hold = -1"),
            ("default = \"demo\"", "default = \"other\""),
            ("output = 500", "ouput = 500"),
            ("agent = \"demo\"", ""),
        ] {
            assert!(Prices::parse(&FILE.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn an_unknown_model_is_refused_and_not_free() {
        let prices = Prices::built_in().unwrap();
        for unknown in ["", "Demo", "gpt"] {
            assert!(matches!(
                prices.model(Some(unknown)),
                Err(Error::Invalid { field: "model", .. })
            ));
        }
    }

    #[test]
    fn a_cache_has_its_own_price() {
        let file =
            FILE.replace("output = 500\n", "output = 500\ncache_read = 10\ncache_write = 125\n");
        let prices = Prices::parse(&file).unwrap();
        let mut used = usage(1, 1);
        used.cache_read_input_tokens = Some(10);
        used.cache_creation_input_tokens = Some(10);
        let charge = prices.model(None).unwrap().price.charge(&used);
        assert_eq!(charge.micros(), 100 + 500 + 100 + 1250);
    }

    #[test]
    fn numbers_beyond_reason_give_the_largest_amount_and_no_overflow() {
        let price = Price {
            input: 1_000_000_000_000,
            output: i64::MAX,
            cache_read: i64::MAX,
            cache_write: 0,
        };
        let mut used = usage(u64::MAX, u64::MAX);
        used.cache_read_input_tokens = Some(u64::MAX);
        assert_eq!(price.charge(&used).micros(), i64::MAX);
        assert_eq!(price.charge(&usage(0, 0)).micros(), 0);
    }

    proptest! {
        #[test]
        fn what_the_limits_allow_never_costs_more_than_the_hold(
            input in 0.0..MAX_PRICE, output in 0.0..MAX_PRICE,
            most_in in 1..MAX_TOKENS, most_out in 1..MAX_TOKENS, share in 0.0..=1.0,
        ) {
            let file = FILE
                .replace("input = 100\n", &format!("input = {input}\n"))
                .replace("output = 500\n", &format!("output = {output}\n"))
                .replace("max_input_tokens = 20_000", &format!("max_input_tokens = {most_in}"))
                .replace("max_output_tokens = 20_000", &format!("max_output_tokens = {most_out}"))
                .replace("minimum_hold = 1", "minimum_hold = 0");
            let prices = Prices::parse(&file).unwrap();
            let model = prices.model(None).unwrap();
            let hold = (model.ceiling().micros() as f64 * share) as i64;
            let hold = Credits::from_micros(hold.min(model.ceiling().micros()));
            let limits = model.limits(hold, Duration::from_secs(1));
            let most = usage(limits.max_input_tokens.unwrap(), limits.max_output_tokens.unwrap());
            prop_assert!(model.price.charge(&most) <= hold);
        }

        #[test]
        fn a_hold_for_a_prompt_lets_the_prompt_in(tokens in 0..20_000_u64) {
            let model = demo();
            let limits = model.limits(model.hold_for_input(tokens), Duration::from_secs(1));
            prop_assert!(limits.max_input_tokens.unwrap() >= tokens);
        }
    }
}
