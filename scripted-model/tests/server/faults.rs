use scripted_model::{Usage, WireFormat};
use serde_json::{Value, json};

use crate::support::{FORMATS, Peer, body};

#[tokio::test]
async fn a_failure_has_its_status_and_the_formats_own_shape() {
    let peer = Peer::new().await;
    for format in FORMATS {
        for stream in [true, false] {
            let response = peer.post(format, &body(format, "FAIL[429]", stream)).await;
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()["retry-after"], "1");
            let error: Value = response.json().await.unwrap();
            assert_eq!(error["error"]["type"], "rate_limit_error");
            assert_eq!(error["type"] == "error", format == WireFormat::Messages);
            let recorded = peer.last();
            let expected = (429, Usage::default(), true);
            assert_eq!((recorded.status, recorded.usage, recorded.complete), expected);
        }
    }
}

#[tokio::test]
async fn a_failure_can_pass_after_some_times() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let body = body(format, "FAIL[529x2] SAY[again]", true);
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(peer.post(format, &body).await.status().as_u16());
        }
        assert_eq!(statuses, [529, 529, 200, 529], "a next conversation fails again");
    }
}

#[tokio::test]
async fn a_failure_after_the_call_comes_with_the_result() {
    let peer = Peer::new().await;
    let format = WireFormat::ChatCompletions;
    let mut body = body(format, "RUN[ls] FAIL[402]", true);
    assert_eq!(peer.post(format, &body).await.status(), 200);
    let result = json!({"role": "tool", "tool_call_id": "x", "content": "a"});
    body["messages"].as_array_mut().unwrap().push(result);
    assert_eq!(peer.post(format, &body).await.status(), 402);
}

#[tokio::test]
async fn what_went_out_is_counted_in_bytes_of_every_kind() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let body = body(format, "THINK[hm] SAY[äb] CALL[tool {\"a\":1}]", true);
        let heard = peer.stream_of(format, &body).await.heard(format);
        let said = heard.text.len() + heard.thinking.len() + heard.calls[0].1.len();
        assert_eq!(peer.last().written, said as u64, "{format:?}");
        assert_eq!(peer.last().size, body.to_string().len() as u64);
    }
}

#[tokio::test]
async fn a_refused_key_is_quoted() {
    let peer = Peer::new().await;
    let body = body(WireFormat::Messages, "FAIL[401]", true);
    let words = peer.post(WireFormat::Messages, &body).await.text().await.unwrap();
    assert!(words.contains("test-key"), "{words}");
}

#[tokio::test]
async fn a_cut_comes_after_exactly_so_many_deltas() {
    let peer = Peer::new().await;
    for format in FORMATS {
        for (deltas, text) in [(0, ""), (1, "a "), (3, "a b c "), (99, "a b c d e")] {
            let streamed = peer.stream(format, &format!("DROP[{deltas}] SAY[a b c d e]")).await;
            assert!(!streamed.whole, "{format:?}");
            let heard = streamed.heard(format);
            assert_eq!((heard.text.as_str(), heard.end.as_str()), (text, ""), "{format:?}");
            assert!(!peer.last().complete);
            assert_eq!(peer.last().written, text.len() as u64, "{format:?}");
            // Only Anthropic tells of usage at the beginning.
            assert_eq!(peer.last().usage, heard.usage);
            assert_eq!(peer.last().usage.input > 0, format == WireFormat::Messages);
        }
    }
}

#[tokio::test]
async fn a_cut_can_pass_and_spares_an_answer_in_one_piece() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let prompt = "DROP[2x1] SAY[a b c d]";
        peer.whole(format, prompt).await;
        assert!(!peer.stream(format, prompt).await.whole);
        let streamed = peer.stream(format, prompt).await;
        assert!(streamed.whole);
        assert_eq!(streamed.heard(format).text, "a b c d");
    }
}

#[tokio::test]
async fn a_malformed_stream_holds_one_event_that_is_not_json() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let mut streamed = peer.stream(format, "MALFORMED SAY[a b c]").await;
        assert!(streamed.whole);
        let all = streamed.events.len();
        streamed
            .events
            .retain(|(_, data)| data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok());
        assert_eq!(streamed.events.len(), all - 1, "{format:?}");
        assert_eq!(streamed.heard(format).text, "a b c");
    }
}

#[tokio::test]
async fn a_malformed_answer_in_one_piece_is_not_json() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let response = peer.post(format, &body(format, "MALFORMED", false)).await;
        assert_eq!(response.status(), 200);
        assert!(response.json::<Value>().await.is_err());
    }
}

#[tokio::test]
async fn wrong_keys_and_missing_models_are_refused() {
    let peer = Peer::new().await;
    let http = reqwest::Client::new();
    let models = http.get(peer.model.url() + "/v1/models").bearer_auth("wrong-key");
    assert_eq!(models.send().await.unwrap().status(), 401);
    let url = peer.model.url() + "/v1/messages";
    let mut body = body(WireFormat::Messages, "hello", true);
    let wrong = http.post(&url).header("x-api-key", "wrong-key").json(&body);
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    body["model"] = json!("missing-1");
    assert_eq!(peer.post(WireFormat::Messages, &body).await.status(), 404);
    let nonsense = http.post(&url).body("{").send().await.unwrap();
    assert_eq!(nonsense.status(), 400);
    let statuses: Vec<u16> = peer.model.requests().iter().map(|r| r.status).collect();
    assert_eq!(statuses, [401, 404, 400]);
}

#[tokio::test]
async fn a_truncated_stream_ends_well_for_http_but_not_for_the_format() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let prompt = "TRUNCATE[2x1] SAY[a b c d]";
        let streamed = peer.stream(format, prompt).await;
        assert!(streamed.whole, "{format:?}");
        let heard = streamed.heard(format);
        assert_eq!((heard.text.as_str(), heard.end.as_str()), ("a b ", ""), "{format:?}");
        assert!(!peer.last().complete);
        assert_eq!(peer.stream(format, prompt).await.heard(format).text, "a b c d");
    }
}
