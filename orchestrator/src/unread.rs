//! What of a body nobody reads, by name: said rather than kept quiet. No values: they may be secret.

use std::collections::BTreeMap;

use sandbox_sdk::types::Extra;
use serde::{
    Deserializer, Serialize,
    de::{DeserializeOwned, Error, IgnoredAny, Visitor, value},
    forward_to_deserialize_any,
};

/// Names that are told.
const MAX_NAMES: usize = 16;
const MAX_NAME: usize = 64;

/// The names in an object that ask for something and that a record has no field for. The record's
/// fields must stand in itself: of flattened ones nobody knows the names.
pub(crate) fn names<T: DeserializeOwned>(json: &[u8]) -> Vec<String> {
    let given: BTreeMap<String, Option<IgnoredAny>> =
        serde_json::from_slice(json).unwrap_or_default();
    let known = fields::<T>();
    let unread = given.into_iter().filter(|(name, value)| {
        let is_known = known.contains(&name.as_str());
        value.is_some() && !is_known
    });
    unread.map(|(name, _)| name).collect()
}

/// The names that ask for something among what a record keeps for itself.
pub(crate) fn kept(extra: &Extra) -> Vec<String> {
    let asking = extra.iter().filter(|(_, value)| !value.is_null());
    asking.map(|(name, _)| name.clone()).collect()
}

/// The names in words for people, as long as there are not too many.
pub(crate) fn warnings(names: &[String]) -> Vec<String> {
    let told = names.iter().take(MAX_NAMES).map(|name| {
        let name: String = name.chars().take(MAX_NAME).collect();
        format!("{name} is not known here and was passed over")
    });
    let more = names.len().saturating_sub(MAX_NAMES);
    let rest =
        (more > 0).then(|| format!("{more} more fields are not known here and were passed over"));
    told.chain(rest).collect()
}

/// An answer, and what of its request was passed over, if anything was.
#[derive(Debug, Serialize)]
pub(crate) struct Warned<T> {
    #[serde(flatten)]
    pub(crate) answer: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

/// What a record is read from, by all names of its fields.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // Nothing is read: it only says what it wants.
    T::deserialize(Asked(&mut fields)).ok();
    fields
}

struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(value::Error::custom("there is nothing to read"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::types::{Exec, MintToken, SearchFiles};

    use super::*;

    #[test]
    fn a_name_that_no_field_has_is_told_and_every_spelling_of_a_field_is_one() {
        let body = br#"{"command": "a", "timeoutMs": 5, "expiresIn": 60, "sessionId": null}"#;
        assert_eq!(names::<Exec>(body), ["expiresIn"]);
        let body = br#"{"command": "a", "timeout": 5, "env": {"X": "y"}, "cwd": "a"}"#;
        assert!(names::<Exec>(body).is_empty());
        let body = br#"{"pattern": "a", "glob": "*", "cwd": "", "maxResults": 1,
            "ignoreCase": true, "context": 1}"#;
        assert!(names::<SearchFiles>(body).is_empty());
        let body = br#"{"scope": "session", "sessionId": "s", "ttlMinutes": 1, "ttl_minutes": 1}"#;
        assert_eq!(names::<MintToken>(body), ["ttl_minutes"]);
        let deep = format!("{{\"deep\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(names::<Exec>(deep.as_bytes()), ["deep"]);
        for no_object in ["", "[1]", "null", "{"] {
            assert!(names::<Exec>(no_object.as_bytes()).is_empty(), "{no_object}");
        }
    }

    #[test]
    fn a_flood_of_names_is_told_in_a_few_words() {
        let names: Vec<String> = (0..100).map(|n| format!("{n}{}", "x".repeat(1000))).collect();
        let told = warnings(&names);
        assert_eq!(told.len(), MAX_NAMES + 1);
        assert!(told.iter().all(|words| words.len() < 200));
        assert_eq!(warnings(&[]), Vec::<String>::new());
    }
}
