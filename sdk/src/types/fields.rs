//! Reads records out of JSON objects, field by field; what is left over is kept.
//!
//! The derived way (tagged enums, flattened leftovers) buffers everything once more and compiles into a
//! copy for every source of JSON: two thirds of the gateway client's size in the browser.

use serde::de::{DeserializeOwned, Error};
use serde_json::Value;

use super::{Extra, TurnState};

/// A field that has to be there.
pub(super) fn required<T: DeserializeOwned>(
    fields: &mut Extra,
    name: &'static str,
) -> serde_json::Result<T> {
    let value = fields.remove(name).ok_or_else(|| serde_json::Error::missing_field(name))?;
    serde_json::from_value(value)
}

/// A field that may be absent or null.
pub(super) fn optional<T: DeserializeOwned + Default>(
    fields: &mut Extra,
    name: &'static str,
) -> serde_json::Result<T> {
    match fields.remove(name) {
        Some(value) if !value.is_null() => serde_json::from_value(value),
        _ => Ok(T::default()),
    }
}

/// How a turn ended, in a word or in an object. No outcome says that nothing went wrong; a word that
/// nobody knows is not a success.
pub(super) fn outcome(fields: &mut Extra, name: &'static str) -> serde_json::Result<TurnState> {
    let Some(value) = fields.remove(name) else { return Ok(TurnState::Completed) };
    let word = value.as_str().or_else(|| {
        ["type", "status"].into_iter().find_map(|key| value.get(key).and_then(Value::as_str))
    });
    Ok(match word {
        Some("completed" | "complete" | "success") => TurnState::Completed,
        Some("aborted" | "cancelled" | "canceled") => TurnState::Aborted,
        Some("interrupted") => TurnState::Interrupted,
        _ => TurnState::Failed,
    })
}

/// Implements `Deserialize` for records: each field with the name on the wire and whether it is
/// required, last the field that keeps the rest.
macro_rules! read_fields {
    ($($record:ident { $($field:ident: $read:ident($name:literal)),* $(; $rest:ident)? })*) => {$(
        impl $record {
            pub(super) fn from_fields(
                #[allow(unused_mut)] mut fields: $crate::types::Extra,
            ) -> serde_json::Result<Self> {
                Ok(Self {
                    $($field: $crate::types::fields::$read(&mut fields, $name)?,)*
                    $($rest: fields,)?
                })
            }
        }

        impl<'de> serde::Deserialize<'de> for $record {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                let fields = $crate::types::Extra::deserialize(source)?;
                Self::from_fields(fields).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(super) use read_fields;
