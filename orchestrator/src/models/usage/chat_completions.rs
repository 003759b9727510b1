//! OpenAI's `POST /v1/chat/completions`, which many hosts speak in dialects of their own.

use serde::Deserialize;

use super::{Seen, Usage};

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Figures>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    /// Two names for the same thing; a host uses one of them.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    usage: Option<Figures>,
}

#[derive(Deserialize)]
struct Figures {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// Another spelling of `cached_tokens`.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl From<Figures> for Usage {
    fn from(figures: Figures) -> Self {
        let prompt = figures.prompt_tokens_details.unwrap_or_default();
        let cached = prompt.cached_tokens.or(figures.prompt_cache_hit_tokens);
        let cache_read = cached.unwrap_or(0).min(figures.prompt_tokens);
        let rest = figures.prompt_tokens - cache_read;
        let cache_write = prompt.cache_write_tokens.unwrap_or(0).min(rest);
        let details = figures.completion_tokens_details.unwrap_or_default();
        let reasoning = details.reasoning_tokens.unwrap_or(0);
        // Some hosts count what was thought beside the completion. Their sum gives them away.
        let with_it = figures.completion_tokens.saturating_add(reasoning);
        let beside = figures.total_tokens == Some(figures.prompt_tokens.saturating_add(with_it));
        let output = if beside { with_it } else { figures.completion_tokens };
        Self {
            input: rest - cache_write,
            cache_read,
            cache_write,
            output,
            reasoning: reasoning.min(output),
        }
    }
}

pub(super) fn event(data: &[u8], seen: &mut Seen) {
    if data == b"[DONE]" {
        seen.ended = true;
        return;
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { return };
    for delta in chunk.choices.into_iter().filter_map(|choice| choice.delta) {
        seen.written += written(delta);
    }
    if let Some(figures) = chunk.usage {
        // With the figures the answer is over, also at hosts that do not say so.
        seen.ended = true;
        count(figures, seen);
    }
    if let Some(failure) = chunk.error {
        seen.failure = Some(failure.message.unwrap_or_default());
    }
}

/// Every request has something to read: a host that counts nothing of it has not counted.
fn count(figures: Figures, seen: &mut Seen) {
    if figures.prompt_tokens > 0 {
        seen.usage = Some(figures.into());
        seen.is_final = true;
    }
}

fn written(delta: Delta) -> u64 {
    let calls = delta.tool_calls.unwrap_or_default().into_iter();
    let arguments = calls.filter_map(|call| call.function?.arguments);
    let texts = [delta.content, delta.reasoning_content.or(delta.reasoning)];
    texts.into_iter().flatten().chain(arguments).map(|text| text.len() as u64).sum()
}

pub(super) fn body(data: &[u8], seen: &mut Seen) {
    if let Ok(Body { usage: Some(figures) }) = serde_json::from_slice(data) {
        count(figures, seen);
    }
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::types::WireFormat::ChatCompletions;

    use super::super::tests::{read, read_body};

    const DELTAS: &str = concat!(
        r#"data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"four"}}],"usage":null}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"reasoning_content":"hm. "}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"bash","arguments":"{\"a\":11}"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        "\n\n",
    );

    #[test]
    fn the_last_chunk_has_the_figures() {
        let end = r#"data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":23,"total_tokens":1023,"prompt_tokens_details":{"cached_tokens":200},"completion_tokens_details":{"reasoning_tokens":5}}}"#;
        let reading = read(ChatCompletions, &format!("{DELTAS}{end}\n\ndata: [DONE]\n\n"), true);
        let usage = reading.usage;
        assert_eq!(
            (usage.input, usage.cache_read, usage.output, usage.reasoning),
            (800, 200, 23, 5)
        );
        assert!(reading.complete && !reading.estimated);
    }

    #[test]
    fn a_host_that_ends_without_figures_is_estimated() {
        let reading = read(ChatCompletions, &format!("{DELTAS}data: [DONE]\n\n"), true);
        assert!(reading.complete && reading.estimated);
        assert_eq!((reading.usage.input, reading.usage.output), (100, 4));
    }

    #[test]
    fn figures_of_nothing_are_no_figures() {
        let end = r#"data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#;
        let reading = read(ChatCompletions, &format!("{DELTAS}{end}\n\ndata: [DONE]\n\n"), true);
        assert!(reading.complete && reading.estimated);
        assert_eq!((reading.usage.input, reading.usage.output), (100, 4));
        let reading = read_body(ChatCompletions, r#"{"usage":{},"choices":[]}"#);
        assert!(reading.estimated && reading.usage.input == 100);
    }

    #[test]
    fn a_cut_stream_is_not_complete() {
        let reading = read(ChatCompletions, DELTAS, false);
        assert!(!reading.complete && reading.estimated);
    }

    #[test]
    fn thought_that_stands_beside_the_completion_is_part_of_the_output() {
        let body = r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}}"#;
        let usage = read_body(ChatCompletions, body).usage;
        assert_eq!((usage.input, usage.output, usage.reasoning), (10, 12, 7));
        let body = r#"{"usage":{"prompt_tokens":10,"completion_tokens":12,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}}"#;
        assert_eq!(read_body(ChatCompletions, body).usage.output, 12);
    }

    #[test]
    fn the_other_spelling_of_cached_tokens_is_understood() {
        let body = r#"{"usage":{"prompt_tokens":10,"completion_tokens":1,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}}"#;
        let usage = read_body(ChatCompletions, body).usage;
        assert_eq!((usage.input, usage.cache_read), (2, 8));
    }

    #[test]
    fn figures_that_contradict_each_other_count_nothing_twice() {
        let body = r#"{"usage":{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":99,"cache_write_tokens":99}}}"#;
        let usage = read_body(ChatCompletions, body).usage;
        assert_eq!(usage.read(), 10);
    }
}
