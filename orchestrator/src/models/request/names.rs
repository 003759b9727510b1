//! The names of a request's fields.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Fields that are read, or changed.
const READ: [&str; 18] = [
    "model",
    "stream",
    "stream_options",
    "messages",
    "input",
    "system",
    "instructions",
    "store",
    "cache_control",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "thinking",
    "n",
    "background",
    "service_tier",
    "speed",
    "tools",
];
/// Fields that let a provider do more than answer what stands in the request, or at another price.
const REFUSED: [&str; 10] = [
    "previous_response_id",
    "conversation",
    "prompt",
    "mcp_servers",
    "web_search_options",
    "models",
    "plugins",
    "provider",
    "route",
    "inference_geo",
];

/// Refuses fields that can't be metered, and a known field in other letters: some hosts would take it
/// for the known one, whatever that one says.
///
/// # Errors
/// Words for the client.
pub(super) fn check(text: &str) -> Result<(), String> {
    serde_json::from_str::<Checked>(text)
        .map(drop)
        .map_err(|error| format!("The body is not valid: {error}."))
}

struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while let Some(name) = fields.next_key_seed(Name)? {
            let Some(refused) = name else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = fields.next_value()?;
            if !matches!(value.get(), "null" | "[]" | "{}") {
                let words = format!("`{refused}` can't be used here: it can't be metered");
                return Err(A::Error::custom(words));
            }
        }
        Ok(self)
    }
}

/// The name of a field: of one that is refused, or any other.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        // Both ways, since there are letters beyond ASCII that count as one of it.
        let folded = || name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
        let known = READ.into_iter().chain(REFUSED).find(|known| folded().eq(known.chars()));
        match known {
            Some(known) if known != name => {
                Err(E::custom(format!("a field must be written `{known}`")))
            }
            known => Ok(known.filter(|known| REFUSED.contains(known))),
        }
    }
}
