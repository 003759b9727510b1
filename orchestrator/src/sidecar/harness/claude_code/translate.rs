//! From Claude Code's lines to events.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{
    End,
    follow::Step,
    model_problem,
    reporter::{Prose, Reporter, ToolStep},
};

/// Model of what Claude Code says itself in the model's place: errors, which come as the result, too.
const SYNTHETIC: &str = "<synthetic>";

/// One turn.
#[derive(Default)]
pub(super) struct Translator {
    began: bool,
    /// The model's current answer.
    answer: String,
    answer_over: bool,
    /// The block that the model is writing: its name for the reporter, and what it is.
    block: Option<(String, Block)>,
    /// Blocks that came whole only.
    whole: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Prose(Prose),
    Tool,
}

impl Translator {
    /// Whether the conversation exists.
    pub(super) fn began(&self) -> bool {
        self.began
    }

    pub(super) async fn take(&mut self, line: &Value, reporter: &mut Reporter) -> Step {
        // What a subagent says is between it and the agent.
        if line["parent_tool_use_id"].is_string() {
            return Step::Goes;
        }
        match line["type"].as_str().unwrap_or_default() {
            "system" => return self.system(line, reporter).await,
            "stream_event" => self.stream(&line["event"], reporter).await,
            "assistant" => self.assistant(&line["message"], reporter).await,
            "user" => results(line, reporter).await,
            "result" => return self.result(line, reporter).await,
            _ => {}
        }
        Step::Goes
    }

    async fn system(&mut self, line: &Value, reporter: &mut Reporter) -> Step {
        match line["subtype"].as_str().unwrap_or_default() {
            "init" => self.began = true,
            "api_retry" => {
                let pause = line["retry_delay_ms"].as_f64().unwrap_or_default().clamp(0.0, 6e5);
                let pause = Duration::from_secs_f64(pause / 1000.0);
                let why = line["error"].as_str().unwrap_or("no answer");
                let attempt = line["attempt"].as_u64().unwrap_or_default();
                let words = format!(
                    "The model failed ({why}); try {} follows in {:.1} s.",
                    attempt + 1,
                    pause.as_secs_f64()
                );
                reporter.status("retrying", words).await;
                return Step::Pauses(pause);
            }
            "compact_boundary" => {
                reporter.status("compacting", "The conversation was shortened.").await;
            }
            _ => {}
        }
        Step::Goes
    }

    async fn stream(&mut self, event: &Value, reporter: &mut Reporter) {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.begin_answer(&event["message"]["id"], reporter),
            "content_block_start" => self.begin_block(event, reporter).await,
            "content_block_delta" => {
                let delta = &event["delta"];
                let grown = delta["text"].as_str().or_else(|| delta["thinking"].as_str());
                if let (Some((key, Block::Prose(kind))), Some(text)) = (&self.block, grown) {
                    reporter.grow(*kind, key, text).await;
                }
            }
            "content_block_stop" => self.block = None,
            "message_stop" => self.answer_over = true,
            _ => {}
        }
    }

    /// An answer that begins before the last one was over is that one, asked for again.
    fn begin_answer(&mut self, id: &Value, reporter: &mut Reporter) {
        if !self.answer.is_empty() && !self.answer_over {
            reporter.abandon();
        }
        id.as_str().unwrap_or_default().clone_into(&mut self.answer);
        self.answer_over = false;
        self.block = None;
    }

    async fn begin_block(&mut self, event: &Value, reporter: &mut Reporter) {
        let content = &event["content_block"];
        let key = format!("{}/{}", self.answer, event["index"]);
        self.block = match content["type"].as_str().unwrap_or_default() {
            "text" => Some((key, Block::Prose(Prose::Text))),
            "thinking" => Some((key, Block::Prose(Prose::Reasoning))),
            "tool_use" => {
                let key = content["id"].as_str().unwrap_or(&key).to_owned();
                let name = content["name"].as_str().unwrap_or_default();
                reporter.tool(&key, name, ToolStep::Pending).await;
                Some((key, Block::Tool))
            }
            _ => None,
        };
    }

    /// A block of the answer, whole.
    async fn assistant(&mut self, message: &Value, reporter: &mut Reporter) {
        if message["model"] == SYNTHETIC {
            return;
        }
        if message["id"] != self.answer.as_str() {
            self.begin_answer(&message["id"], reporter);
            // It came without a stream, so it is complete.
            self.answer_over = true;
        }
        for content in message["content"].as_array().into_iter().flatten() {
            let (kind, text) = match content["type"].as_str().unwrap_or_default() {
                "text" => (Prose::Text, &content["text"]),
                "thinking" => (Prose::Reasoning, &content["thinking"]),
                "tool_use" => {
                    let name = content["name"].as_str().unwrap_or_default();
                    let id = content["id"].as_str().unwrap_or_default();
                    let input = content["input"].clone();
                    reporter.tool(id, name, ToolStep::Running { input }).await;
                    continue;
                }
                _ => continue,
            };
            let streamed = match &self.block {
                Some((key, block)) if *block == Block::Prose(kind) => Some(key.clone()),
                _ => None,
            };
            let key = streamed.unwrap_or_else(|| {
                self.whole += 1;
                format!("{}/whole-{}", self.answer, self.whole)
            });
            reporter.settle(kind, &key, text.as_str().unwrap_or_default()).await;
        }
    }

    async fn result(&mut self, line: &Value, reporter: &mut Reporter) -> Step {
        let words = line["result"].as_str().unwrap_or_default();
        if line["subtype"] == "success" && line["is_error"] != true {
            if !self.began {
                return Step::Goes;
            }
            return Step::Ends(End::Completed);
        }
        reporter.abandon();
        let errors = line["errors"].as_array().into_iter().flatten();
        let errors: Vec<_> = errors.filter_map(Value::as_str).collect();
        let status = line["api_error_status"].as_u64();
        let why = match (words, errors.first()) {
            ("", Some(first)) => (*first).to_owned(),
            ("", None) => line["subtype"].as_str().unwrap_or("no reason given").to_owned(),
            (words, _) => words.to_owned(),
        };
        Step::Ends(End::Failed(model_problem(status, format!("Claude Code failed: {why}"))))
    }
}

/// What tools gave.
async fn results(line: &Value, reporter: &mut Reporter) {
    for content in line["message"]["content"].as_array().into_iter().flatten() {
        let Some(id) = content["tool_use_id"].as_str() else { continue };
        let said = text_of(&content["content"]);
        if content["is_error"] == true {
            let error = said.lines().next().unwrap_or("failed").to_owned();
            reporter.tool(id, "", ToolStep::Failed { error, output: Value::String(said) }).await;
            continue;
        }
        let detail = &line["tool_use_result"];
        let output = if detail["stdout"].is_string() {
            json!({ "stdout": detail["stdout"], "stderr": detail["stderr"], "exitCode": 0 })
        } else {
            Value::String(said)
        };
        reporter.tool(id, "", ToolStep::Completed { output }).await;
    }
}

/// Text, or pieces of which some are text.
fn text_of(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let pieces = content.as_array().into_iter().flatten();
    pieces.filter_map(|piece| piece["text"].as_str()).collect::<Vec<_>>().join("\n")
}
