//! What a viewer may say.

use std::collections::BTreeMap;

use sandbox_sdk::types::ClientFrame;
use serde::Deserialize;
use tokio::time::Instant;

use crate::allowance::Allowance;

/// Messages a viewer may send at once …
const BURST: u32 = 60;
/// … and how many of them come back a second.
const PER_SECOND: f64 = 4.0;

/// A message, read.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Frame(ClientFrame),
    Subscribe {
        channels: Vec<String>,
        since: Option<Since>,
    },
    /// Nothing the protocol knows.
    Nonsense,
}

/// From where to replay: the same number for all channels, or one for each.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Since {
    All(u64),
    Each(BTreeMap<String, u64>),
}

impl Since {
    pub(super) fn of(&self, channel: &str) -> Option<u64> {
        match self {
            Self::All(since) => Some(*since),
            Self::Each(each) => each.get(channel).copied(),
        }
    }
}

/// An enum, since the tag of a struct is not looked at when it is read.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Subscription {
    Subscribe { channels: Vec<String>, since: Option<Since> },
}

pub(super) fn read(text: &str) -> Said {
    if let Ok(Subscription::Subscribe { channels, since }) = serde_json::from_str(text) {
        return Said::Subscribe { channels, since };
    }
    serde_json::from_str(text).map_or(Said::Nonsense, Said::Frame)
}

/// How many messages a viewer may send.
pub(super) fn messages() -> Allowance {
    Allowance::new(BURST, PER_SECOND, Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_takes_one_number_or_one_for_each_channel() {
        let read_since = |text: &str| match read(text) {
            Said::Subscribe { since, .. } => since.and_then(|since| since.of("session:s")),
            other => panic!("{other:?}"),
        };
        let with = |since: &str| {
            read_since(&format!(r#"{{"type":"subscribe","channels":["session:s"]{since}}}"#))
        };
        assert_eq!(with(r#","since":7"#), Some(7));
        assert_eq!(with(r#","since":{"session:s":8,"x":9}"#), Some(8));
        assert_eq!(with(r#","since":{"x":9}"#), None);
        assert_eq!(with(""), None);
    }

    #[test]
    fn what_is_no_message_is_nonsense() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"type":"nope"}"#,
            r#"{"type":"replay","since":-1}"#,
            r#"{"type":"replay","since":"1;drop"}"#,
            r#"{"type":"replay","since":NaN}"#,
            r#"{"type":"subscribe","channels":"session:s"}"#,
            &"[".repeat(60_000),
        ] {
            assert_eq!(read(text), Said::Nonsense, "{}", &text[..text.len().min(40)]);
        }
    }
}
