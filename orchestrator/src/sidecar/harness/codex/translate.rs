//! From the notifications of Codex's app server to events.

use serde_json::{Value, json};

use super::super::{
    End,
    follow::Step,
    model_problem,
    reporter::{Prose, Reporter, ToolStep},
};

/// One turn.
#[derive(Default)]
pub(super) struct Translator {
    /// The request that started the turn.
    request: u64,
    turn: Option<String>,
    /// What the last item is to change in files, by its id.
    changes: Option<(String, Value)>,
    /// Why the model failed the last time.
    failure: Option<Value>,
}

impl Translator {
    pub(super) fn new(request: u64) -> Self {
        Self { request, ..Self::default() }
    }

    /// Whether the conversation exists.
    pub(super) fn began(&self) -> bool {
        self.turn.is_some()
    }

    /// Codex's own id of the turn, once it has one.
    pub(super) fn turn(&self) -> Option<&str> {
        self.turn.as_deref()
    }

    /// What the item is to change in files.
    pub(super) fn changes(&self, item: &Value) -> Option<&Value> {
        let (id, changes) = self.changes.as_ref()?;
        (item == id.as_str()).then_some(changes)
    }

    pub(super) async fn take(&mut self, message: &Value, reporter: &mut Reporter) -> Step {
        if message["id"] == self.request {
            if let Some(words) = message["error"]["message"].as_str() {
                return Step::Ends(End::Failed(model_problem(None, format!("Codex: {words}"))));
            }
            self.turn = message["result"]["turn"]["id"].as_str().map(str::to_owned);
            return Step::Goes;
        }
        let parameters = &message["params"];
        let turn = parameters["turnId"].as_str().or_else(|| parameters["turn"]["id"].as_str());
        if self.turn.is_none() && message["method"] == "turn/started" {
            self.turn = turn.map(str::to_owned);
        }
        if turn.is_some() && turn != self.turn.as_deref() {
            // Of an earlier turn, or of a subagent's.
            return Step::Goes;
        }
        self.notification(message["method"].as_str().unwrap_or_default(), parameters, reporter)
            .await
    }

    async fn notification(
        &mut self,
        method: &str,
        parameters: &Value,
        reporter: &mut Reporter,
    ) -> Step {
        let item = &parameters["item"];
        match method {
            "item/agentMessage/delta" => grow(Prose::Text, parameters, reporter).await,
            "item/reasoning/textDelta" | "item/reasoning/summaryTextDelta" => {
                grow(Prose::Reasoning, parameters, reporter).await;
            }
            "item/started" => {
                if item["type"] == "fileChange" {
                    let id = item["id"].as_str().unwrap_or_default().to_owned();
                    self.changes = Some((id, item["changes"].clone()));
                }
                started(item, reporter).await;
            }
            "item/completed" => completed(item, reporter).await,
            "thread/compacted" => {
                reporter.status("compacting", "The conversation was shortened.").await;
            }
            "error" => {
                let error = &parameters["error"];
                self.failure = Some(error.clone());
                if parameters["willRetry"] == true {
                    // What was being said is said again.
                    reporter.abandon();
                    let words = error["message"].as_str().unwrap_or("no answer");
                    let words = format!("The model failed ({words}); it is asked again.");
                    reporter.status("retrying", words).await;
                }
            }
            "turn/completed" => return Step::Ends(self.end(&parameters["turn"])),
            _ => {}
        }
        Step::Goes
    }

    fn end(&mut self, turn: &Value) -> End {
        match turn["status"].as_str().unwrap_or_default() {
            "completed" => End::Completed,
            "interrupted" => End::Aborted,
            _ => {
                let error = match &turn["error"] {
                    Value::Null => self.failure.take().unwrap_or_default(),
                    error => error.clone(),
                };
                let words = error["message"].as_str().unwrap_or("no reason given");
                End::Failed(model_problem(status(&error), format!("Codex failed: {words}")))
            }
        }
    }
}

/// The HTTP status that the model gateway answered with. It stands in an object whose name says what
/// Codex was doing, or only in the words.
fn status(error: &Value) -> Option<u64> {
    let info = error["codexErrorInfo"].as_object();
    let stated = info.and_then(|info| info.values().find_map(|of| of["httpStatusCode"].as_u64()));
    stated.or_else(|| {
        let words = error["message"].as_str()?;
        words.split(|c: char| !c.is_ascii_digit()).find(|word| *word == "402")?.parse().ok()
    })
}

async fn grow(kind: Prose, parameters: &Value, reporter: &mut Reporter) {
    let key = parameters["itemId"].as_str().unwrap_or_default();
    reporter.grow(kind, key, parameters["delta"].as_str().unwrap_or_default()).await;
}

async fn started(item: &Value, reporter: &mut Reporter) {
    if let Some((name, input)) = tool(item) {
        let id = item["id"].as_str().unwrap_or_default();
        reporter.tool(id, &name, ToolStep::Running { input }).await;
    }
}

async fn completed(item: &Value, reporter: &mut Reporter) {
    let id = item["id"].as_str().unwrap_or_default();
    match item["type"].as_str().unwrap_or_default() {
        "agentMessage" => {
            reporter.settle(Prose::Text, id, item["text"].as_str().unwrap_or_default()).await;
        }
        "reasoning" => {
            let texts = |name: &str| -> Vec<String> {
                let all = item[name].as_array().into_iter().flatten();
                all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
            };
            let (summary, content) = (texts("summary"), texts("content"));
            let whole = if content.is_empty() { summary } else { content };
            reporter.settle(Prose::Reasoning, id, &whole.join("\n\n")).await;
        }
        _ => {
            if let Some((name, input)) = tool(item) {
                reporter.tool(id, &name, ToolStep::Running { input }).await;
                reporter.tool(id, &name, outcome(item)).await;
            }
        }
    }
}

/// Name and input of an item that is a tool call.
fn tool(item: &Value) -> Option<(String, Value)> {
    Some(match item["type"].as_str()? {
        "commandExecution" => {
            let command = command(item["command"].as_str().unwrap_or_default());
            ("bash".to_owned(), json!({ "command": command }))
        }
        "fileChange" => {
            let changes = item["changes"].as_array().cloned().unwrap_or_default();
            let path = changes.first().map(|change| change["path"].clone()).unwrap_or_default();
            ("edit".to_owned(), json!({ "file_path": path, "changes": changes }))
        }
        "mcpToolCall" => {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            (format!("{}_{}", text("server"), text("tool")), item["arguments"].clone())
        }
        "dynamicToolCall" => {
            (item["tool"].as_str().unwrap_or_default().to_owned(), item["arguments"].clone())
        }
        "webSearch" => ("web_search".to_owned(), json!({ "query": item["query"] })),
        "imageView" => ("read".to_owned(), json!({ "file_path": item["path"] })),
        "collabAgentToolCall" => ("task".to_owned(), json!({ "description": item["prompt"] })),
        _ => return None,
    })
}

fn outcome(item: &Value) -> ToolStep {
    let failed = matches!(item["status"].as_str(), Some("failed" | "declined"))
        || item["success"] == false
        || item["error"].is_object();
    let output = match item["type"].as_str().unwrap_or_default() {
        "commandExecution" => {
            json!({ "stdout": item["aggregatedOutput"], "exitCode": item["exitCode"] })
        }
        "mcpToolCall" => item["result"].clone(),
        "dynamicToolCall" => item["contentItems"].clone(),
        _ => Value::String(item["status"].as_str().unwrap_or("done").to_owned()),
    };
    if !failed {
        return ToolStep::Completed { output };
    }
    let error = match (item["status"].as_str(), item["exitCode"].as_i64()) {
        (Some("declined"), _) => "Not allowed".to_owned(),
        (_, Some(code)) => format!("Exited with code {code}"),
        _ => item["error"]["message"].as_str().unwrap_or("failed").to_owned(),
    };
    ToolStep::Failed { error, output }
}

/// All changes of an item, one after the other.
pub(super) fn diff(changes: &Value) -> String {
    let changes = changes.as_array().into_iter().flatten();
    let text = |change: &Value, name: &str| change[name].as_str().unwrap_or_default().to_owned();
    changes.map(|change| format!("{}\n{}\n", text(change, "path"), text(change, "diff"))).collect()
}

/// Without the shell that Codex puts around it.
pub(super) fn command(command: &str) -> String {
    let inner = ["/bin/bash -lc ", "bash -lc ", "/bin/sh -c "]
        .iter()
        .find_map(|shell| command.strip_prefix(shell));
    let Some(inner) = inner else { return command.to_owned() };
    let quoted = |quote: char| inner.strip_prefix(quote)?.strip_suffix(quote);
    match (quoted('\''), quoted('"')) {
        (Some(text), _) => text.replace(r"'\''", "'").replace("'\"'\"'", "'"),
        (_, Some(text)) => text.replace("\\\"", "\""),
        _ => inner.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_the_model_wrote_them() {
        assert_eq!(command("/bin/bash -lc 'echo hi; ls'"), "echo hi; ls");
        assert_eq!(command("/bin/bash -lc ls"), "ls");
        assert_eq!(command("/bin/bash -lc \"echo 'a'\""), "echo 'a'");
        assert_eq!(command("python3 x.py"), "python3 x.py");
    }

    #[test]
    fn used_up_credits_are_known_from_the_status_or_the_words() {
        let stated =
            json!({ "codexErrorInfo": { "httpConnectionFailed": { "httpStatusCode": 402 } } });
        assert_eq!(status(&stated), Some(402));
        let told = json!({ "message": "unexpected status 402 Payment Required: …", "codexErrorInfo": "other" });
        assert_eq!(status(&told), Some(402));
        assert_eq!(status(&json!({ "message": "port 14021" })), None);
    }
}
