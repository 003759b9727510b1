//! What passes, and what is counted.

use super::*;
use upstream::Says;

/// The figures of the scripted model, as the wire has them.
fn wire(usage: &scripted_model::Usage) -> sandbox_sdk::types::TokenUsage {
    usage::Usage {
        input: usage.input,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        output: usage.output,
        reasoning: 0,
    }
    .to_wire()
}

#[tokio::test]
async fn usage_equals_the_providers_log_in_every_format_streamed_and_whole() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    for format in FORMATS {
        for stream in [true, false] {
            let (access, meter) = bench.open(format, TurnLimits::default()).await;
            assert_eq!(access.format, format);
            let before = model.requests().len();
            let text = "THINK[hm] SAY[hello there] USAGE[900,40,70]";
            let answer = bench.ask(&access, &prompt(format, text, stream)).await;
            assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}");
            assert!(answer.text().contains("hello"), "{}", answer.text());
            let metered = meter.close(PATIENCE).await;
            let seen = &model.requests()[before..];
            assert_eq!(seen.len(), 1);
            let mut usage = metered.usage.clone();
            assert_eq!(usage.extra.remove("requests"), Some(json!(1)));
            usage.reasoning_tokens = None;
            assert_eq!(usage, wire(&seen[0].usage), "{format:?} {stream}");
            assert_eq!(metered.usage.input_tokens, 900);
            let [record] = &metered.requests[..] else { panic!("{metered:?}") };
            assert!(record.complete && !record.estimated, "{record:?}");
            let key = if format == Messages { ANTHROPIC_KEY } else { OPENAI_KEY };
            assert_eq!(seen[0].key.as_deref(), Some(key));
        }
    }
}

#[tokio::test]
async fn an_answer_passes_byte_for_byte() {
    let pieces = [
        "event: odd\r\ndata: {\"type\":\"message_sta",
        "rt\",\"message\":{\"usage\":{\"input_tokens\":3}}}\r\n\r\n: a comment\n\n",
        "data: nonsense\n\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n",
        "\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let upstream =
        Upstream::start(Says::new(200, "text/event-stream; charset=utf-8", &pieces)).await;
    let bench = Bench::at(&upstream.url);
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    // Spaces, order and escapes of the client's own.
    let body = r#"{ "x":"\u00e9","model":"scripted-1",  "stream":true,"messages":[ 1 ]}"#;
    let answer = post(bench.folder.path(), "/v1/messages", &access.token, body).await.unwrap();
    assert_eq!(answer.text(), pieces.concat());
    assert_eq!(upstream.arrived()[0].body, body);
    let usage = meter.close(PATIENCE).await.usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (3, 4));
}

#[tokio::test]
async fn all_requests_of_a_turn_are_summed_and_told_while_it_runs() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    let mut usage = meter.usage();
    for (count, tokens) in [(1, 100), (2, 200), (3, 300)] {
        let text = format!("USAGE[{tokens},{count}]");
        bench.ask(&access, &prompt(ChatCompletions, &text, true)).await;
        usage.changed().await.unwrap();
        assert_eq!(usage.borrow_and_update().tokens.extra["requests"], json!(count));
    }
    let metered = meter.close(PATIENCE).await;
    assert_eq!((metered.usage.input_tokens, metered.usage.output_tokens), (600, 6));
}

#[tokio::test]
async fn a_client_that_leaves_is_metered_all_the_same() {
    for format in FORMATS {
        let model = ScriptedModel::start().await.unwrap();
        let bench = Bench::at(&model.url());
        let (access, meter) = bench.open(format, TurnLimits::default()).await;
        let body = prompt(format, "LONG[40] SLOW[10] USAGE[500,60]", true).to_string();
        let request = Request::post(path_of(format))
            .header("host", "gateway")
            .header("x-api-key", &access.token)
            .body(Full::new(body.into()))
            .unwrap();
        let mut response = start(bench.folder.path(), request).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        drop(response);
        let metered = meter.close(PATIENCE).await;
        let seen = model.requests();
        assert!(seen[0].complete, "the answer was read to its end");
        assert_eq!(metered.usage.output_tokens, seen[0].usage.output);
        assert_eq!(metered.usage.input_tokens, 500);
        assert!(!metered.requests[0].estimated);
    }
}

#[tokio::test]
async fn a_cut_stream_breaks_for_the_client_and_counts_what_passed() {
    for format in FORMATS {
        let model = ScriptedModel::start().await.unwrap();
        let bench = Bench::at(&model.url());
        let (access, meter) = bench.open(format, TurnLimits::default()).await;
        let answer = bench.ask(&access, &prompt(format, "LONG[40] DROP[5]", true)).await;
        assert_eq!((answer.status, answer.whole), (200, false), "{format:?}");
        let metered = meter.close(PATIENCE).await;
        let [record] = &metered.requests[..] else { panic!("{metered:?}") };
        assert!(record.estimated && !record.complete, "{record:?}");
        assert!((1..40).contains(&metered.usage.output_tokens), "{metered:?}");
        assert!(metered.usage.input_tokens > 0, "{metered:?}");
        assert_eq!(metered.usage.extra["estimated"], json!(true));
        assert_eq!(metered.problem.unwrap().code.as_deref(), Some("MODEL_STREAM_CUT"));
    }
}

#[tokio::test]
async fn a_turn_that_ends_cuts_what_does_not_end_in_time() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let body = prompt(Messages, "LONG[2000] SLOW[50]", true);
    let asking = bench.ask(&access, &body);
    let closing = async {
        eventually("the request is out", || model.requests().first().cloned()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        meter.close(Duration::from_millis(100)).await
    };
    let (answer, metered) = tokio::join!(asking, closing);
    assert!(!answer.whole);
    assert!(metered.requests[0].estimated, "{metered:?}");
}

#[tokio::test]
async fn broken_json_in_a_stream_is_passed_on_and_does_not_spoil_the_figures() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    for format in FORMATS {
        let (access, meter) = bench.open(format, TurnLimits::default()).await;
        bench.ask(&access, &prompt(format, "MALFORMED USAGE[321,12]", true)).await;
        let metered = meter.close(PATIENCE).await;
        let seen = model.requests();
        if seen.last().unwrap().complete {
            assert_eq!(metered.usage.input_tokens, 321, "{format:?}");
        }
    }
}

#[tokio::test]
async fn a_count_of_tokens_passes_and_costs_nothing() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let path = "/v1/messages/count_tokens?beta=true";
    let body = prompt(Messages, "hello", false).to_string();
    let answer = post(bench.folder.path(), path, &access.token, body).await.unwrap();
    assert!(answer.json()["input_tokens"].as_u64().unwrap() > 0);
    let metered = meter.close(PATIENCE).await;
    assert_eq!(metered.usage.total_tokens, Some(0));
    assert_eq!(model.requests()[0].path, "/v1/messages/count_tokens");
}

#[tokio::test]
async fn another_models_name_becomes_the_turns() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let mut body = prompt(Messages, "a title please", false);
    body["model"] = json!("small-and-fast");
    assert_eq!(bench.ask(&access, &body).await.status, 200);
    assert_eq!(model.requests()[0].model, "scripted-1");
    let models = Request::get("/v1/models").header("x-api-key", &access.token);
    let models = send(bench.folder.path(), models.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(models.json()["data"][0]["id"], "scripted-1");
    drop(meter);
}
