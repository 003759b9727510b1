//! From the events of OpenCode's server to those of a session.

use std::{collections::HashMap, time::Duration};

use sandbox_sdk::types::TurnError;
use serde_json::{Value, json};

use super::super::{
    End,
    follow::Step,
    model_problem, problem,
    reporter::{Prose, Reporter, ToolStep},
};

/// Answers in a row that broke off. OpenCode would ask again for ever, ten times a second.
const MOST_BROKEN: u32 = 3;

/// One turn.
#[derive(Default)]
pub(super) struct Translator {
    session: String,
    /// OpenCode has taken the message up. What it says before is about the last turn.
    busy: bool,
    /// Who wrote which message.
    roles: HashMap<String, Role>,
    /// Deltas name a part; what it is was told before.
    parts: HashMap<String, Prose>,
    broken: u32,
    failure: Option<TurnError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Person,
    Agent,
}

impl Translator {
    pub(super) fn new(session: &str) -> Self {
        Self { session: session.to_owned(), ..Self::default() }
    }

    pub(super) async fn take(&mut self, event: &Value, reporter: &mut Reporter) -> Step {
        let kind = event["type"].as_str().unwrap_or_default();
        // The server itself lives on, also when its agent hangs.
        if !kind.starts_with("message.") && !kind.starts_with("session.") {
            return Step::Quiet;
        }
        let properties = &event["properties"];
        let named = [&properties["sessionID"], &properties["info"]["sessionID"]];
        let session = named.into_iter().find_map(Value::as_str);
        if session.is_some_and(|session| session != self.session) {
            // Of a subagent.
            return Step::Goes;
        }
        match kind {
            "message.updated" => self.message(&properties["info"]),
            "message.part.updated" => return self.part(&properties["part"], reporter).await,
            "message.part.delta" => self.delta(properties, reporter).await,
            "message.part.removed" => {}
            "session.status" => return self.status(&properties["status"], reporter).await,
            "session.idle" if self.busy => return Step::Ends(self.end()),
            "session.error" => self.fail(&properties["error"]),
            "session.compacted" => {
                reporter.status("compacting", "The conversation was shortened.").await;
            }
            _ => {}
        }
        Step::Goes
    }

    fn message(&mut self, info: &Value) {
        let Some(id) = info["id"].as_str() else { return };
        let role = if info["role"] == "assistant" { Role::Agent } else { Role::Person };
        self.roles.insert(id.to_owned(), role);
        if role == Role::Agent && info["error"].is_object() {
            self.fail(&info["error"]);
        }
    }

    fn fail(&mut self, error: &Value) {
        if error["name"] == "MessageAbortedError" {
            return;
        }
        let data = &error["data"];
        let words = data["message"].as_str().or_else(|| error["name"].as_str());
        let words = format!("OpenCode failed: {}", words.unwrap_or("no reason given"));
        self.failure = Some(model_problem(data["statusCode"].as_u64(), words));
    }

    fn is_agents(&self, of: &Value) -> bool {
        let role = of["messageID"].as_str().and_then(|id| self.roles.get(id));
        role == Some(&Role::Agent)
    }

    async fn part(&mut self, part: &Value, reporter: &mut Reporter) -> Step {
        if !self.is_agents(part) {
            return Step::Goes;
        }
        let id = part["id"].as_str().unwrap_or_default();
        match part["type"].as_str().unwrap_or_default() {
            // Its own notes to the model.
            "text" if part["synthetic"] == true || part["ignored"] == true => {}
            "text" => self.prose(Prose::Text, id, part, reporter).await,
            "reasoning" => self.prose(Prose::Reasoning, id, part, reporter).await,
            "tool" => tool(part, reporter).await,
            "step-finish" => return self.step_over(part, reporter),
            "retry" => reporter.abandon(),
            _ => {}
        }
        Step::Goes
    }

    async fn prose(&mut self, kind: Prose, id: &str, part: &Value, reporter: &mut Reporter) {
        self.parts.insert(id.to_owned(), kind);
        if part["time"]["end"].is_number() {
            reporter.settle(kind, id, part["text"].as_str().unwrap_or_default()).await;
            self.parts.remove(id);
        }
    }

    async fn delta(&mut self, properties: &Value, reporter: &mut Reporter) {
        let id = properties["partID"].as_str().unwrap_or_default();
        if properties["field"] == "text"
            && let Some(kind) = self.parts.get(id)
        {
            let delta = properties["delta"].as_str().unwrap_or_default();
            reporter.grow(*kind, id, delta).await;
        }
    }

    /// A model that ends without a reason was cut off, and is asked the same again.
    fn step_over(&mut self, part: &Value, reporter: &mut Reporter) -> Step {
        let reason = part["reason"].as_str().unwrap_or_default();
        if !matches!(reason, "unknown" | "other" | "error") {
            self.broken = 0;
            return Step::Goes;
        }
        reporter.abandon();
        self.broken += 1;
        if self.broken < MOST_BROKEN {
            return Step::Goes;
        }
        let message = "The model's answers broke off again and again.";
        Step::Ends(End::Failed(problem("MODEL_FAILED", message)))
    }

    async fn status(&mut self, status: &Value, reporter: &mut Reporter) -> Step {
        match status["type"].as_str().unwrap_or_default() {
            "busy" => self.busy = true,
            "retry" => {
                self.busy = true;
                reporter.abandon();
                let next = status["next"].as_i64().unwrap_or_default();
                let pause = u64::try_from(next - crate::clock::now_ms()).unwrap_or_default();
                let pause = Duration::from_millis(pause.min(600_000));
                let why = status["message"].as_str().unwrap_or("no answer");
                let words = format!(
                    "The model failed ({why}); the next try follows in {:.1} s.",
                    pause.as_secs_f64()
                );
                reporter.status("retrying", words).await;
                return Step::Pauses(pause);
            }
            _ => {}
        }
        Step::Goes
    }

    fn end(&mut self) -> End {
        self.failure.take().map_or(End::Completed, End::Failed)
    }
}

async fn tool(part: &Value, reporter: &mut Reporter) {
    let id = part["callID"].as_str().unwrap_or_default();
    let name = part["tool"].as_str().unwrap_or_default();
    let state = &part["state"];
    let running = || ToolStep::Running { input: state["input"].clone() };
    match state["status"].as_str().unwrap_or_default() {
        "pending" => reporter.tool(id, name, ToolStep::Pending).await,
        "running" => reporter.tool(id, name, running()).await,
        "completed" => {
            reporter.tool(id, name, running()).await;
            let exit = &state["metadata"]["exit"];
            let output = match name {
                "bash" => json!({ "stdout": state["output"], "exitCode": exit }),
                _ => state["output"].clone(),
            };
            let step = match exit.as_i64() {
                Some(code) if code != 0 => {
                    ToolStep::Failed { error: format!("Exited with code {code}"), output }
                }
                _ => ToolStep::Completed { output },
            };
            reporter.tool(id, name, step).await;
        }
        "error" => {
            reporter.tool(id, name, running()).await;
            let error = state["error"].as_str().unwrap_or("failed").to_owned();
            reporter.tool(id, name, ToolStep::Failed { error, output: Value::Null }).await;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        agents::{Cli, Patience},
        interactions::Broker,
        sidecar::{
            AgentRun,
            harness::{
                asks::Decision,
                follow::{Conversation, follow},
                forwarder::Forwarder,
                watchdog::Watchdog,
            },
        },
    };

    /// A server that lives while its agent hangs.
    struct Hanging(Translator);

    impl Conversation for Hanging {
        async fn next(&mut self) -> Option<String> {
            time::sleep(Duration::from_millis(50)).await;
            Some(r#"{"type":"server.heartbeat","properties":{}}"#.to_owned())
        }

        async fn take(&mut self, line: &str, reporter: &mut Reporter) -> Step {
            self.0.take(&serde_json::from_str(line).unwrap(), reporter).await
        }

        async fn decided(&mut self, _: Value, _: Decision) {}

        async fn interrupt(&mut self) {}

        fn died(&self) -> TurnError {
            problem("AGENT_DIED", "")
        }

        fn kill(&mut self) {}
    }

    #[tokio::test]
    async fn a_heartbeat_of_the_server_is_no_sign_of_the_agent() {
        let (events, _taken) = mpsc::channel(64);
        let asker = Broker::new(Duration::MAX).asker(&AgentRun::unasked(), events.clone());
        let mut reporter = Reporter::new(&AgentRun::unasked(), events);
        let door = Forwarder::start().await.unwrap().door().unwrap();
        let patience = Patience { idle: Duration::from_millis(600), ..Patience::default() };
        let watchdog = Watchdog::new(Cli::OpenCode, patience, &door);
        let mut agent = Hanging(Translator::new("ses_1"));
        let stopped = CancellationToken::new();
        let followed = follow(&mut agent, &mut reporter, asker, &stopped, watchdog);
        let end = time::timeout(Duration::from_secs(20), followed).await.expect("it is noticed");
        let End::Failed(error) = end else { panic!("{end:?}") };
        assert_eq!(error.code.as_deref(), Some("AGENT_STUCK"));
    }
}
