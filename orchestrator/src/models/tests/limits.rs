//! Where a turn's means end.

use sandbox_sdk::types::CostLimit;

use super::*;

fn output_limit(tokens: u64) -> TurnLimits {
    TurnLimits { max_output_tokens: Some(tokens), ..TurnLimits::default() }
}

fn cost_limit(amount: u64) -> TurnLimits {
    let prices = CostLimit {
        amount,
        input: 3_000_000,
        output: 15_000_000,
        cache_read: 300_000,
        cache_write: 3_750_000,
    };
    TurnLimits { max_cost: Some(prices), ..TurnLimits::default() }
}

async fn why(meter: &TurnMeter) -> TurnError {
    tokio::time::timeout(PATIENCE, meter.used_up()).await.unwrap()
}

#[tokio::test]
async fn a_turn_without_means_is_refused_in_every_format_before_anything_goes_out() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    for format in FORMATS {
        let (access, meter) = bench.open(format, output_limit(0)).await;
        let answer = bench.ask(&access, &prompt(format, "hello", true)).await;
        assert!(answer.refused(format, 402).contains("used up"));
        assert_eq!(why(&meter).await.code.as_deref(), Some("OUT_OF_CREDITS"));
        assert_eq!(meter.close(PATIENCE).await.usage.total_tokens, Some(0));
    }
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn tokens_end_in_the_middle_of_a_turn() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    for format in FORMATS {
        let (access, meter) = bench.open(format, output_limit(100)).await;
        let first = bench.ask(&access, &prompt(format, "USAGE[10,95]", true)).await;
        assert_eq!(first.status, 200, "{first:?}");
        let sent = model.requests().last().unwrap().body.clone();
        let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        let limit = limits.iter().find_map(|name| sent[*name].as_u64());
        assert_eq!(limit, Some(100), "{sent}");
        let second = bench.ask(&access, &prompt(format, "and then USAGE[10,5]", true)).await;
        second.refused(format, 402);
        let metered = meter.close(PATIENCE).await;
        assert_eq!(metered.used_up.unwrap().code.as_deref(), Some("OUT_OF_CREDITS"));
        assert_eq!(metered.usage.output_tokens, 95);
    }
}

#[tokio::test]
async fn what_a_turn_may_cost_ends_it_too() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, cost_limit(20_000)).await;
    // 3000 for the input and 15000 for the output.
    let first = bench.ask(&access, &prompt(Messages, "USAGE[1000,1000]", true)).await;
    assert_eq!(first.status, 200);
    let sent = model.requests()[0].body["max_tokens"].as_u64().unwrap();
    assert!((1000..1333).contains(&sent), "{sent}");
    // 2000 are left: some input, and 100 of output at most.
    let second = bench.ask(&access, &prompt(Messages, "more USAGE[1000,1000]", true)).await;
    assert_eq!(second.status, 200);
    let sent = model.requests()[1].body["max_tokens"].as_u64().unwrap();
    assert!((16..=133).contains(&sent), "{sent}");
    let third = bench.ask(&access, &prompt(Messages, "still more", true)).await;
    third.refused(Messages, 402);
    assert_eq!(why(&meter).await.code.as_deref(), Some("OUT_OF_CREDITS"));
}

#[tokio::test]
async fn a_cache_is_counted_on_where_it_is_asked_for_or_need_not_be() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    // 10 000 tokens, of which 6000 come from the cache: they cost 13 800.
    let long = format!("{} USAGE[4000,5,6000]", "x".repeat(30_000));
    let long = json!({"role": "user", "content": long});
    let more = json!({"role": "user", "content": "SAY[more]"});
    for (format, asks, status) in
        [(Messages, true, 200), (Messages, false, 402), (ChatCompletions, false, 200)]
    {
        let (access, meter) = bench.open(format, cost_limit(40_000)).await;
        let body = |messages: Value| {
            let mut body = prompt(format, "", true);
            body["messages"] = messages;
            if asks {
                body["cache_control"] = json!({"type": "ephemeral"});
            }
            body
        };
        assert_eq!(bench.ask(&access, &body(json!([long]))).await.status, 200);
        // 26 000 are left. That would pay for the same again, but not for 10 000 tokens at full price.
        let answer = bench.ask(&access, &body(json!([long, more]))).await;
        assert_eq!(answer.status, status, "{format:?} {asks}: {}", answer.text());
        drop(meter);
    }
}

#[tokio::test]
async fn a_picture_is_held_for_as_what_it_can_cost_and_not_as_its_bytes() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    // 3 MB, at what would be a million tokens of text.
    let picture = "iVBORw0KGgo".repeat(370_000);
    let address = format!("data:image/png;base64,{picture}");
    for (format, block, most) in [
        (
            Messages,
            json!({"type": "image", "source": {"type": "base64",
            "media_type": "image/png", "data": picture}}),
            4_800,
        ),
        (Responses, json!({"type": "input_image", "image_url": address}), 16_384),
        (ChatCompletions, json!({"type": "image_url", "image_url": {"url": address}}), 16_384),
    ] {
        let prices = CostLimit {
            amount: 3 * (most + 1_000),
            input: 3_000_000,
            output: 3_000_000,
            cache_read: 3_000_000,
            cache_write: 3_000_000,
        };
        let limits = TurnLimits { max_cost: Some(prices), ..TurnLimits::default() };
        let (access, meter) = bench.open(format, limits).await;
        let mut body = prompt(format, "", true);
        let content = json!([{"role": "user", "content": [block]}]);
        body[if format == Responses { "input" } else { "messages" }] = content;
        let answer = bench.ask(&access, &body).await;
        assert_eq!(answer.status, 200, "{format:?}: {}", answer.text());
        let sent = model.requests().pop().unwrap().body;
        let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        let left = limits.iter().find_map(|name| sent[*name].as_u64()).unwrap();
        assert!((500..=1_000).contains(&left), "{format:?}: {left} are left to be written");
        drop(meter);
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_short_for_want_of_means_ends_the_turn() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(ChatCompletions, output_limit(50)).await;
    bench.ask(&access, &prompt(ChatCompletions, "USAGE[10,50]", true)).await;
    assert_eq!(why(&meter).await.code.as_deref(), Some("OUT_OF_CREDITS"));
}

#[tokio::test]
async fn the_number_of_requests_is_bounded() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::with(|config| {
        config.anthropic_base_url = Some(model.url());
        config.max_model_requests = 4;
    });
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    for number in 0..4 {
        let body = prompt(Messages, &format!("number {number}"), true);
        assert_eq!(bench.ask(&access, &body).await.status, 200);
    }
    let refused = bench.ask(&access, &prompt(Messages, "number 5", true)).await;
    assert!(refused.refused(Messages, 402).contains("4 times"));
    assert_eq!(why(&meter).await.code.as_deref(), Some("MODEL_REQUEST_LIMIT"));
    assert_eq!(model.requests().len(), 4);
    // After the end of its means, nothing goes out whatever it is.
    bench.ask(&access, &prompt(Messages, "x", false)).await.refused(Messages, 402);
}

#[tokio::test]
async fn the_same_request_over_and_over_ends_the_turn() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Responses, TurnLimits::default()).await;
    let body = prompt(Responses, "again", true);
    for _ in 0..3 {
        assert_eq!(bench.ask(&access, &body).await.status, 200);
    }
    bench.ask(&access, &body).await.refused(Responses, 402);
    assert_eq!(why(&meter).await.code.as_deref(), Some("MODEL_REQUEST_LIMIT"));
    assert_eq!(model.requests().len(), 3);
}

#[tokio::test]
async fn a_storm_after_a_cut_stream_is_bounded_and_named() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
    let body = prompt(ChatCompletions, "LONG[40] DROP[3]", true);
    let mut asked = 0;
    while bench.ask(&access, &body).await.status == 200 {
        asked += 1;
        assert!(asked < 10);
    }
    assert_eq!(model.requests().len(), 3);
    let why = why(&meter).await;
    assert_eq!(why.code.as_deref(), Some("MODEL_STREAM_CUT"), "{why:?}");
    assert!(meter.close(PATIENCE).await.usage.output_tokens > 0);
}

#[tokio::test]
async fn parallel_requests_spend_no_token_twice() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, output_limit(1000)).await;
    let bodies: Vec<_> = (0..8)
        .map(|number| {
            let mut body = prompt(Messages, &format!("{number} SLOW[5] USAGE[10,300]"), true);
            body["max_tokens"] = json!(300);
            body
        })
        .collect();
    let answers =
        futures::future::join_all(bodies.iter().map(|body| bench.ask(&access, body))).await;
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    let metered = meter.close(PATIENCE).await;
    // Three whole answers, and the rest of the means for a fourth.
    assert_eq!(served, 4, "{metered:?}");
    let requests = model.requests();
    let allowed = requests.iter().filter_map(|sent| sent.body["max_tokens"].as_u64());
    assert_eq!(allowed.sum::<u64>(), 1000);
}
