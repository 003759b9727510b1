//! Anthropic's `POST /v1/messages`: cached tokens stand beside the input.

use serde::Deserialize;

use super::{Seen, Usage};

/// An event of the stream, as far as it matters here.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    message: Option<Message>,
    delta: Option<Delta>,
    usage: Option<Figures>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Figures>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
}

/// A later event repeats what changed: absent figures stay as they were.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Figures {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Figures {
    fn over(self, known: Usage) -> Usage {
        Usage {
            input: self.input_tokens.unwrap_or(known.input),
            cache_read: self.cache_read_input_tokens.unwrap_or(known.cache_read),
            cache_write: self.cache_creation_input_tokens.unwrap_or(known.cache_write),
            output: self.output_tokens.unwrap_or(known.output),
            reasoning: 0,
        }
    }
}

pub(super) fn event(data: &[u8], seen: &mut Seen) {
    let Ok(event) = serde_json::from_slice::<Event>(data) else { return };
    match event.kind.as_str() {
        "message_start" => {
            let figures = event.message.and_then(|message| message.usage);
            seen.usage = figures.map(|figures| figures.over(Usage::default()));
        }
        "content_block_delta" => {
            let delta = event.delta.unwrap_or_default();
            let texts = [delta.text, delta.thinking, delta.partial_json];
            seen.written += texts.iter().flatten().map(|text| text.len() as u64).sum::<u64>();
        }
        "message_delta" => {
            if let Some(figures) = event.usage {
                seen.is_final |= figures.output_tokens.is_some();
                seen.usage = Some(figures.over(seen.usage.unwrap_or_default()));
            }
        }
        "message_stop" => seen.ended = true,
        "error" => {
            let message = event.error.map(|error| error.message);
            seen.failure = Some(message.unwrap_or_default());
        }
        _ => {}
    }
}

pub(super) fn body(data: &[u8], seen: &mut Seen) {
    if let Ok(Message { usage: Some(figures) }) = serde_json::from_slice(data) {
        seen.usage = Some(figures.over(Usage::default()));
        seen.is_final = figures.output_tokens.is_some();
    }
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::types::WireFormat::Messages;

    use super::super::tests::{read, read_body};

    const START: &str = concat!(
        "event: message_start\r\n",
        r#"data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":1000,"#,
        r#""cache_creation_input_tokens":30,"cache_read_input_tokens":200,"output_tokens":1}}}"#,
        "\r\n\r\n",
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello there"}}"#,
        "\n\n",
        r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
        "\n\n",
    );
    const END: &str = concat!(
        r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":23}}"#,
        "\n\n",
        "data: {\"type\":\"message_stop\"}\n\n",
    );

    #[test]
    fn the_last_figures_count_and_the_first_ones_where_nothing_newer_came() {
        let reading = read(Messages, &format!("{START}{END}"), true);
        let usage = reading.usage;
        assert_eq!(
            (usage.input, usage.cache_read, usage.cache_write, usage.output),
            (1000, 200, 30, 23)
        );
        assert!(reading.complete && !reading.estimated);
        assert_eq!(usage.to_wire().total_tokens, Some(1253));
    }

    #[test]
    fn a_cut_stream_counts_what_passed_and_says_so() {
        let reading = read(Messages, START, false);
        assert!(reading.estimated && !reading.complete);
        // 11 bytes of text and 7 of a tool's input.
        assert_eq!((reading.usage.input, reading.usage.output), (1000, 5));
    }

    #[test]
    fn a_stream_that_ends_without_its_last_event_is_not_complete() {
        let reading = read(Messages, START, true);
        assert!(reading.estimated && !reading.complete);
    }

    #[test]
    fn a_provider_that_fails_in_its_first_event_has_used_nothing() {
        let error =
            r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let reading = read(Messages, &format!("event: error\n{error}\n\n"), true);
        assert_eq!(reading.failure.as_deref(), Some("Overloaded"));
        assert_eq!((reading.usage.read(), reading.usage.output), (0, 0));
    }

    #[test]
    fn an_answer_in_one_piece_is_read_whole() {
        let body = r#"{"content":[{"type":"text","text":"x"}],"usage":{"input_tokens":7,"output_tokens":9}}"#;
        let reading = read_body(Messages, body);
        assert_eq!((reading.usage.input, reading.usage.output, reading.estimated), (7, 9, false));
    }

    #[test]
    fn broken_events_are_passed_over() {
        let broken = "data: {\"type\":\"message_delta\",\"usage\":{\ndata: nonsense\n\n";
        let reading = read(Messages, &format!("{START}{broken}{END}"), true);
        assert_eq!((reading.usage.output, reading.estimated), (23, false));
    }
}
