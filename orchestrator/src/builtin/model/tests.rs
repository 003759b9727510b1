//! Requests as a model server gets them, and answers as it sends them, over real sockets.

use scripted_model::ScriptedModel;
use serde_json::json;

use super::*;
use crate::builtin::{
    conversation::{Block, Call, ToolResult},
    toolbox,
};
use crate::profile::Profile;

fn model(server: &ScriptedModel, format: WireFormat) -> Model {
    let access = ModelAccess {
        token: "token-1".into(),
        provider: "scripted".into(),
        model: "scripted-1".into(),
        format,
        context_tokens: None,
    };
    Model::new(server.url(), access)
}

fn user(text: &str) -> Message {
    Message::User { text: text.into() }
}

/// A conversation with everything in it.
fn everything(newest: &str) -> Vec<Message> {
    let call = |id: &str| {
        Block::Call(Call { id: id.into(), name: "bash".into(), input: json!({"command": "ls"}) })
    };
    let thought = |text: &str, signature: Option<&str>, field: &str| Block::Thinking {
        text: text.into(),
        signature: signature.map(str::to_owned),
        field: field.into(),
    };
    let result = |id: &str| ToolResult { call_id: id.into(), text: "a".into(), is_error: false };
    vec![
        user("digest"),
        user("first"),
        Message::Assistant {
            blocks: vec![
                thought("signed", Some("sig"), "thinking"),
                thought("unsigned", None, "reasoning_content"),
                Block::Text { text: "I look. ".into() },
                call("functions.bash:0"),
                call("b"),
            ],
        },
        Message::Tools { results: vec![result("functions.bash:0"), result("b")] },
        Message::Assistant { blocks: vec![Block::Text { text: "  ".into() }] },
        user(newest),
    ]
}

async fn pieces(
    server: &ScriptedModel,
    format: WireFormat,
    messages: &[Message],
    change: impl FnOnce(&mut Request<'_>),
) -> Result<Vec<Piece>, Failure> {
    let specs = toolbox::specs(&Profile::default());
    let mut request = Request {
        system: "Be good.",
        messages,
        turn_start: 1,
        tools: &specs,
        may_call: true,
        max_tokens: 1000,
        thinking: None,
    };
    change(&mut request);
    let mut answering = model(server, format).ask(&request).await?;
    let mut pieces = Vec::new();
    while let Some(piece) = answering.next().await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

fn text(pieces: &[Piece]) -> String {
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[tokio::test]
async fn messages_are_what_anthropic_wants() {
    let server = ScriptedModel::start().await.unwrap();
    let said = pieces(&server, WireFormat::Messages, &everything("SAY[Hello you.]"), |_| {}).await;
    assert_eq!(text(&said.unwrap()), "Hello you.");
    let body = server.requests().remove(0).body;
    assert_eq!(body["max_tokens"], 1000);
    assert_eq!(body["system"][0]["text"], "Be good.");
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let kinds = |index: usize| -> Vec<String> {
        let blocks = messages[index]["content"].as_array().unwrap();
        blocks.iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(1), ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!(kinds(2), ["tool_result", "tool_result", "text"]);
    assert_eq!(messages[1]["content"][2]["id"], "functions_bash_0");
    assert_eq!(messages[2]["content"][0]["tool_use_id"], "functions_bash_0");
    assert_eq!(messages[2]["content"][2]["cache_control"]["type"], "ephemeral");
    assert!(body.get("tool_choice").is_none() && body.get("thinking").is_none());
}

#[tokio::test]
async fn chat_completions_are_what_everybody_else_wants() {
    let server = ScriptedModel::start().await.unwrap();
    let messages = everything("SAY[Hello you.]");
    let said = pieces(&server, WireFormat::ChatCompletions, &messages, |_| {}).await;
    assert_eq!(text(&said.unwrap()), "Hello you.");
    let body = server.requests().remove(0).body;
    assert_eq!(body["stream_options"]["include_usage"], true);
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "assistant", "user"]);
    assert_eq!(messages[1]["content"], "digest\n\nfirst");
    let call = &messages[2]["tool_calls"][0];
    assert_eq!(call["id"], "functions.bash:0");
    assert_eq!(call["function"]["arguments"], r#"{"command":"ls"}"#);
    assert_eq!(messages[2]["reasoning_content"], "unsigned");
}

#[tokio::test]
async fn without_tools_earlier_calls_are_told_in_words() {
    for format in [WireFormat::Messages, WireFormat::ChatCompletions] {
        let server = ScriptedModel::start().await.unwrap();
        let messages = everything("SAY[Hello.]");
        let said = pieces(&server, format, &messages, |request| request.tools = &[]).await;
        assert_eq!(text(&said.unwrap()), "Hello.");
        let body = server.requests().remove(0).body;
        assert!(body.get("tools").is_none());
        let messages = body["messages"].to_string();
        assert!(messages.contains("[I called bash with") && messages.contains("[It gave]"));
        assert!(!messages.contains("tool_result") && !messages.contains("tool_calls"));
    }
}

#[tokio::test]
async fn what_the_model_may_is_told() {
    let server = ScriptedModel::start().await.unwrap();
    let messages = [user("SAY[x]")];
    let change = |request: &mut Request<'_>| {
        request.may_call = false;
        request.thinking = Some(2048);
    };
    pieces(&server, WireFormat::Messages, &messages, change).await.unwrap();
    pieces(&server, WireFormat::ChatCompletions, &messages, change).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].body["tool_choice"]["type"], "none");
    assert_eq!(requests[0].body["thinking"]["budget_tokens"], 2048);
    assert_eq!(requests[0].body["max_tokens"], 3048);
    assert_eq!(requests[1].body["tool_choice"], "none");
}

#[tokio::test]
async fn thoughts_calls_and_counts_come_apart() {
    for format in [WireFormat::Messages, WireFormat::ChatCompletions] {
        let server = ScriptedModel::start().await.unwrap();
        let messages = [user("THINK[a b c] RUN[ls -l] RUN[pwd] USAGE[70,5,30]")];
        let pieces = pieces(&server, format, &messages, |_| {}).await.unwrap();
        let mut thought = String::new();
        let mut calls: Vec<(u64, String)> = Vec::new();
        for piece in &pieces {
            match piece {
                Piece::Thinking(text, _) => thought.push_str(text),
                Piece::Call { index, name, arguments, .. } => {
                    if !name.is_empty() {
                        calls.push((*index, String::new()));
                    }
                    let call = calls.iter_mut().find(|call| call.0 == *index).unwrap();
                    call.1.push_str(arguments);
                }
                _ => {}
            }
        }
        assert_eq!(thought, "a b c");
        let arguments: Vec<_> = calls.iter().map(|call| call.1.as_str()).collect();
        assert_eq!(arguments, [r#"{"command":"ls -l"}"#, r#"{"command":"pwd"}"#]);
        assert!(pieces.contains(&Piece::Read(100)), "{pieces:?}");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    for format in [WireFormat::Messages, WireFormat::ChatCompletions] {
        let server = ScriptedModel::start().await.unwrap();
        let ask = async |prompt: &str| {
            pieces(&server, format, &[user(prompt)], |_| {}).await.unwrap_err()
        };
        assert!(matches!(ask("FAIL[402]").await, Failure::Refused { status: 402, .. }));
        assert!(ask("FAIL[529]").await.is_passing());
        assert!(matches!(ask("DROP[2] SAY[a b c d e f]").await, Failure::Broken(_)));
        assert!(matches!(ask("MALFORMED SAY[a b c d]").await, Failure::Broken(_)));
    }
}

#[test]
fn calls_that_share_an_index_are_still_several() {
    let mut reader = chat::Reader::default();
    let mut calls = Vec::new();
    for (id, arguments) in [("a", "{}"), ("b", "{\"x\":"), ("", "1}")] {
        let name = if id.is_empty() { "" } else { "bash" };
        let call =
            json!({"index": 0, "id": id, "function": {"name": name, "arguments": arguments}});
        let event = json!({"choices": [{"delta": {"tool_calls": [call]}}]});
        calls.extend(reader.read(&event));
    }
    let indices: Vec<_> = calls
        .iter()
        .map(|piece| match piece {
            Piece::Call { index, .. } => *index,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(indices, [0, 1, 1]);
}

#[test]
fn a_model_that_may_think_for_ever_is_told_a_number() {
    let request = Request {
        system: "",
        messages: &[user("hello")],
        turn_start: 0,
        tools: &[],
        may_call: false,
        max_tokens: 1000,
        thinking: Some(u64::MAX),
    };
    assert_eq!(messages::body("m", &request)["max_tokens"], u64::MAX);
}
