//! Codex, by its app server: JSON-RPC in lines on standard input and output.

mod asking;
mod config;
mod translate;

use std::{collections::BTreeMap, ffi::OsString};

use sandbox_sdk::types::TurnError;
use serde_json::{Value, json};

use super::{
    Start,
    asks::Decision,
    conversation,
    follow::{Conversation, Step},
    problem,
    process::AgentProcess,
    reporter::Reporter,
};
use crate::{interactions::DENIED, profile::Permissions, sidecar::WORKSPACE};
use translate::Translator;

/// Its folder. It refuses to work from one below `/tmp`.
const CODEX_HOME: &str = "/home/agent/.skein/codex";

/// Under what name the instructions of the thread are remembered.
const INSTRUCTIONS: &str = "codex.instructions";

pub(super) struct Codex {
    process: AgentProcess,
    translator: Translator,
    permissions: Permissions,
    thread: String,
    requests: u64,
}

impl Codex {
    pub(super) async fn start(start: Start<'_>) -> Result<Self, TurnError> {
        let (setup, session) = (start.setup, start.session_id);
        let known = conversation::load(start.files, setup.cli, session).await;
        let cannot = |words: String| super::problem("AGENT_NOT_STARTED", format!("Codex: {words}"));
        let text = config::config(setup, &start.url).map_err(|error| cannot(error.to_string()))?;
        let written =
            conversation::write(start.files, format!("{CODEX_HOME}/config.toml"), text).await;
        written.map_err(|problem| cannot(problem.message))?;
        let env: BTreeMap<String, String> =
            [("CODEX_HOME", CODEX_HOME), (config::KEY_VARIABLE, start.door.key())]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let arguments: [OsString; 2] = [start.program.into(), "app-server".into()];
        let process = AgentProcess::start(setup.cli, start.commands, &arguments, env).await?;
        let mut codex = Self {
            process,
            translator: Translator::default(),
            permissions: setup.profile.permissions,
            thread: String::new(),
            requests: 0,
        };
        let resumed = codex.open(setup, known).await?;
        codex.instruct(&start, resumed).await?;
        Ok(codex)
    }

    /// A resumed thread keeps the instructions that it was begun with, so others are added to it.
    async fn instruct(&mut self, start: &Start<'_>, resumed: bool) -> Result<(), TurnError> {
        let wanted = start.setup.profile.instructions.clone().unwrap_or_default();
        if resumed {
            let last = conversation::note(start.files, INSTRUCTIONS, start.session_id).await;
            if last.unwrap_or_default() == wanted {
                return Ok(());
            }
            let text = match wanted.as_str() {
                "" => "The instructions given earlier no longer apply.",
                wanted => wanted,
            };
            let content = json!([{ "type": "input_text", "text": text }]);
            let items = json!([{ "type": "message", "role": "developer", "content": content }]);
            let parameters = json!({ "threadId": self.thread, "items": items });
            self.call("thread/inject_items", parameters).await?;
        }
        conversation::remember(start.files, INSTRUCTIONS, start.session_id, &wanted).await;
        Ok(())
    }

    /// Introduces the sidecar and opens the session's thread. Whether it is one from before.
    async fn open(
        &mut self,
        setup: &super::Setup,
        known: Option<String>,
    ) -> Result<bool, TurnError> {
        let version = env!("CARGO_PKG_VERSION");
        let client = json!({ "name": "skein", "title": "Skein", "version": version });
        self.call("initialize", json!({ "clientInfo": client, "capabilities": null })).await?;
        self.process.send(json!({ "method": "initialized" }).to_string());
        let mut parameters = config::thread(setup, WORKSPACE);
        let mut opened = None;
        if let Some(known) = known {
            let mut resume = parameters.clone();
            resume.insert("threadId".to_owned(), Value::String(known));
            resume.insert("excludeTurns".to_owned(), Value::Bool(true));
            // A thread that it can't find any more is begun anew.
            opened = self.call("thread/resume", Value::Object(resume)).await.ok();
        }
        let resumed = opened.is_some();
        let opened = match opened {
            Some(opened) => opened,
            None => {
                let parameters = Value::Object(std::mem::take(&mut parameters));
                self.call("thread/start", parameters).await?
            }
        };
        let id = opened["thread"]["id"].as_str().unwrap_or_default();
        id.clone_into(&mut self.thread);
        Ok(resumed)
    }

    /// Sends a request and waits for its answer. What else comes meanwhile belongs to no turn.
    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value, TurnError> {
        let id = self.send(method, parameters);
        while let Some(line) = self.process.line().await {
            let Ok(mut message) = serde_json::from_str::<Value>(&line) else { continue };
            if message["id"] != id || message.get("method").is_some() {
                continue;
            }
            if let Some(words) = message["error"]["message"].as_str() {
                return Err(problem("AGENT_FAILED", format!("Codex: {method}: {words}")));
            }
            return Ok(message["result"].take());
        }
        Err(self.process.died())
    }

    fn send(&mut self, method: &str, parameters: Value) -> u64 {
        self.requests += 1;
        let request = json!({ "id": self.requests, "method": method, "params": parameters });
        self.process.send(request.to_string());
        self.requests
    }

    pub(super) fn say(&mut self, message: &str) {
        let input = json!([{ "type": "text", "text": message, "text_elements": [] }]);
        let parameters = json!({ "threadId": self.thread, "input": input });
        let request = self.send("turn/start", parameters);
        self.translator = Translator::new(request);
    }

    pub(super) fn process(&mut self) -> &mut AgentProcess {
        &mut self.process
    }

    pub(super) fn into_process(self) -> AgentProcess {
        self.process
    }

    pub(super) fn conversation(&self) -> Option<String> {
        (self.translator.began() && !self.thread.is_empty()).then(|| self.thread.clone())
    }
}

impl Conversation for Codex {
    async fn next(&mut self) -> Option<String> {
        self.process.line().await
    }

    async fn take(&mut self, line: &str, reporter: &mut Reporter) -> Step {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return Step::Goes };
        if message.get("id").is_some() && message.get("method").is_some() {
            let changes = self.translator.changes(&message["params"]["itemId"]);
            return match asking::request(&message, self.permissions, changes) {
                Ok(step) => step,
                Err(answer) => {
                    self.process.send(answer.to_string());
                    Step::Goes
                }
            };
        }
        if message["method"] == "serverRequest/resolved" {
            return Step::Withdraws(message["params"]["requestId"].to_string());
        }
        self.translator.take(&message, reporter).await
    }

    async fn decided(&mut self, native: Value, decision: Decision) {
        self.process.send(asking::response(&native, &decision).to_string());
        // Its answer has no room for words.
        if let (Decision::Denied(words), Some(turn)) = (decision, self.translator.turn())
            && words != DENIED
        {
            let input = json!([{ "type": "text", "text": words, "text_elements": [] }]);
            let steer = json!({ "threadId": self.thread, "expectedTurnId": turn, "input": input });
            self.send("turn/steer", steer);
        }
    }

    async fn interrupt(&mut self) {
        if let Some(turn) = self.translator.turn() {
            let parameters = json!({ "threadId": self.thread, "turnId": turn });
            self.send("turn/interrupt", parameters);
        }
    }

    fn died(&self) -> TurnError {
        self.process.died()
    }

    fn kill(&mut self) {
        self.process.kill();
    }
}
