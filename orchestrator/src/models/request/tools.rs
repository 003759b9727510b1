//! Tools that a provider runs itself, which is every tool that is not known to be the client's own.
//!
//! They reach the network for an agent that has none, and cost otherwise than by the token. A client
//! that offers them to its model finds that the model never uses them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::inputs;

/// More tools than any client has.
const MAX_TOOLS: usize = 1024;
/// Types of tools that the client runs itself; a tool without a type is one of them.
const OWN: [&str; 4] = ["function", "custom", "local_shell", "apply_patch"];
/// The same, followed by a date.
const OWN_DATED: [&str; 2] = ["bash_", "text_editor_"];

/// The list without hosted tools; `None`: there are none in it.
///
/// # Errors
/// Words for the client, when it is no list of tools.
pub(super) fn without_hosted(tools: &RawValue) -> Result<Option<String>, String> {
    if tools.get() == "null" {
        return Ok(None);
    }
    let tools = read(tools)?;
    let count = tools.len();
    let mut kept = Vec::with_capacity(count);
    for tool in tools {
        if is_own(tool, false)? {
            kept.push(tool.get());
        }
    }
    Ok((kept.len() < count).then(|| format!("[{}]", kept.join(","))))
}

fn read(tools: &RawValue) -> Result<Vec<&RawValue>, String> {
    let tools: Tools<'_> = serde_json::from_str(tools.get())
        .map_err(|error| format!("`tools` is not valid: {error}."))?;
    Ok(tools.0)
}

/// The fields of a tool that matter. One that stands there twice is an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    environment: Option<Environment>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Environment {
    #[serde(rename = "type")]
    kind: String,
}

/// `grouped`: it stands in a namespace, which is not in another one.
fn is_own(tool: &RawValue, grouped: bool) -> Result<bool, String> {
    // A list would be taken for the fields in their order.
    if !tool.get().starts_with('{') {
        return Err("A tool must be a JSON object.".to_owned());
    }
    let tool: Tool<'_> = serde_json::from_str(tool.get())
        .map_err(|error| format!("A tool is not valid: {error}."))?;
    tool.cache_control.map_or(Ok(()), |cache| inputs::check("cache_control", cache))?;
    Ok(match tool.kind.as_deref() {
        None => true,
        Some("shell") => tool.environment.is_none_or(|place| place.kind == "local"),
        Some("namespace") if !grouped => match tool.tools {
            Some(tools) => read(tools)?
                .into_iter()
                .try_fold(true, |own, tool| Ok::<_, String>(own && is_own(tool, true)?))?,
            None => true,
        },
        Some(kind) => OWN.contains(&kind) || OWN_DATED.iter().any(|dated| kind.starts_with(dated)),
    })
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
