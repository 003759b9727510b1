//! Reads the arguments of a call. Small models write JSON with small mistakes; where these leave no
//! doubt about what is meant, there is no need to send the model back.

use serde_json::{Map, Value};

#[derive(Debug)]
pub(super) struct Arguments {
    tool: String,
    fields: Map<String, Value>,
}

impl Arguments {
    pub(super) fn read(raw: &str, tool: &str) -> Result<Self, String> {
        let fields = object(raw, tool).ok_or_else(|| {
            let begin: String = raw.chars().take(200).collect();
            format!("The arguments of {tool} are not a JSON object: {begin}")
        })?;
        Ok(Self { tool: tool.to_owned(), fields })
    }

    /// The first of these fields that is there, as text.
    pub(super) fn text(&mut self, names: &[&str]) -> Option<String> {
        match self.take(names)? {
            Value::String(text) => Some(text),
            Value::Array(items) => Some(command_line(&items)),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    pub(super) fn needed(&mut self, names: &[&str]) -> Result<String, String> {
        let name = names.first().copied().unwrap_or_default();
        self.text(names).ok_or_else(|| format!("{} needs {name:?}.", self.tool))
    }

    pub(super) fn number(&mut self, names: &[&str]) -> Option<u64> {
        match self.take(names)? {
            Value::String(text) => text.trim().parse().ok(),
            // Whole, whatever they look like.
            value => value.as_u64().or_else(|| format!("{:.0}", value.as_f64()?).parse().ok()),
        }
    }

    pub(super) fn count(&mut self, names: &[&str]) -> Option<usize> {
        self.number(names).and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn flag(&mut self, names: &[&str]) -> bool {
        match self.take(names) {
            Some(Value::Bool(flag)) => flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A list of texts, or of objects with a label and perhaps a description.
    pub(super) fn options(&mut self, names: &[&str]) -> Vec<(String, Option<String>)> {
        let Some(Value::Array(items)) = self.take(names) else { return Vec::new() };
        let text = |value: &Value| value.as_str().map(str::trim).map(str::to_owned);
        let options = items.iter().filter_map(|item| match item {
            Value::Object(fields) => {
                let label = ["label", "value", "text"].iter().find_map(|name| fields.get(*name));
                Some((label.and_then(text)?, fields.get("description").and_then(text)))
            }
            item => Some((text(item)?, None)),
        });
        options.filter(|(label, _)| !label.is_empty()).collect()
    }

    fn take(&mut self, names: &[&str]) -> Option<Value> {
        names.iter().find_map(|name| self.fields.remove(*name))
    }
}

/// A command given as a list: a shell's script as it is, anything else put together.
fn command_line(items: &[Value]) -> String {
    let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
    match words.as_slice() {
        [shell, flag, script] if shell.ends_with("sh") && flag.ends_with('c') => (*script).into(),
        words => words.iter().map(|word| super::search::quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn object(raw: &str, tool: &str) -> Option<Map<String, Value>> {
    let raw = unfenced(raw.trim());
    if raw.is_empty() || raw == "null" {
        return Some(Map::new());
    }
    if let Some(object) = parsed(raw).or_else(|| parsed(&repaired(raw))) {
        return Some(object);
    }
    // The bare command. Nothing else is so clear without its name.
    (tool == "bash" && !raw.starts_with(['{', '[', '"']))
        .then(|| Map::from_iter([("command".to_owned(), raw.into())]))
}

/// The last object with something in it: some hosts send an empty one first.
fn parsed(text: &str) -> Option<Map<String, Value>> {
    let mut found = None;
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let object = match value {
            Ok(Value::Object(object)) => object,
            // JSON within JSON.
            Ok(Value::String(inner)) if inner.trim_start().starts_with('{') => parsed(&inner)?,
            // Words after the object mean nothing; without one they are not JSON.
            Ok(_) | Err(_) => break,
        };
        if !object.is_empty() || found.is_none() {
            found = Some(object);
        }
    }
    found
}

fn unfenced(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else {
        return text;
    };
    inner.strip_prefix("json").unwrap_or(inner).trim()
}

/// Line breaks within strings are written as JSON wants them, commas before the end and Python's
/// words replaced, brackets closed.
fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut closers = Vec::new();
    let mut rest = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = rest.next() {
        if in_string {
            match c {
                '"' => in_string = false,
                '\\' => {
                    out.push(c);
                    out.extend(rest.next());
                    continue;
                }
                '\n' | '\r' | '\t' => {
                    out.extend(c.escape_default());
                    continue;
                }
                _ => {}
            }
            out.push(c);
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' => closers.push('}'),
            '[' => closers.push(']'),
            '}' | ']' => {
                closers.pop();
                let kept = out.trim_end().trim_end_matches(',').len();
                out.truncate(kept);
            }
            _ => {}
        }
        out.push(c);
    }
    // What ends within a string lacks more than its end.
    if !in_string {
        out.truncate(out.trim_end().trim_end_matches(',').len());
        out.extend(closers.into_iter().rev());
    }
    out.replace(": True", ": true").replace(": False", ": false").replace(": None", ": null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(raw: &str) -> Option<String> {
        Arguments::read(raw, "bash").ok()?.text(&["command"])
    }

    #[test]
    fn small_mistakes_are_forgiven() {
        let written = [
            r#"{"command":"ls -l"}"#,
            r#"{"command":"ls -l",}"#,
            r#"{"command":"ls -l""#,
            r#"{}{"command":"ls -l"}"#,
            r#"{"command":"ls -l"} I ran it."#,
            r#""{\"command\":\"ls -l\"}""#,
            "```json\n{\"command\":\"ls -l\"}\n```",
            "ls -l",
        ];
        for raw in written {
            assert_eq!(command(raw).as_deref(), Some("ls -l"), "{raw}");
        }
        assert_eq!(command("{\"command\":\"a\nb\"}").as_deref(), Some("a\nb"));
    }

    #[test]
    fn what_is_cut_off_within_its_words_is_not_guessed() {
        assert_eq!(command(r#"{"command":"rm -rf /tmp/o"#), None);
        assert!(Arguments::read("[1,2]", "bash").is_err());
        assert!(Arguments::read("notes.txt", "write").is_err());
    }

    #[test]
    fn a_command_given_as_a_list_is_put_together() {
        assert_eq!(command(r#"{"command":["ls","a b"]}"#).as_deref(), Some("ls 'a b'"));
        assert_eq!(command(r#"{"command":["sh","-c","a | b"]}"#).as_deref(), Some("a | b"));
    }
}
