//! OpenAI's `POST /v1/responses`: cached tokens are part of the input.

use serde::Deserialize;

use super::{Seen, Usage};

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    response: Option<Response>,
    /// A string in the events that count here, something else in others.
    #[serde(default, deserialize_with = "text")]
    delta: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    usage: Option<Figures>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
}

#[derive(Deserialize)]
struct Figures {
    input_tokens: u64,
    output_tokens: u64,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl From<Figures> for Usage {
    fn from(figures: Figures) -> Self {
        let input = figures.input_tokens_details.unwrap_or_default();
        let output = figures.output_tokens_details.unwrap_or_default();
        let cache_read = input.cached_tokens.unwrap_or(0).min(figures.input_tokens);
        let rest = figures.input_tokens - cache_read;
        let cache_write = input.cache_write_tokens.unwrap_or(0).min(rest);
        Self {
            input: rest - cache_write,
            cache_read,
            cache_write,
            output: figures.output_tokens,
            reasoning: output.reasoning_tokens.unwrap_or(0).min(figures.output_tokens),
        }
    }
}

pub(super) fn event(data: &[u8], seen: &mut Seen) {
    let Ok(event) = serde_json::from_slice::<Event>(data) else { return };
    match event.kind.as_str() {
        "response.completed" | "response.incomplete" | "response.failed" => {
            seen.ended = true;
            let Some(response) = event.response else { return };
            if let Some(figures) = response.usage {
                seen.usage = Some(figures.into());
                seen.is_final = true;
            }
            if event.kind == "response.failed" {
                let message = response.error.and_then(|error| error.message);
                seen.failure = Some(message.unwrap_or_default());
            }
        }
        "error" => seen.failure = Some(event.message.unwrap_or_default()),
        kind if kind.ends_with(".delta") => {
            seen.written += event.delta.map_or(0, |delta| delta.len() as u64);
        }
        _ => {}
    }
}

pub(super) fn body(data: &[u8], seen: &mut Seen) {
    if let Ok(Response { usage: Some(figures), .. }) = serde_json::from_slice(data) {
        seen.usage = Some(figures.into());
        seen.is_final = true;
    }
}

fn text<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Delta {
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Delta::deserialize(source)? {
        Delta::Text(text) => Some(text),
        Delta::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::types::WireFormat::Responses;

    use super::super::tests::{read, read_body};

    const DELTAS: &str = concat!(
        "event: response.created\n",
        r#"data: {"type":"response.created","response":{"id":"resp_1","usage":null}}"#,
        "\n\n",
        r#"data: {"type":"response.output_text.delta","delta":"eight by"}"#,
        "\n\n",
        r#"data: {"type":"response.function_call_arguments.delta","delta":"{\"cmd\":1}"}"#,
        "\n\n",
        r#"data: {"type":"response.odd.delta","delta":{"not":"text"}}"#,
        "\n\n",
    );
    const USAGE: &str = r#""usage":{"input_tokens":1000,"input_tokens_details":{"cached_tokens":200},"output_tokens":23,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":1023}"#;

    #[test]
    fn cached_input_is_taken_out_of_the_input() {
        let end = format!(
            r#"data: {{"type":"response.completed","response":{{"output":[{{}}],{USAGE}}}}}"#
        );
        let reading = read(Responses, &format!("{DELTAS}{end}\n\n"), true);
        let usage = reading.usage;
        assert_eq!(
            (usage.input, usage.cache_read, usage.output, usage.reasoning),
            (800, 200, 23, 5)
        );
        assert!(reading.complete && !reading.estimated && reading.failure.is_none());
    }

    #[test]
    fn a_cut_stream_counts_what_passed_and_the_request() {
        let reading = read(Responses, DELTAS, false);
        assert!(reading.estimated && !reading.complete);
        assert_eq!((reading.usage.input, reading.usage.output), (100, 5));
    }

    #[test]
    fn a_failure_inside_of_the_stream_is_told_in_its_words() {
        let end = r#"data: {"type":"response.failed","response":{"usage":null,"error":{"code":"server_error","message":"The server had an error"}}}"#;
        let reading = read(Responses, &format!("{end}\n\n"), true);
        assert_eq!(reading.failure.as_deref(), Some("The server had an error"));
        assert_eq!(reading.usage.output, 0);
    }

    #[test]
    fn an_answer_in_one_piece_is_read_whole() {
        let reading = read_body(Responses, &format!(r#"{{"output":[],{USAGE}}}"#));
        assert_eq!((reading.usage.input, reading.usage.output), (800, 23));
    }
}
