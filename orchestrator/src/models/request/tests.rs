use serde_json::{Value, json};

use super::*;
use WireFormat::{ChatCompletions, Messages, Responses};

fn read(format: WireFormat, body: &str) -> Result<ModelRequest, String> {
    ModelRequest::read(Bytes::copy_from_slice(body.as_bytes()), format, "m-1", Rules::default())
}

fn sent(format: WireFormat, body: &str, most: Option<u64>) -> String {
    let body = read(format, body).unwrap().into_body(most, false);
    String::from_utf8(body.to_vec()).unwrap()
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_request_that_needs_no_change_goes_on_byte_for_byte() {
    let messages = r#" { "messages":[ ], "model" : "m-1","max_tokens":10 , "x":1e3}  "#;
    assert_eq!(sent(Messages, messages, None), messages);
    assert_eq!(sent(Messages, messages, Some(10)), messages);
    let chat =
        r#"{"stream_options":{"include_usage":true},"stream":true,"messages":[],"model":"m-1"}"#;
    assert_eq!(sent(ChatCompletions, chat, None), chat);
    let responses =
        r#"{"input":"hi","stream":true,"model":"m-1","store":false,"tools":[{"type":"function"}]}"#;
    assert_eq!(sent(Responses, responses, None), responses);
}

#[test]
fn only_what_has_to_change_changes() {
    let body = r#"{"a":"\u00e9 ","model":"small","messages":[1, 2],"max_tokens":900}"#;
    assert_eq!(
        sent(Messages, body, Some(100)),
        r#"{"a":"\u00e9 ","model":"m-1","messages":[1, 2],"max_tokens":100}"#
    );
}

#[test]
fn a_stream_of_chat_completions_always_tells_what_it_used() {
    for options in ["", r#","stream_options":null"#, r#","stream_options":{"include_usage":false}"#]
    {
        let body = format!(r#"{{"model":"m-1","messages":[],"stream":true{options}}}"#);
        let sent = as_json(&sent(ChatCompletions, &body, None));
        assert_eq!(sent["stream_options"], json!({"include_usage": true}), "{body}");
    }
    let sent = as_json(&sent(ChatCompletions, r#"{"model":"m-1","messages":[]}"#, None));
    assert_eq!(sent.get("stream_options"), None);
}

#[test]
fn the_output_is_limited_where_the_client_says_nothing() {
    for (format, asked, name) in [
        (Messages, "messages", "max_tokens"),
        (Responses, "input", "max_output_tokens"),
        (ChatCompletions, "messages", "max_tokens"),
    ] {
        let body = format!(r#"{{"model":"m-1","{asked}":[]}}"#);
        assert_eq!(as_json(&sent(format, &body, Some(50)))[name], json!(50));
    }
    let body = r#"{"model":"m-1","messages":[]}"#;
    let sent = read(ChatCompletions, body).unwrap().into_body(Some(50), true);
    assert_eq!(as_json(std::str::from_utf8(&sent).unwrap())["max_completion_tokens"], json!(50));
}

#[test]
fn both_limits_of_a_chat_are_lowered() {
    let body = r#"{"model":"m-1","messages":[],"max_tokens":null,"max_completion_tokens":80}"#;
    let sent = as_json(&sent(ChatCompletions, body, Some(50)));
    assert_eq!((&sent["max_tokens"], &sent["max_completion_tokens"]), (&json!(50), &json!(50)));
}

#[test]
fn a_field_that_stands_there_twice_is_refused_in_every_spelling() {
    for body in [
        r#"{"model":"m-1","messages":[],"max_tokens":1,"max_tokens":99999}"#,
        r#"{"model":"m-1","messages":[],"max_tokens":1,"max_\u0074okens":99999}"#,
        r#"{"model":"m-1","mod\u0065l":"m-2","messages":[]}"#,
    ] {
        assert!(read(Messages, body).is_err(), "{body}");
    }
}

#[test]
fn a_model_in_another_spelling_is_still_the_turns() {
    let sent = as_json(&sent(Messages, r#"{"mod\u0065l":"m-2","messages":[]}"#, None));
    assert_eq!(sent["model"], "m-1");
    let sent = as_json(&self::sent(Messages, r#"{"messages":[]}"#, None));
    assert_eq!(sent["model"], "m-1");
}

#[test]
fn what_cannot_be_metered_is_refused() {
    for field in [
        r#""background":true"#,
        r#""n":4"#,
        r#""service_tier":"priority""#,
        r#""speed":"fast""#,
        r#""mcp_servers":[{"url":"https://x.example"}]"#,
        r#""web_search_options":{"a":1}"#,
        r#""max_tokens":-1"#,
        r#""max_tokens":1e9"#,
        r#""max_tokens":"many""#,
    ] {
        let body = format!(r#"{{"model":"m-1","messages":[],{field}}}"#);
        assert!(read(ChatCompletions, &body).is_err(), "{body}");
    }
    for body in ["", "[]", "{", "null", r#"{"model":"m-1"}"#, "\u{feff}{}", "{\"messages\":[]}x"] {
        assert!(read(Messages, body).is_err(), "{body}");
    }
}

#[test]
fn tools_that_the_provider_would_run_are_left_out() {
    let body = r#"{"model":"m-1","input":[],"tools":[{"type":"function","name":"a"},{"type":"web_search"},{"type":"mcp","server_url":"https://x.example"}, {"name":"b"}]}"#;
    let sent = as_json(&sent(Responses, body, None));
    assert_eq!(sent["tools"], json!([{"type": "function", "name": "a"}, {"name": "b"}]));
    let many = vec!["0"; 2000].join(",");
    let body = format!(r#"{{"model":"m-1","input":[],"tools":[{many}]}}"#);
    assert!(read(Responses, &body).is_err());
}

#[test]
fn thinking_needs_room_for_its_budget() {
    let body = r#"{"model":"m-1","messages":[],"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":4000}}"#;
    assert_eq!(read(Messages, body).unwrap().least_output, 4001);
}

#[test]
fn a_deep_or_a_wide_body_costs_no_more_than_its_size() {
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"model":"m-1","messages":{open}{close},"x":{open}{close}}}"#)
    };
    assert_eq!(sent(Messages, &deep(100), None), deep(100));
    assert!(read(Messages, &deep(100_000)).is_err());
    let wide: String = (0..100_000).map(|n| format!("\"k{n}\":0,")).collect();
    let wide = format!(r#"{{{wide}"model":"m-1","messages":[]}}"#);
    assert_eq!(sent(Messages, &wide, None), wide);
}

#[test]
fn what_lies_elsewhere_cannot_be_asked_about() {
    for field in [
        r#""previous_response_id":"resp_1""#,
        r#""conversation":{"id":"conv_1"}"#,
        r#""prompt":{"id":"pmpt_1"}"#,
    ] {
        let body = format!(r#"{{"model":"m-1","input":"hi",{field}}}"#);
        assert!(read(Responses, &body).is_err(), "{body}");
    }
    for (format, block) in [
        (Responses, r#"{"type":"input_file","file_id":"file-1"}"#),
        (Responses, r#"{"type":"input_file","file_\u0069d":"file-1"}"#),
        (Responses, r#"{"type":"input_file","file_url":"https://x.example/a.pdf"}"#),
        (Responses, r#"{"type":"input_image","image_url":"https://x.example/a.png"}"#),
        (
            Responses,
            r#"{"type":"input_image","image_url":"data:,","image_url":"https://x.example"}"#,
        ),
        (Responses, r#"{"type":"item_reference","id":"msg_1"}"#),
        (ChatCompletions, r#"{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}"#),
        (ChatCompletions, r#"{"type":"file","file":{"file_id":"file-1"}}"#),
        (ChatCompletions, r#"{"type":"file","file":{"file_data":"https://x.example/a.pdf"}}"#),
        (Messages, r#"{"type":"image","source":{"type":"url","url":"https://x.example/a.png"}}"#),
        (Messages, r#"{"type":"document","source":{"type":"file","file_id":"file_1"}}"#),
        (Messages, r#"{"type":"image","source":{"type":"base64","type":"url","url":"x"}}"#),
    ] {
        let asked = if format == Responses { "input" } else { "messages" };
        for content in [block.to_owned(), format!(r#"{{"content":[{{"content":[{block}]}}]}}"#)] {
            let body = format!(r#"{{"model":"m-1","{asked}":[{{"content":[{content}]}}]}}"#);
            assert!(read(format, &body).is_err(), "{body}");
        }
    }
}

#[test]
fn what_comes_with_the_request_passes() {
    for (format, block) in [
        (
            Responses,
            r#"{"type":"input_image","image_url":"data:image/png;base64,AA==","file_id":null}"#,
        ),
        (Responses, r#"{"type":"input_file","file_data":"data:application/pdf;base64,AA=="}"#),
        (ChatCompletions, r#"{"type":"image_url","image_url":{"url":"data:,","detail":"auto"}}"#),
        (ChatCompletions, r#"{"type":"file","file":{"file_data":"AA=="}}"#),
        (Messages, r#"{"type":"image","source":{"type":"base64","data":"AA=="}}"#),
        (Messages, r#"{"type":"tool_use","input":{"file_id":"a","source":{"type":"url"}}}"#),
        (Messages, r#"{"type":"search_result","source":"https://x.example"}"#),
    ] {
        let asked = if format == Responses { "input" } else { "messages" };
        let body = format!(r#"{{"model":"m-1","{asked}":[{{"content":[{block}]}}]}}"#);
        read(format, &body).unwrap();
    }
}

#[test]
fn no_provider_keeps_what_was_asked() {
    for store in ["", r#","store":true"#, r#","store":null"#, r#","store":false"#] {
        let body = format!(r#"{{"model":"m-1","input":"hi"{store}}}"#);
        assert_eq!(as_json(&sent(Responses, &body, None))["store"], false, "{body}");
    }
    let chat = r#"{"model":"m-1","messages":[],"store":true}"#;
    assert_eq!(as_json(&sent(ChatCompletions, chat, None))["store"], false);
}

#[test]
fn only_tools_that_the_client_runs_itself_go_on() {
    for kept in [
        r#"{"name":"a"}"#,
        r#"{"type":null,"name":"a"}"#,
        r#"{"type":"function","function":{"name":"web_search","type":"mcp"}}"#,
        r#"{"type":"custom","name":"apply_patch"}"#,
        r#"{"type":"bash_20250124","name":"bash"}"#,
        r#"{"type":"text_editor_20250728","name":"edit"}"#,
        r#"{"type":"local_shell"}"#,
        r#"{"type":"apply_patch"}"#,
        r#"{"type":"shell"}"#,
        r#"{"type":"shell","environment":{"type":"local"}}"#,
        r#"{"type":"namespace","name":"n","tools":[{"type":"function","name":"a"}]}"#,
    ] {
        let body = format!(r#"{{"model":"m-1","store":false,"input":[],"tools":[{kept}]}}"#);
        assert_eq!(sent(Responses, &body, None), body);
    }
    for left_out in [
        r#"{"type":"shell","environment":{"type":"container_auto"}}"#,
        r#"{"type":"builtin_function","function":{"name":"$web_search"}}"#,
        r#"{"type":"namespace","name":"n","tools":[{"type":"mcp"}]}"#,
        r#"{"type":"tool_search"}"#,
        r#"{"type":"something_new"}"#,
    ] {
        let body = format!(r#"{{"model":"m-1","input":[],"tools":[{left_out},{{"name":"b"}}]}}"#);
        let sent = as_json(&sent(Responses, &body, None));
        assert_eq!(sent["tools"], json!([{"name": "b"}]), "{body}");
    }
}

#[test]
fn a_tool_that_two_readers_would_see_differently_is_refused() {
    for tool in [
        r#"{"type":"function","type":"web_search"}"#,
        r#"{"type":"web_search","typ\u0065":"function"}"#,
        r#"{"type":"shell","environment":null,"environment":{"type":"container_auto"}}"#,
        r#"{"type":["web_search"]}"#,
        "7",
        r#""web_search""#,
        r#"["web_search"]"#,
    ] {
        let body = format!(r#"{{"model":"m-1","input":[],"tools":[{tool}]}}"#);
        assert!(read(Responses, &body).is_err(), "{body}");
    }
    let body =
        r#"{"model":"m-1","input":[{"type":"tool_search_output","tools":[{"type":"mcp"}]}]}"#;
    assert!(read(Responses, body).is_err());
}

#[test]
fn a_known_field_in_other_letters_is_refused() {
    for field in
        [r#""Max_Tokens":9"#, r#""N":4"#, r#""\u004eNNN":1,"Tools":[]"#, r#""\u017ftream":true"#]
    {
        let body = format!(r#"{{"model":"m-1","messages":[],{field}}}"#);
        assert!(read(ChatCompletions, &body).is_err(), "{body}");
    }
    assert!(read(Messages, r#"{"model":"m-1","Model":"m-2","messages":[]}"#).is_err());
}

#[test]
fn what_changes_the_price_is_refused() {
    for field in [
        r#""models":["a/b"]"#,
        r#""plugins":[{"id":"web"}]"#,
        r#""provider":{"order":["x"]}"#,
        r#""route":"fallback""#,
        r#""inference_geo":"us""#,
        r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        r#""system":[{"type":"text","cache_control":{"ttl":"1h"}}]"#,
        r#""tools":[{"name":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#,
        r#""x":0,"messages":[{"content":[{"cache_control":{"ttl":"1h"}}]}]"#,
    ] {
        let messages = if field.contains("messages") { "" } else { r#""messages":[],"# };
        let body = format!(r#"{{"model":"m-1",{messages}{field}}}"#);
        assert!(read(Messages, &body).is_err(), "{body}");
        let usual = body.replace("1h", "5m");
        assert_eq!(read(Messages, &usual).is_ok(), usual != body, "{usual}");
    }
}

/// What a message with this content comes to at most, without its frame.
fn most(format: WireFormat, content: &Value, window: Option<u64>) -> u64 {
    let rules = Rules::of(format == Messages, "m-1", window);
    let asked = if format == Responses { "input" } else { "messages" };
    let most = |content: &Value| {
        let body = json!({"model": "m-1", asked: [{"role": "user", "content": content}]});
        let body = Bytes::from(body.to_string());
        ModelRequest::read(body, format, "m-1", rules).unwrap().outline.most(rules)
    };
    most(content) - most(&json!([]))
}

#[test]
fn text_is_estimated_by_its_bytes_and_with_care() {
    assert!((1_000..1_003).contains(&most(Messages, &json!(["a".repeat(3_000)]), None)));
    // Three bytes each.
    assert!((1_500..1_503).contains(&most(Messages, &json!(["字".repeat(1_000)]), None)));
}

#[test]
fn what_is_no_text_is_estimated_by_the_rules_of_its_kind() {
    let data = "A".repeat(4 << 20);
    let source = |kind: &str| json!({"type": "base64", "media_type": kind, "data": data});
    let image = json!({"type": "image", "source": source("image/png")});
    let address = format!("data:image/webp;base64,{data}");
    let pdf = format!("data:application/pdf;base64,{data}");
    for (format, content, expected) in [
        (Messages, json!([image]), 4_800),
        (Messages, json!([image, image]), 9_600),
        (Messages, json!([{"type": "tool_result", "content": [image]}]), 4_800),
        (
            Messages,
            json!([{"type": "document", "source": {"type": "content", "content": [image]}}]),
            4_800,
        ),
        // 3 MB may be 384 pages, which is more than a model reads at once.
        (Messages, json!([{"type": "document", "source": source("application/pdf")}]), 200_000),
        (Responses, json!([{"type": "input_image", "image_url": address}]), 16_384),
        (Responses, json!([{"type": "input_file", "file_data": pdf}]), 200_000),
        (ChatCompletions, json!([{"type": "image_url", "image_url": {"url": address}}]), 16_384),
        (ChatCompletions, json!([{"type": "file", "file": {"file_data": data}}]), 200_000),
        // 3 MB are 51 minutes of the worst sound.
        (ChatCompletions, json!([{"type": "input_audio", "input_audio": {"data": data}}]), 98_304),
    ] {
        let most = most(format, &content, None);
        assert!((expected..expected + 200).contains(&most), "{format:?} {most}, not {expected}");
    }
    let small = json!([{"type": "document", "source":
        {"type": "base64", "media_type": "application/pdf", "data": "A".repeat(20_000)}}]);
    let two_pages = most(Messages, &small, None);
    assert!((15_600..15_800).contains(&two_pages), "{two_pages}");
}

#[test]
fn what_only_looks_like_a_picture_is_text() {
    let data = "A".repeat(300_000);
    for content in [
        json!([{"type": "text", "text": format!("data:image/png;base64,{data}")}]),
        json!([{"type": "document", "source":
            {"type": "text", "media_type": "image/png", "data": data}}]),
        json!([{"type": "document", "source":
            {"type": "base64", "media_type": "text/plain", "data": data}}]),
        json!([{"type": "tool_use", "input": {"source":
            {"type": "base64", "media_type": "image/png", "data": data}}}]),
    ] {
        assert!(most(Messages, &content, None) >= 100_000, "{content:.80}");
    }
}

#[test]
fn no_picture_comes_to_more_than_a_model_reads_at_once() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let many = json!(vec![image; 20]);
    assert!((128_000..130_000).contains(&most(ChatCompletions, &many, Some(128_000))));
    assert!(most(ChatCompletions, &many, Some(1_000_000)) >= 20 * 16_384);
}

#[test]
fn a_longer_conversation_begins_like_the_shorter_one() {
    let outline = |body: Value| {
        let body = Bytes::from(body.to_string());
        ModelRequest::read(body, Messages, "m-1", Rules::default()).unwrap().outline
    };
    let (long, short) = ("x".repeat(3_000), "y".repeat(300));
    let tools = json!([{"name": "a"}]);
    let first = outline(json!({"tools": tools, "system": "s", "messages": [long]}));
    let next = outline(json!({"messages": [long, short], "tools": tools, "system": "s"}));
    let (alike, rest) = next.compare(&first);
    assert!((1_000..1_050).contains(&alike) && (100..150).contains(&rest), "{alike} {rest}");
    for other in [
        json!({"tools": [], "system": "s", "messages": [long, short]}),
        json!({"system": "s", "messages": [long, short]}),
    ] {
        assert_eq!(outline(other).compare(&first).0, 0);
    }
    let changed = outline(json!({"tools": tools, "system": "t", "messages": [long]}));
    assert!(changed.compare(&first).0 < 10, "{changed:?}");
}
