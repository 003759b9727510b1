//! Tools that a provider runs itself.
//!
//! They reach the network for an agent that has none, and cost otherwise than by the token. A client
//! that offers them to its model finds that the model never uses them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// More tools than any client has.
const MAX_TOOLS: usize = 1024;
const HOSTED: [&str; 7] = [
    "web_search",
    "web_fetch",
    "code_execution",
    "code_interpreter",
    "file_search",
    "image_generation",
    "mcp",
];

/// The list without hosted tools; `None`: there are none in it.
///
/// # Errors
/// Words for the client, when it is no list of tools.
pub(super) fn without_hosted(tools: &RawValue) -> Result<Option<String>, String> {
    if tools.get() == "null" {
        return Ok(None);
    }
    let tools: Tools<'_> = serde_json::from_str(tools.get())
        .map_err(|error| format!("`tools` is not valid: {error}."))?;
    let count = tools.0.len();
    let kept: Vec<_> =
        tools.0.into_iter().filter(|tool| !is_hosted(tool)).map(RawValue::get).collect();
    Ok((kept.len() < count).then(|| format!("[{}]", kept.join(","))))
}

fn is_hosted(tool: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Tool {
        #[serde(rename = "type")]
        kind: String,
    }
    let tool = serde_json::from_str::<Tool>(tool.get());
    tool.is_ok_and(|tool| HOSTED.iter().any(|hosted| tool.kind.starts_with(hosted)))
}

/// A list that does not grow beyond its bound while it is read.
struct Tools<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Tools<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of tools")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut tools = Vec::new();
                while let Some(tool) = list.next_element()? {
                    if tools.len() == MAX_TOOLS {
                        return Err(A::Error::custom("too many tools"));
                    }
                    tools.push(tool);
                }
                Ok(tools)
            }
        }
        source.deserialize_seq(Bounded).map(Tools)
    }
}
