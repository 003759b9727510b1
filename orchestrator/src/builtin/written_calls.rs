//! Finds calls that a model wrote into its text, because what serves it did not understand them.

use serde_json::Value;

use super::toolbox::canonical;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// The text without the calls, and the calls: names and arguments. None, if there are none.
pub(super) fn find(text: &str) -> Option<(String, Vec<(String, String)>)> {
    if text.contains(OPEN) {
        return tagged(text);
    }
    // An answer that is nothing but a call. Within prose it may be an example.
    let whole = text.trim();
    let inner = whole.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    let inner = inner.map_or(whole, |inner| inner.strip_prefix("json").unwrap_or(inner));
    let calls = match serde_json::from_str(inner).ok()? {
        Value::Array(items) => items.iter().map(call).collect::<Option<Vec<_>>>()?,
        one => vec![call(&one)?],
    };
    (!calls.is_empty()).then(|| (String::new(), calls))
}

/// The calls at the end of an answer. Elsewhere, or in a fence, they are examples.
fn tagged(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let mut pieces = text.split(OPEN);
    let said = pieces.next()?.trim_end();
    let fenced = said.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1;
    if fenced {
        return None;
    }
    let mut calls = Vec::new();
    for piece in pieces {
        let (inner, after) = piece.split_once(CLOSE).unwrap_or((piece, ""));
        if !after.trim().is_empty() {
            return None;
        }
        calls.push(call(&serde_json::from_str(inner.trim()).ok()?)?);
    }
    Some((said.to_owned(), calls))
}

fn call(value: &Value) -> Option<(String, String)> {
    let value = value.get("function").filter(|inner| inner.is_object()).unwrap_or(value);
    let name = value.get("name")?.as_str().filter(|name| canonical(name).is_some())?;
    let arguments = value.get("arguments").or_else(|| value.get("parameters"))?;
    let arguments = match arguments {
        Value::String(text) => text.clone(),
        Value::Object(_) => arguments.to_string(),
        _ => return None,
    };
    Some((name.to_owned(), arguments))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn calls_in_the_text_are_found() {
        let bash = ("bash".to_owned(), r#"{"command":"ls"}"#.to_owned());
        let written = [
            r#"{"name": "bash", "arguments": {"command":"ls"}}"#,
            "```json\n{\"name\": \"bash\", \"parameters\": {\"command\":\"ls\"}}\n```",
            r#"[{"type":"function","function":{"name":"bash","arguments":"{\"command\":\"ls\"}"}}]"#,
            "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\":\"ls\"}}\n</tool_call>",
        ];
        for text in written {
            assert_eq!(find(text), Some((String::new(), vec![bash.clone()])), "{text}");
        }
        let text = "I look.\n<tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"ls\"}}";
        assert_eq!(find(text), Some(("I look.".into(), vec![bash])));
    }

    #[test]
    fn what_only_looks_like_a_call_is_text() {
        let texts = [
            "Use {\"name\": \"bash\", \"arguments\": {\"command\":\"ls\"}} for that.",
            r#"{"name": "Ada", "arguments": {}}"#,
            r#"{"name": "bash"}"#,
            "<tool_call> is a tag",
            "Write <tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call> for that.",
            "So:\n```\n<tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>\n```",
            "So:\n```\n<tool_call>{\"name\":\"bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>",
            "[]",
            "",
        ];
        assert!(texts.into_iter().all(|text| find(text).is_none()));
    }
}
