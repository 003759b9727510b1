//! How an error travels: its code, and what some codes carry beside it.

use serde::{Deserialize, Serialize};

use super::AppError;
use crate::model::Credits;

/// One form for all codes. A derived enum with a tag buffers what it reads, and compiles into several
/// times as much for the browser.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Wire {
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    available: Option<Credits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needed: Option<Credits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

impl From<AppError> for Wire {
    fn from(error: AppError) -> Self {
        let plain = |code: &str| Self { code: code.to_owned(), ..Self::default() };
        match error {
            AppError::Unauthenticated => plain("unauthenticated"),
            AppError::NotFound => plain("not_found"),
            AppError::InsufficientCredits { available, needed } => Self {
                available: Some(available),
                needed: Some(needed),
                ..plain("insufficient_credits")
            },
            AppError::Invalid { field, message } => {
                Self { field: Some(field), message: Some(message), ..plain("invalid") }
            }
            AppError::Conflict { message } => Self { message: Some(message), ..plain("conflict") },
            AppError::RateLimited { retry_after_s } => {
                Self { retry_after_s: Some(retry_after_s), ..plain("rate_limited") }
            }
            AppError::NotWaiting => plain("not_waiting"),
            AppError::Unavailable { message } => {
                Self { message: Some(message), ..plain("unavailable") }
            }
            AppError::Internal { request_id } => {
                Self { request_id: Some(request_id), ..plain("internal") }
            }
            AppError::Outdated => plain("outdated"),
            AppError::Offline => plain("offline"),
        }
    }
}

impl TryFrom<Wire> for AppError {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let Wire { code, message, field, request_id, available, needed, retry_after_s } = wire;
        let known = match code.as_str() {
            "unauthenticated" => Some(Self::Unauthenticated),
            "not_found" => Some(Self::NotFound),
            "insufficient_credits" => available
                .zip(needed)
                .map(|(available, needed)| Self::InsufficientCredits { available, needed }),
            "invalid" => {
                field.zip(message).map(|(field, message)| Self::Invalid { field, message })
            }
            "conflict" => message.map(|message| Self::Conflict { message }),
            "rate_limited" => {
                retry_after_s.map(|retry_after_s| Self::RateLimited { retry_after_s })
            }
            "not_waiting" => Some(Self::NotWaiting),
            "unavailable" => message.map(|message| Self::Unavailable { message }),
            "internal" => request_id.map(|request_id| Self::Internal { request_id }),
            "outdated" => Some(Self::Outdated),
            "offline" => Some(Self::Offline),
            _ => None,
        };
        known.ok_or("an error that is not known, or lacks what belongs to it")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn every_error_travels() {
        let text = || "x".to_owned();
        for error in [
            AppError::Unauthenticated,
            AppError::NotFound,
            AppError::InsufficientCredits { available: Credits(1), needed: Credits(2) },
            AppError::Invalid { field: "text".into(), message: "Write something.".into() },
            AppError::Conflict { message: text() },
            AppError::RateLimited { retry_after_s: 7 },
            AppError::NotWaiting,
            AppError::Unavailable { message: text() },
            AppError::Internal { request_id: text() },
            AppError::Outdated,
            AppError::Offline,
        ] {
            let json = to_value(&error).unwrap();
            assert_eq!(from_value::<AppError>(json.clone()).unwrap(), error, "{json}");
        }
    }

    #[test]
    fn an_error_carries_its_code_and_nothing_that_is_not_its_own() {
        assert_eq!(to_value(AppError::NotFound).unwrap(), json!({"code": "not_found"}));
        let limited = to_value(AppError::RateLimited { retry_after_s: 7 }).unwrap();
        assert_eq!(limited, json!({"code": "rate_limited", "retry_after_s": 7}));
    }

    #[test]
    fn an_unknown_code_and_an_incomplete_error_are_no_errors_of_ours() {
        for json in [json!({"code": "new"}), json!({"code": "conflict"}), json!({"message": "x"})] {
            assert!(from_value::<AppError>(json.clone()).is_err(), "{json}");
        }
    }
}
