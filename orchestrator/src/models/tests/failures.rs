//! A provider that does not do what it should.

use super::*;
use upstream::Says;

fn output_limit(tokens: u64) -> TurnLimits {
    TurnLimits { max_output_tokens: Some(tokens), ..TurnLimits::default() }
}

async fn one(bench: &Bench, format: WireFormat, text: &str) -> (Answer, turn::Metered) {
    let (access, meter) = bench.open(format, TurnLimits::default()).await;
    let answer = bench.ask(&access, &prompt(format, text, true)).await;
    (answer, meter.close(PATIENCE).await)
}

fn code(metered: &turn::Metered) -> &str {
    metered.problem.as_ref().and_then(|problem| problem.code.as_deref()).unwrap_or("none")
}

#[tokio::test]
async fn every_failure_has_a_status_for_the_client_and_words_for_the_person() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    for format in FORMATS {
        for (status, answered, expected) in [
            (400, 400, "MODEL_REQUEST_REFUSED"),
            (401, 403, "MODEL_KEY_REFUSED"),
            (402, 403, "MODEL_QUOTA_EXCEEDED"),
            (403, 403, "MODEL_KEY_REFUSED"),
            (404, 404, "MODEL_NOT_FOUND"),
            (429, 429, "MODEL_OVERLOADED"),
            (500, 500, "MODEL_UNAVAILABLE"),
            (529, 529, "MODEL_OVERLOADED"),
        ] {
            let (answer, metered) = one(&bench, format, &format!("FAIL[{status}]")).await;
            answer.refused(format, answered);
            assert_eq!(code(&metered), expected, "{format:?} {status}");
            assert!(!metered.problem.as_ref().unwrap().message.is_empty());
            assert_eq!(metered.usage.total_tokens, Some(0));
            assert_eq!(metered.requests[0].status, status);
        }
    }
}

#[tokio::test]
async fn a_provider_that_recovers_leaves_no_problem_behind() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let body = prompt(Messages, "FAIL[529x2] SAY[here I am]", true);
    assert_eq!(bench.ask(&access, &body).await.status, 529);
    assert_eq!(bench.ask(&access, &body).await.status, 529);
    assert!(bench.ask(&access, &body).await.text().contains("here"));
    let metered = meter.close(PATIENCE).await;
    assert_eq!((code(&metered), metered.requests.len()), ("none", 3));
}

#[tokio::test]
async fn an_overload_that_lasts_ends_in_words_about_the_overload() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let body = prompt(Messages, "FAIL[529]", true);
    for _ in 0..3 {
        assert_eq!(bench.ask(&access, &body).await.status, 529);
    }
    bench.ask(&access, &body).await.refused(Messages, 402);
    let metered = meter.close(PATIENCE).await;
    assert_eq!(metered.used_up.unwrap().code.as_deref(), Some("MODEL_OVERLOADED"));
}

#[tokio::test]
async fn a_wrong_key_is_named_and_not_repeated() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::with(|config| {
        config.anthropic_base_url = Some(model.url());
        config.anthropic_api_key = Some("wrong-secret-key".into());
    });
    let (answer, metered) = one(&bench, Messages, "hello").await;
    let words = answer.refused(Messages, 403);
    assert!(words.contains("refused the key"), "{words}");
    assert_eq!(code(&metered), "MODEL_KEY_REFUSED");
}

#[tokio::test]
async fn an_account_without_money_does_not_look_like_an_overload() {
    let body = r#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let upstream = Upstream::start(Says::new(429, "application/json", &[body])).await;
    let (answer, metered) = one(&Bench::at(&upstream.url), ChatCompletions, "hello").await;
    assert!(answer.refused(ChatCompletions, 403).contains("You exceeded your quota"));
    assert_eq!(code(&metered), "MODEL_QUOTA_EXCEEDED");
}

#[tokio::test]
async fn a_refusal_that_quotes_the_key_reaches_nobody_with_it() {
    for status in [400, 401, 403, 404, 429, 500] {
        let body = format!(r#"{{"error":{{"message":"bad key {OPENAI_KEY} given"}}}}"#);
        let upstream = Upstream::start(Says::new(status, "application/json", &[&body])).await;
        let (answer, metered) = one(&Bench::at(&upstream.url), Responses, "hello").await;
        assert!(!answer.text().contains(OPENAI_KEY), "{answer:?}");
        assert!(!format!("{metered:?}").contains(OPENAI_KEY));
        assert!(metered.problem.unwrap().message.contains("[redacted]"));
    }
}

#[tokio::test]
async fn retry_after_passes_and_what_tells_of_the_account_does_not() {
    let mut says = Says::new(429, "application/json", &[r#"{"error":{"message":"slow down"}}"#]);
    for (name, value) in [
        ("retry-after", "7"),
        ("set-cookie", "a=b"),
        ("anthropic-organization-id", "org"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("request-id", "req_1"),
    ] {
        says.headers.push((name, value.to_owned()));
    }
    let upstream = Upstream::start(says).await;
    let (answer, _) = one(&Bench::at(&upstream.url), Messages, "hello").await;
    assert_eq!(answer.headers["retry-after"], "7");
    assert_eq!(answer.headers["request-id"], "req_1");
    for name in
        ["set-cookie", "anthropic-organization-id", "anthropic-ratelimit-requests-remaining"]
    {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Upstream::start(Says::new(200, "application/json", &["{}"])).await;
    let mut says = Says::new(307, "text/plain", &[""]);
    says.headers.push(("location", format!("{}/v1/messages", elsewhere.url)));
    let upstream = Upstream::start(says).await;
    let (answer, metered) = one(&Bench::at(&upstream.url), Messages, "hello").await;
    answer.refused(Messages, 502);
    assert_eq!(code(&metered), "MODEL_UNREACHABLE");
    assert_eq!((upstream.arrived().len(), elsewhere.arrived().len()), (1, 0));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named_without_its_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (answer, metered) = one(&Bench::at(&url), Messages, "hello").await;
    let words = answer.refused(Messages, 502);
    assert!(words.contains("anthropic") && !words.contains("127.0.0.1"), "{words}");
    assert_eq!(code(&metered), "MODEL_UNREACHABLE");
    assert_eq!(metered.usage.total_tokens, Some(0));
}

#[tokio::test]
async fn a_failure_inside_of_a_stream_is_told() {
    let error = "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let upstream = Upstream::start(Says::new(200, "text/event-stream", &[error])).await;
    let (answer, metered) = one(&Bench::at(&upstream.url), Messages, "hello").await;
    assert_eq!(answer.text(), error);
    assert_eq!(code(&metered), "MODEL_UNAVAILABLE");
    assert!(metered.problem.unwrap().message.contains("Overloaded"));
}

#[tokio::test]
async fn a_provider_that_hangs_up_before_it_answers_may_have_read_the_request() {
    let bench = Bench::at(&upstream::hanging_up().await);
    let (answer, metered) = one(&bench, Messages, "hello").await;
    answer.refused(Messages, 502);
    assert_eq!(code(&metered), "MODEL_UNREACHABLE");
    assert!(metered.usage.input_tokens > 0, "{metered:?}");
    assert!(metered.requests[0].estimated && !metered.requests[0].complete, "{metered:?}");
}

#[tokio::test]
async fn what_a_provider_may_have_written_unheard_is_used_up_and_billed_to_nobody() {
    let timed_out = Upstream::start(Says::new(504, "text/plain", &["timed out"])).await;
    for (url, status, why) in [
        (upstream::hanging_up().await, 502, "MODEL_UNREACHABLE"),
        (timed_out.url.clone(), 504, "MODEL_UNAVAILABLE"),
    ] {
        let bench = Bench::at(&url);
        for format in FORMATS {
            let (access, meter) = bench.open(format, output_limit(1000)).await;
            let first = bench.ask(&access, &prompt(format, "hello", false)).await;
            assert_eq!(first.status, status, "{first:?}");
            bench.ask(&access, &prompt(format, "again", false)).await.refused(format, 402);
            let metered = meter.close(PATIENCE).await;
            // That is what went wrong, not what the person may spend.
            assert_eq!(metered.used_up.unwrap().code.as_deref(), Some(why));
            assert_eq!((metered.requests.len(), metered.usage.output_tokens), (1, 0));
        }
    }
}

#[tokio::test]
async fn a_stream_that_its_provider_breaks_off_has_used_up_what_passed() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at(&model.url());
    for format in FORMATS {
        let (access, meter) = bench.open(format, output_limit(1000)).await;
        let first = bench.ask(&access, &prompt(format, "LONG[40] DROP[3]", true)).await;
        assert!(!first.whole, "{first:?}");
        let second = bench.ask(&access, &prompt(format, "SAY[here I am]", true)).await;
        assert_eq!((second.status, second.whole), (200, true), "{second:?}");
        drop(meter);
    }
}

#[tokio::test]
async fn a_refusal_that_trickles_in_does_not_outlive_its_turn() {
    let mut says = Says::new(500, "application/json", &[" "; 4000]);
    says.pause = Duration::from_millis(50);
    let upstream = Upstream::start(says).await;
    let bench = Bench::at(&upstream.url);
    let (access, meter) = bench.open(Messages, TurnLimits::default()).await;
    let body = prompt(Messages, "hello", true);
    let closing = async {
        eventually("the request is out", || upstream.arrived().pop()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        meter.close(Duration::from_millis(10)).await
    };
    let (answer, metered) = tokio::join!(bench.ask(&access, &body), closing);
    let [record] = &metered.requests[..] else { panic!("it was not settled: {metered:?}") };
    assert!(record.duration_ms > 0, "it was not settled: {record:?}");
    // On a slow machine the turn may be over before the provider's first byte is here.
    if record.status == 500 {
        assert!(answer.refused(Messages, 500).contains("anthropic failed"), "words, not a half");
        assert_eq!((code(&metered), metered.usage.total_tokens), ("MODEL_UNAVAILABLE", Some(0)));
    }
}
