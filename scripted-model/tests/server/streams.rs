use scripted_model::WireFormat;
use serde_json::json;

use crate::support::{FORMATS, Peer, body};

#[tokio::test]
async fn a_text_streams_in_each_format() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let streamed = peer.stream(format, "THINK[let me see] SAY[All is — well.]").await;
        assert!(streamed.whole);
        let heard = streamed.heard(format);
        assert_eq!(heard.text, "All is — well.", "{format:?}");
        assert_eq!(heard.thinking, "let me see", "{format:?}");
        assert_eq!(heard.calls, []);
        assert!(["end_turn", "completed", "stop"].contains(&heard.end.as_str()), "{heard:?}");
    }
}

#[tokio::test]
async fn anthropics_events_come_in_the_order_of_the_real_one() {
    let peer = Peer::new().await;
    let streamed = peer.stream(WireFormat::Messages, "SAY[a b] RUN[ls]").await;
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let mut expected = vec!["message_start", "ping"];
    expected.extend(block);
    expected.extend(block);
    expected.extend(["message_delta", "message_stop"]);
    assert_eq!(streamed.names(), expected);
    let data = streamed.data();
    let start = &data[0]["message"];
    assert_eq!(start["usage"]["output_tokens"], 1);
    assert!(start["stop_reason"].is_null());
    let indices: Vec<_> = data.iter().filter_map(|data| data["index"].as_u64()).collect();
    assert!(indices.is_sorted() && indices.last() == Some(&1));
}

#[tokio::test]
async fn openais_events_come_in_the_order_of_the_real_one() {
    let peer = Peer::new().await;
    let streamed = peer.stream(WireFormat::Responses, "THINK[hm] SAY[a b] RUN[ls]").await;
    assert_eq!(
        streamed.names(),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, data) in streamed.data().iter().enumerate() {
        assert_eq!(data["sequence_number"], number);
    }
}

#[tokio::test]
async fn a_chat_completion_tells_its_usage_only_when_asked() {
    let peer = Peer::new().await;
    let format = WireFormat::ChatCompletions;
    let mut body = body(format, "SAY[a]", true);
    let asked = peer.stream_of(format, &body).await;
    assert_eq!(asked.events.last().unwrap().1, "[DONE]");
    assert_eq!(asked.heard(format).usage, peer.last().usage);

    body["stream_options"] = json!(null);
    let unasked = peer.stream_of(format, &body).await;
    assert!(unasked.data().iter().all(|data| data.get("usage").is_none()));
    assert_eq!(unasked.events.last().unwrap().1, "[DONE]");
    assert!(peer.last().usage.output > 0, "it cost something all the same");
}

#[tokio::test]
async fn a_long_answer_has_as_many_words_as_asked_for() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let heard = peer.stream(format, "LONG[3000]").await.heard(format);
        assert_eq!(heard.text.split(' ').count(), 3000, "{format:?}");
        assert!(heard.text.ends_with("word3000."));
    }
}

#[tokio::test]
async fn a_slow_answer_comes_piece_by_piece() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let started = std::time::Instant::now();
        let body = body(format, "SLOW[40] SAY[a b c d e]", true);
        let mut response = peer.post(format, &body).await;
        let mut chunks = 0;
        while response.chunk().await.unwrap().is_some() {
            chunks += 1;
        }
        assert!(chunks >= 5, "{format:?}: {chunks} chunks");
        assert!(started.elapsed().as_millis() >= 200);
    }
}

#[tokio::test]
async fn a_request_without_directives_gets_a_fixed_text() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let first = peer.stream(format, "What is this?").await.heard(format);
        let second = peer.stream(format, "And that?").await.heard(format);
        assert!(!first.text.is_empty());
        assert_eq!(first.text, second.text);
    }
}

#[tokio::test]
async fn a_clients_own_request_for_a_title_is_not_taken_for_the_script() {
    let peer = Peer::new().await;
    let body = json!({"model": "m", "stream": true, "messages": [
        {"role": "system", "content": "You are a title generator."},
        {"role": "user", "content": "Generate a title for this conversation:\n"},
        {"role": "user", "content": "FAIL[500] SAY[no title]"}]});
    let streamed = peer.stream_of(WireFormat::ChatCompletions, &body).await;
    let title = streamed.heard(WireFormat::ChatCompletions).text;
    assert!(!title.is_empty() && title != "no title", "{title}");
}
