//! The tools that a request offers.

use serde_json::{Map, Value, json};

/// Names under which agents offer a shell, the likeliest first.
const SHELLS: [&str; 12] = [
    "bash",
    "shell",
    "exec_command",
    "shell_command",
    "run",
    "run_command",
    "run_shell_command",
    "execute_command",
    "execute",
    "exec",
    "terminal",
    "command",
];
/// Names of the argument that takes the command.
const COMMANDS: [&str; 5] = ["command", "cmd", "script", "code", "input"];

#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// Takes free text instead of JSON (only in the Responses format).
    pub(crate) custom: bool,
    schema: Value,
}

impl Tool {
    /// Reads one entry of a request's `tools`; the formats only nest it differently. None for what
    /// the provider itself would run, which has no name.
    pub(crate) fn read(entry: &Value) -> Option<Self> {
        let inner = entry.get("function").unwrap_or(entry);
        let schema = inner.get("input_schema").or_else(|| inner.get("parameters"));
        Some(Self {
            name: inner["name"].as_str()?.to_owned(),
            custom: entry["type"] == "custom" && schema.is_none(),
            schema: schema.cloned().unwrap_or_default(),
        })
    }

    /// The tool that runs commands, if there is one.
    pub(crate) fn shell(tools: &[Self]) -> Option<&Self> {
        SHELLS.iter().find_map(|name| tools.iter().find(|t| t.name.eq_ignore_ascii_case(name)))
    }

    /// Arguments that make this tool run a command.
    pub(crate) fn command_arguments(&self, command: &str) -> Value {
        let properties = &self.schema["properties"];
        let required: Vec<&str> = self.schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let argument = COMMANDS
            .into_iter()
            .find(|name| properties.get(name).is_some())
            .or_else(|| required.iter().copied().find(|name| properties[name]["type"] == "string"))
            .unwrap_or("command");
        let mut arguments: Map<String, Value> =
            required.iter().map(|name| ((*name).to_owned(), filler(&properties[name]))).collect();
        let command = match properties[argument]["type"] == "array" {
            true => json!(["bash", "-lc", command]),
            false => json!(command),
        };
        arguments.insert(argument.to_owned(), command);
        Value::Object(arguments)
    }
}

/// Something of the right type for an argument that is required beside the command.
fn filler(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(schema["minimum"].as_u64().unwrap_or(1)),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("Run the scripted command"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_found_under_each_name_and_argument() {
        let tools = [
            json!({"name": "Read", "input_schema": {}}),
            json!({"name": "Bash", "input_schema": {
                "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
                "required": ["command", "description"]}}),
        ];
        let tools: Vec<Tool> = tools.iter().filter_map(Tool::read).collect();
        let shell = Tool::shell(&tools).unwrap();
        let arguments = shell.command_arguments("ls");
        assert_eq!(arguments["command"], "ls");
        assert!(arguments["description"].is_string());

        let codex = json!({"type": "function", "name": "exec_command", "parameters": {
            "properties": {"cmd": {"type": "string"}, "timeout": {"type": "number"}},
            "required": ["cmd"]}});
        let codex = [Tool::read(&codex).unwrap()];
        assert_eq!(Tool::shell(&codex).unwrap().command_arguments("ls"), json!({"cmd": "ls"}));

        let list = json!({"type": "function", "function": {"name": "shell", "parameters": {
            "properties": {"command": {"type": "array"}}}}});
        let list = [Tool::read(&list).unwrap()];
        let arguments = Tool::shell(&list).unwrap().command_arguments("ls");
        assert_eq!(arguments, json!({"command": ["bash", "-lc", "ls"]}));
    }

    #[test]
    fn a_request_may_have_no_shell() {
        let tools = [Tool::read(&json!({"name": "Read", "input_schema": {}})).unwrap()];
        assert!(Tool::shell(&tools).is_none());
    }
}
