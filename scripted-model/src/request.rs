//! What the three formats have in common, read out of a request's body.

use sandbox_sdk::types::WireFormat;
use serde_json::Value;

use crate::tools::Tool;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) format: WireFormat,
    /// Empty if none was named.
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// Whether a streamed chat completion is to end with its usage.
    pub(crate) stream_usage: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) conversation: Conversation,
    /// A client's own request for a title, which may quote the prompt.
    pub(crate) wants_title: bool,
}

/// What the user has said, and what tools have answered to the newest of it.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// One text per message, oldest first.
    pub(crate) prompts: Vec<String>,
    /// Tool results since the newest prompt.
    pub(crate) results: usize,
}

impl Conversation {
    /// The newest prompt: the script.
    pub(crate) fn newest(&self) -> &str {
        self.prompts.last().map_or("", String::as_str)
    }

    fn read(body: &Value) -> Self {
        let mut conversation = Self::default();
        match body.get("messages").or_else(|| body.get("input")) {
            Some(Value::String(prompt)) => conversation.prompts.push(prompt.clone()),
            Some(Value::Array(items)) => items.iter().for_each(|item| conversation.add(item)),
            _ => {}
        }
        conversation
    }

    /// Adds one message, or one item of a Responses request.
    fn add(&mut self, item: &Value) {
        let kind = item["type"].as_str().unwrap_or_default();
        if kind.ends_with("_output") || item["role"] == "tool" {
            self.results += 1;
        }
        if item["role"] != "user" {
            return;
        }
        let blocks = item["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.results += blocks.iter().filter(|block| block["type"] == "tool_result").count();
        let texts = blocks
            .iter()
            .filter(|block| matches!(block["type"].as_str(), Some("text" | "input_text")))
            .filter_map(|block| block["text"].as_str());
        let prompt = item["content"].as_str().into_iter().chain(texts).rfind(|text| is_said(text));
        if let Some(prompt) = prompt {
            self.prompts.push(prompt.to_owned());
            self.results = 0;
        }
    }
}

/// Clients put what they add themselves between tags, as `<system-reminder>…</system-reminder>`.
fn is_said(text: &str) -> bool {
    let text = text.trim();
    let tag = text
        .strip_prefix('<')
        .and_then(|rest| rest.split(['>', ' ', '\n']).next())
        .filter(|tag| !tag.is_empty());
    !text.is_empty() && !tag.is_some_and(|tag| text.ends_with(&format!("</{tag}>")))
}

impl Request {
    pub(crate) fn read(format: WireFormat, body: &Value) -> Self {
        let tools: Vec<Tool> = body["tools"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .filter_map(Tool::read)
            .collect();
        let conversation = Conversation::read(body);
        Self {
            format,
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == true,
            stream_usage: body["stream_options"]["include_usage"] == true,
            max_tokens: ["max_tokens", "max_completion_tokens", "max_output_tokens"]
                .iter()
                .find_map(|name| body[name].as_u64()),
            wants_title: tools.is_empty() && asks_for_title(body, &conversation),
            tools,
            conversation,
        }
    }
}

fn asks_for_title(body: &Value, conversation: &Conversation) -> bool {
    let system = |item: &&Value| matches!(item["role"].as_str(), Some("system" | "developer"));
    let instructions = [&body["system"], &body["instructions"]]
        .into_iter()
        .chain(body["messages"].as_array().into_iter().flatten().filter(system))
        .map(Value::to_string);
    instructions.chain(conversation.prompts.iter().cloned()).any(|text| {
        let text = text.to_lowercase();
        text.contains("title generator") || text.contains("generate a title")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_client_adds_in_tags_is_no_prompt() {
        let body = json!({"messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>\nSAY[no]\n</system-reminder>"},
                {"type": "text", "text": "RUN[ls]"},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "SAY[no]"},
                {"type": "text", "text": "<system-reminder>SAY[no]</system-reminder>"},
            ]},
        ]});
        let conversation = Conversation::read(&body);
        assert_eq!(conversation.prompts, ["RUN[ls]"]);
        assert_eq!(conversation.results, 1);
    }

    #[test]
    fn a_new_prompt_starts_the_count_of_results_anew() {
        let body = json!({"input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "RUN[a]"}]},
            {"type": "function_call", "call_id": "1", "name": "exec_command", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "x"},
            {"role": "user", "content": "SAY[b]"},
        ]});
        let conversation = Conversation::read(&body);
        assert_eq!(conversation.newest(), "SAY[b]");
        assert_eq!(conversation.results, 0);
    }
}
