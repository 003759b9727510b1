//! Models that fail, and what the turn comes to.

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::post};
use sandbox_sdk::types::WireFormat;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{FORMATS, bench, bench::Bench};

#[tokio::test]
async fn used_up_credits_end_the_turn_at_once_and_in_words() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench.ask("t1", "SAY[I begin.] RUN[echo x > proof] FAIL[402]").await;
        turn.assert_failed("OUT_OF_CREDITS");
        assert_eq!((turn.text().as_str(), bench.requests()), ("I begin.", 2));
        assert_eq!(turn.steps(), ["bash ok"]);
        assert_eq!(bench.sandbox.read("proof").await.unwrap(), "x\n");
        bench.ask("t2", "SAY[On we go.]").await.assert_completed("On we go.");
        assert!(bench.last_request().body.to_string().contains("[This turn failed: "));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_once() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let said = "A text that is long enough to be cut.";
        let turn = bench.ask("t1", &format!("DROP[3x2] THINK[hm] SAY[{said}]")).await;
        turn.assert_completed(said);
        assert_eq!(turn.notices, ["retrying", "retrying"]);
        assert_eq!(turn.transcript.parts().len(), 2, "{}", turn.told());
        assert_eq!(bench.requests(), 3);
        // In the middle of a call.
        let turn = bench.ask("t2", "DROP[2x1] RUN[echo once >> count] SAY[Done.]").await;
        turn.assert_completed("Done.");
        assert_eq!(turn.steps(), ["bash ok"]);
        assert_eq!(bench.sandbox.read("count").await.unwrap(), "once\n");
    }
}

#[tokio::test]
async fn answers_that_always_break_off_end_the_turn_after_few_requests() {
    for format in FORMATS {
        for fault in ["DROP[3]", "MALFORMED", "DROP[0]"] {
            let bench = Bench::start(format).await;
            let turn =
                bench.ask("t1", &format!("{fault} SAY[Never to be heard to its end.]")).await;
            turn.assert_failed("MODEL_UNAVAILABLE");
            assert_eq!(bench.requests(), 3, "{fault}");
            assert!(turn.text().matches("Never").count() <= 1, "{}", turn.told());
        }
    }
}

#[tokio::test]
async fn an_overloaded_model_is_asked_again() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench.ask("t1", "FAIL[529x2] SAY[At last.]").await;
        turn.assert_completed("At last.");
        assert_eq!(turn.notices, ["retrying", "retrying"]);
        assert_eq!(bench.requests(), 3);
        let turn = bench.ask("t2", "MALFORMED[1] RUN[true] FAIL[500x1] SAY[Good.]").await;
        turn.assert_completed("Good.");
    }
}

#[tokio::test]
async fn what_no_patience_helps_against_is_not_tried_again() {
    for format in FORMATS {
        let cases = [(403, "MODEL_KEY_REFUSED"), (404, "MODEL_NOT_FOUND"), (400, "MODEL_REFUSED")];
        for (status, code) in cases {
            let bench = Bench::start(format).await;
            bench.ask("t1", &format!("FAIL[{status}]")).await.assert_failed(code);
            assert_eq!(bench.requests(), 1);
        }
    }
}

#[tokio::test]
async fn no_way_to_the_model_ends_the_turn() {
    let sandbox = bench::sandbox("http://127.0.0.1:9").await;
    let mut run = bench::run(WireFormat::Messages);
    run.message = "SAY[x]".into();
    let turn = bench::ask(&sandbox, &run).await;
    assert_eq!(turn.outcome, "failed", "{}", turn.told());
    assert!(!turn.code().is_empty());
}

#[tokio::test]
async fn a_model_without_tools_answers_without_them() {
    let sandbox = bench::sandbox(&serve(no_tools).await).await;
    let mut run = bench::run(WireFormat::ChatCompletions);
    run.message = "hello".into();
    let turn = bench::ask(&sandbox, &run).await;
    turn.assert_completed("I only talk.");
    assert_eq!(turn.notices, ["NO_TOOLS"]);
}

#[tokio::test]
async fn calls_that_a_model_writes_into_its_text_are_done() {
    let sandbox = bench::sandbox(&serve(writes_calls).await).await;
    let mut run = bench::run(WireFormat::ChatCompletions);
    run.message = "hello".into();
    let turn = bench::ask(&sandbox, &run).await;
    turn.assert_completed("I look.\n\nIt is done.");
    assert_eq!(turn.steps(), ["bash ok"]);
    assert_eq!(sandbox.read("proof").await.unwrap(), "x\n");
}

#[tokio::test]
async fn a_model_that_can_call_is_not_heard_otherwise() {
    let written = r#"<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>"#;
    for (format, script) in [
        (WireFormat::Messages, format!("SAY[{written}]")),
        (WireFormat::ChatCompletions, format!("RUN[true] SAY[{written}]")),
    ] {
        let bench = Bench::start(format).await;
        let turn = bench.ask("t1", &script).await;
        turn.assert_completed(written);
        assert_eq!(turn.steps().len(), script.matches("RUN").count(), "{}", turn.told());
    }
}

#[tokio::test]
async fn a_window_smaller_than_thought_is_found_out() {
    let sandbox = bench::sandbox(&serve(small_window).await).await;
    let mut run = bench::run(WireFormat::ChatCompletions);
    run.message = format!("{} and that is my question", "x".repeat(200_000));
    let turn = bench::ask(&sandbox, &run).await;
    turn.assert_completed("and that is my question");
    assert!(turn.notices.contains(&"compacting".to_owned()));
}

/// As Ollama refuses.
fn no_tools(body: &Value) -> Result<String, (u16, String)> {
    match body.get("tools") {
        Some(_) => Err((400, "registry.ollama.ai/library/gemma:2b does not support tools".into())),
        None => Ok("I only talk.".into()),
    }
}

fn writes_calls(body: &Value) -> Result<String, (u16, String)> {
    let done = body["messages"].to_string().contains("ended well");
    let call = r#"I look.
<tool_call>{"name": "bash", "arguments": {"command": "echo x > proof"}}</tool_call>"#;
    Ok(if done { "It is done.".into() } else { call.into() })
}

/// As llama.cpp refuses.
fn small_window(body: &Value) -> Result<String, (u16, String)> {
    let messages = body["messages"].as_array().unwrap();
    if body["messages"].to_string().len() > 60_000 {
        let message = "the request exceeds the available context size, try increasing it";
        return Err((400, message.into()));
    }
    let text = messages.last().unwrap()["content"].as_str().unwrap();
    Ok(text[text.len() - "and that is my question".len()..].to_owned())
}

/// A model server with a mind of its own.
async fn serve(answer: fn(&Value) -> Result<String, (u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let route = post(move |Json(body): Json<Value>| async move {
        match answer(&body) {
            Err((status, message)) => {
                let error = Json(json!({ "error": { "message": message } }));
                (StatusCode::from_u16(status).unwrap(), error).into_response()
            }
            Ok(text) => {
                let chunk = |delta: Value, finish: Value| {
                    let chunk = json!({ "choices": [{ "index": 0, "delta": delta,
                        "finish_reason": finish }] });
                    format!("data: {chunk}\n\n")
                };
                let (first, rest) = text.split_at(text.len() / 2);
                let stream = chunk(json!({ "role": "assistant", "content": first }), Value::Null)
                    + &chunk(json!({ "content": rest }), Value::Null)
                    + &chunk(json!({}), json!("stop"))
                    + "data: [DONE]\n\n";
                ([("content-type", "text/event-stream")], stream).into_response()
            }
        }
    });
    let router = Router::new().route("/v1/chat/completions", route);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
