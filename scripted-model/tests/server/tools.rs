use scripted_model::WireFormat;
use serde_json::{Value, json};

use crate::support::{FORMATS, Heard, Peer, body};

/// Adds the answer's calls and their results to the conversation, as a client would.
fn add_results(format: WireFormat, body: &mut Value, heard: &Heard) {
    let calls = heard.calls.iter().enumerate();
    let id = |n: usize| format!("id{n}");
    match format {
        WireFormat::Messages => {
            let uses: Vec<Value> = calls
                .clone()
                .map(|(n, (name, arguments))| {
                    let input: Value = serde_json::from_str(arguments).unwrap();
                    json!({"type": "tool_use", "id": id(n), "name": name, "input": input})
                })
                .collect();
            let results: Vec<Value> = calls
                .map(|(n, _)| json!({"type": "tool_result", "tool_use_id": id(n), "content": "SAY[no]"}))
                .collect();
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(json!({"role": "assistant", "content": uses}));
            messages.push(json!({"role": "user", "content": results}));
        }
        WireFormat::Responses => {
            let input = body["input"].as_array_mut().unwrap();
            for (n, (name, arguments)) in calls {
                input.push(json!({"type": "function_call", "call_id": id(n), "name": name,
                    "arguments": arguments}));
                input.push(json!({"type": "function_call_output", "call_id": id(n),
                    "output": "SAY[no]"}));
            }
        }
        WireFormat::ChatCompletions => {
            let messages = body["messages"].as_array_mut().unwrap();
            for (n, (name, arguments)) in calls {
                messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
                    {"id": id(n), "type": "function",
                        "function": {"name": name, "arguments": arguments}}]}));
                messages.push(json!({"role": "tool", "tool_call_id": id(n), "content": "SAY[no]"}));
            }
        }
    }
}

fn shell_call(format: WireFormat, command: &str) -> (String, Value) {
    match format {
        WireFormat::Messages => ("Bash".to_owned(), json!({"command": command})),
        WireFormat::Responses => ("exec_command".to_owned(), json!({"cmd": command})),
        WireFormat::ChatCompletions => ("bash".to_owned(), json!({"command": command})),
    }
}

fn parsed(heard: &Heard) -> Vec<(String, Value)> {
    let parse = |(name, arguments): &(String, String)| {
        (name.clone(), serde_json::from_str(arguments).unwrap())
    };
    heard.calls.iter().map(parse).collect()
}

#[tokio::test]
async fn a_command_runs_in_the_clients_shell_tool_and_its_result_ends_the_turn() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let mut body = body(format, "RUN[echo 'ä \"x\"'] SAY[It ran.]", true);
        let called = peer.stream_of(format, &body).await.heard(format);
        assert_eq!(parsed(&called), [shell_call(format, "echo 'ä \"x\"'")]);
        assert_eq!(called.text, "", "the final text waits for the result");
        assert!(["tool_use", "completed", "tool_calls"].contains(&called.end.as_str()));

        add_results(format, &mut body, &called);
        let ended = peer.stream_of(format, &body).await.heard(format);
        assert_eq!((ended.text.as_str(), ended.calls.len()), ("It ran.", 0), "{format:?}");
    }
}

#[tokio::test]
async fn several_commands_are_called_in_parallel() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let mut body = body(format, "SAY[I look.] RUN[ls] RUN[pwd]", true);
        let called = peer.stream_of(format, &body).await.heard(format);
        assert_eq!(called.text, "I look.");
        assert_eq!(parsed(&called), [shell_call(format, "ls"), shell_call(format, "pwd")]);
        add_results(format, &mut body, &called);
        let ended = peer.stream_of(format, &body).await.heard(format);
        assert_eq!(ended.calls, []);
        assert!(!ended.text.is_empty() && ended.text != "I look.");
    }
}

#[tokio::test]
async fn steps_are_rounds_of_one_call_each() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let mut body = body(format, "STEPS[3] RUN[a] RUN[b] SAY[over]", true);
        for command in ["a", "b", "a"] {
            let called = peer.stream_of(format, &body).await.heard(format);
            assert_eq!(parsed(&called), [shell_call(format, command)], "{format:?}");
            add_results(format, &mut body, &called);
        }
        let ended = peer.stream_of(format, &body).await.heard(format);
        assert_eq!((ended.text.as_str(), ended.calls.len()), ("over", 0));
    }
}

#[tokio::test]
async fn a_second_turn_follows_its_own_script() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let mut body = body(format, "RUN[ls] SAY[one]", true);
        let called = peer.stream_of(format, &body).await.heard(format);
        add_results(format, &mut body, &called);
        let list = if format == WireFormat::Responses { "input" } else { "messages" };
        let items = body[list].as_array_mut().unwrap();
        items.push(json!({"role": "assistant", "content": "one"}));
        items.push(json!({"role": "user", "content": "RUN[pwd] SAY[two]"}));
        let called = peer.stream_of(format, &body).await.heard(format);
        assert_eq!(parsed(&called), [shell_call(format, "pwd")], "{format:?}");
    }
}

#[tokio::test]
async fn any_tool_can_be_called_with_any_arguments() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let prompt = r#"CALL[write_file {"path": "a]b", "lines": [1, 2]}] CALL[other {"x": ]"#;
        let called = peer.stream(format, prompt).await.heard(format);
        assert_eq!(called.calls[0].0, "write_file");
        let arguments: Value = serde_json::from_str(&called.calls[0].1).unwrap();
        assert_eq!(arguments, json!({"path": "a]b", "lines": [1, 2]}));
        assert_eq!(called.calls[1], ("other".to_owned(), r#"{"x":"#.to_owned()));
    }
}

#[tokio::test]
async fn a_tool_for_free_text_gets_free_text() {
    let peer = Peer::new().await;
    let mut body = body(WireFormat::Responses, "CALL[apply_patch *** Begin Patch]", true);
    let tool = json!({"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}});
    body["tools"].as_array_mut().unwrap().push(tool);
    let streamed = peer.stream_of(WireFormat::Responses, &body).await;
    assert!(streamed.names().contains(&"response.custom_tool_call_input.done"));
    let called = streamed.heard(WireFormat::Responses);
    assert_eq!(called.calls, [("apply_patch".to_owned(), "*** Begin Patch".to_owned())]);
}

#[tokio::test]
async fn without_a_shell_tool_the_answer_says_so() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let mut body = body(format, "RUN[ls]", true);
        body["tools"] = json!([]);
        let heard = peer.stream_of(format, &body).await.heard(format);
        assert_eq!(heard.calls, []);
        assert!(heard.text.contains("ls"), "{heard:?}");
    }
}
