//! Claude Code, by its stream of JSON lines on standard input and output.

mod control;
mod translate;

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use sandbox_sdk::types::TurnError;
use serde_json::{Value, json};

use super::{
    Start,
    asks::Decision,
    conversation,
    follow::{Conversation, Step},
    process::AgentProcess,
    reporter::Reporter,
};
use crate::profile::{McpServer, Permission, Profile};
use translate::Translator;

/// Where it keeps what was said in the workspace.
const TRANSCRIPTS: &str = "/home/agent/.claude/projects/-workspace";
/// It would try for minutes otherwise.
const MAX_RETRIES: &str = "5";

pub(super) struct ClaudeCode {
    process: AgentProcess,
    translator: Translator,
    conversation: String,
    asked: u64,
}

impl ClaudeCode {
    pub(super) async fn start(start: Start<'_>) -> Result<Self, TurnError> {
        let known = conversation::load(start.files, start.setup.cli, start.session_id).await;
        // What was never answered was never written down either.
        let known = known.filter(|id| Path::new(TRANSCRIPTS).join(format!("{id}.jsonl")).is_file());
        let (flag, id) = match known {
            Some(id) => ("--resume", id),
            None => ("--session-id", uuid::Uuid::now_v7().to_string()),
        };
        let mut arguments: Vec<OsString> = vec![start.program.into()];
        let fixed = [
            "-p",
            "--output-format=stream-json",
            "--input-format=stream-json",
            "--include-partial-messages",
            "--verbose",
            "--model",
            &start.setup.model.model,
            flag,
            &id,
        ];
        arguments.extend(fixed.map(OsString::from));
        arguments.extend(profile_arguments(&start.setup.profile).into_iter().map(OsString::from));
        let env = environment(&start);
        let process = AgentProcess::start(start.setup.cli, start.commands, &arguments, env).await?;
        let translator = Translator::default();
        Ok(Self { process, translator, conversation: id, asked: 0 })
    }

    pub(super) fn say(&mut self, message: &str) {
        self.translator = Translator::default();
        self.process.forget_lines();
        let message = json!({ "role": "user", "content": message });
        self.process.send(json!({ "type": "user", "message": message }).to_string());
    }

    pub(super) fn process(&mut self) -> &mut AgentProcess {
        &mut self.process
    }

    pub(super) fn into_process(self) -> AgentProcess {
        self.process
    }

    pub(super) fn conversation(&self) -> Option<String> {
        self.translator.began().then(|| self.conversation.clone())
    }
}

impl Conversation for ClaudeCode {
    async fn next(&mut self) -> Option<String> {
        self.process.line().await
    }

    async fn take(&mut self, line: &str, reporter: &mut Reporter) -> Step {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return Step::Goes };
        match line["type"].as_str().unwrap_or_default() {
            "control_request" => control::request(&line).unwrap_or_else(|refusal| {
                self.process.send(refusal.to_string());
                Step::Goes
            }),
            "control_cancel_request" => {
                Step::Withdraws(line["request_id"].as_str().unwrap_or_default().to_owned())
            }
            _ => self.translator.take(&line, reporter).await,
        }
    }

    async fn decided(&mut self, native: Value, decision: Decision) {
        self.process.send(control::response(&native, decision).to_string());
    }

    async fn interrupt(&mut self) {
        self.asked += 1;
        let id = format!("interrupt-{}", self.asked);
        let request = json!({ "subtype": "interrupt" });
        let control = json!({ "type": "control_request", "request_id": id, "request": request });
        self.process.send(control.to_string());
    }

    fn died(&self) -> TurnError {
        self.process.died()
    }

    fn kill(&mut self) {
        self.process.kill();
    }
}

fn environment(start: &Start<'_>) -> BTreeMap<String, String> {
    let model = start.setup.model.model.as_str();
    let variables = [
        ("ANTHROPIC_BASE_URL", start.url.as_str()),
        ("ANTHROPIC_API_KEY", start.door.key()),
        // For what it does beside the turn, too: the turn pays for no other model.
        ("ANTHROPIC_SMALL_FAST_MODEL", model),
        ("ANTHROPIC_DEFAULT_HAIKU_MODEL", model),
        ("ANTHROPIC_DEFAULT_SONNET_MODEL", model),
        ("ANTHROPIC_DEFAULT_OPUS_MODEL", model),
        ("CLAUDE_CODE_SUBAGENT_MODEL", model),
        ("CLAUDE_CODE_MAX_RETRIES", MAX_RETRIES),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        // Either would let it begin turns of its own, which nobody pays for.
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("CLAUDE_CODE_DISABLE_CRON", "1"),
        ("IS_SANDBOX", "1"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Its own flags for what a profile asks for. All that is not named is allowed: the sandbox is the
/// boundary. What it asks for comes as control requests.
fn profile_arguments(profile: &Profile) -> Vec<String> {
    let tools = control::tools(profile.permissions);
    let named = |wanted: Permission| -> Vec<&str> {
        let matching = tools.iter().filter(|(permission, _)| *permission == wanted);
        matching.flat_map(|(_, tools)| *tools).copied().collect()
    };
    let (denied, asked) = (named(Permission::Deny), named(Permission::Ask));
    let fixed = ["--dangerously-skip-permissions", "--permission-prompt-tool", "stdio"];
    let mut arguments = fixed.map(str::to_owned).to_vec();
    if !denied.is_empty() {
        arguments.extend(["--disallowedTools".to_owned(), denied.join(",")]);
    }
    if !profile.permissions.allows_all() {
        // Hooks are commands that a file of the workspace has it run without asking.
        let settings = json!({ "disableAllHooks": true, "permissions": { "ask": asked } });
        arguments.extend(["--settings".to_owned(), settings.to_string()]);
    }
    if let Some(prompt) = &profile.system_prompt {
        arguments.extend(["--system-prompt".to_owned(), prompt.clone()]);
    }
    if let Some(instructions) = &profile.instructions {
        arguments.extend(["--append-system-prompt".to_owned(), instructions.clone()]);
    }
    if !profile.mcp.is_empty() {
        let servers: serde_json::Map<_, _> =
            profile.mcp.iter().map(|(name, server)| (name.clone(), mcp_server(server))).collect();
        let config = json!({ "mcpServers": servers }).to_string();
        arguments.extend(["--strict-mcp-config".to_owned(), "--mcp-config".to_owned(), config]);
    }
    arguments
}

fn mcp_server(server: &McpServer) -> Value {
    match server {
        McpServer::Local { command, args, env } => {
            json!({ "type": "stdio", "command": command, "args": args, "env": env })
        }
        McpServer::Remote { url, headers } => {
            json!({ "type": "http", "url": url, "headers": headers })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Permissions;

    #[test]
    fn tools_that_are_not_allowed_are_named() {
        let (bash, edit) = (Permission::Ask, Permission::Deny);
        let permissions = Permissions { bash, edit, ..Permissions::default() };
        let arguments = profile_arguments(&Profile { permissions, ..Profile::default() });
        assert_eq!(arguments[3..5], ["--disallowedTools", "Edit,Write,NotebookEdit"]);
        let settings = r#"{"disableAllHooks":true,"permissions":{"ask":["Bash"]}}"#;
        assert_eq!(arguments[5..], ["--settings", settings]);
        assert_eq!(profile_arguments(&Profile::default()).len(), 3);
    }
}
