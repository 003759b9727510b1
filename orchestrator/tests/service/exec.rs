//! Commands whose output is told while they run.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{PATIENCE, Product, eventually};

/// A stream of a command's events.
pub(crate) struct Stream {
    answer: Response,
    text: String,
}

impl Stream {
    pub(crate) async fn open(product: &Product, id: &str, body: Value) -> Self {
        let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands/stream");
        Self::of(product.request(Method::POST, &path).json(&body).send().await.unwrap())
    }

    fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The next event as the strictest reader takes it; `None`: the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                if frame.starts_with(':') {
                    continue;
                }
                let (kind, data) = frame.split_once('\n').unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                let kind = kind.strip_prefix("event: ").unwrap();
                return Some((kind.to_owned(), serde_json::from_str(data).unwrap()));
            }
            let piece = timeout(PATIENCE, self.answer.chunk()).await.expect("nothing comes");
            let Some(piece) = piece.unwrap() else {
                assert_eq!(self.text, "", "it ends with a whole event");
                return None;
            };
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// Standard output, standard error, and the end.
    pub(crate) async fn rest(mut self) -> (String, String, Value) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        while let Some((kind, data)) = self.next().await {
            let text = || {
                assert!(data["timestamp"].is_i64(), "{data}");
                data["data"].as_str().unwrap()
            };
            match kind.as_str() {
                "stdout" => stdout.push_str(text()),
                "stderr" => stderr.push_str(text()),
                "exit" => {
                    assert_eq!(self.next().await, None, "it is the last");
                    return (stdout, stderr, data);
                }
                other => panic!("{other}"),
            }
        }
        panic!("it has no end: {stdout} {stderr}")
    }
}

/// Waits until nothing runs in the sandbox whose arguments hold the word.
pub(crate) async fn is_gone(product: &Product, id: &str, word: &str) {
    eventually(&format!("{word} is gone"), async || {
        let listed = product.exec(id, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
        let listed = listed["stdout"].as_str().unwrap().to_owned();
        // The one that looks does not name what it looks for.
        (!listed.contains(word)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_of_a_command_nobody_reads_is_named_with_its_result() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let body = json!({"command": "true", "timeoutSeconds": 5, "cwd": null, "sessionId": null});
    let warned = json!(["timeoutSeconds is not known here and was passed over"]);
    let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands");
    let answer = product.post(&path, body.clone()).await.expect(200);
    assert_eq!((&answer["result"]["exitCode"], &answer["warnings"]), (&json!(0), &warned));
    let (_, _, end) = Stream::open(&product, &id, body).await.rest().await;
    assert_eq!((&end["exitCode"], &end["warnings"]), (&json!(0), &warned));
    let plain = product.post(&path, json!({"command": "true"})).await.expect(200);
    assert_eq!(plain.get("warnings"), None);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_told_as_it_comes_in_whole_characters_and_with_its_end() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let command = r"printf 'a\342\202'; touch half; until [ -e on ]; do sleep 0.02; done
        printf '\254b\377'; echo $WORD in $PWD >&2; exit 3";
    let body = json!({"command": command, "cwd": "/tmp", "env": {"WORD": "here"}});
    let mut stream = Stream::open(&product, &id, body).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.0.as_str(), &first.1["data"]), ("stdout", &json!("a")));
    assert_eq!(product.exec(&id, "touch /tmp/on").await["exitCode"], 0);
    let (stdout, stderr, exit) = stream.rest().await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("€b\u{fffd}", "here in /tmp\n"));
    assert_eq!(exit["exitCode"], 3);
    assert!(exit["duration"].is_u64() && exit.get("timedOut").is_none(), "{exit}");

    let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands");
    let request = product.request(Method::POST, &path).header("accept", "text/event-stream");
    let answer = request.json(&json!({"command": "kill -9 $$"})).send().await.unwrap();
    let (_, _, exit) = Stream::of(answer).rest().await;
    assert_eq!((&exit["exitCode"], &exit["signal"]), (&json!(137), &json!("SIGKILL")));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_command_has_started_is_gone_after_its_time() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let stubborn = "trap '' TERM HUP INT; (setsid nohup sleep 98761 > /dev/null 2>&1 &); \
                    echo up; while :; do sleep 98761; done";
    let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands");
    for name in ["timeout", "timeoutMs"] {
        let body = json!({"command": stubborn, name: 8000});
        let result = product.post(&path, body.clone()).await.expect(200)["result"].clone();
        assert_eq!((&result["exitCode"], &result["timedOut"]), (&json!(124), &json!(true)));
        is_gone(&product, &id, "98761").await;
        let (stdout, _, exit) = Stream::open(&product, &id, body).await.rest().await;
        assert_eq!(stdout, "up\n");
        assert_eq!((&exit["exitCode"], &exit["timedOut"]), (&json!(124), &json!(true)));
        is_gone(&product, &id, "98761").await;
    }
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_command_with_all_that_it_started() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let command = "(setsid sleep 98762 &); echo up; sleep 98762";
    let mut stream = Stream::open(&product, &id, json!({"command": command})).await;
    assert_eq!(stream.next().await.unwrap().1["data"], "up\n");
    drop(stream);
    is_gone(&product, &id, "98762").await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_stops_the_output_and_nobody_else() {
    const MEGABYTES: u64 = 100;
    let product = Product::start().await;
    let id = product.sandbox().await;
    let command = format!(
        "i=0; while [ $i -lt {MEGABYTES} ]; do i=$((i+1)); head -c 1000000 /dev/zero | tr '\\0' x; \
         echo $i > next && mv next told; done"
    );
    let body = json!({"command": command, "timeoutMs": 600_000});
    let mut stream = Stream::open(&product, &id, body).await;
    // It stands still long before its end, and others run meanwhile.
    let (mut last, mut times) = (0, 0);
    let stopped = eventually("the output stops", async || {
        let told = product.exec(&id, "cat told || echo 0").await["stdout"].clone();
        let told: u64 = told.as_str().unwrap().trim().parse().unwrap();
        times = if told > 0 && told == last { times + 1 } else { 0 };
        last = told;
        (times == 20).then_some(told)
    })
    .await;
    assert!(stopped < MEGABYTES * 9 / 10, "{stopped} MB were read that nobody wanted");
    let mut bytes = 0;
    while let Some((kind, data)) = stream.next().await {
        match kind.as_str() {
            "stdout" => bytes += data["data"].as_str().unwrap().len(),
            "exit" => assert_eq!(data["exitCode"], 0, "{data}"),
            other => panic!("{other}: {data}"),
        }
    }
    assert_eq!(bytes as u64, MEGABYTES * 1_000_000, "nothing is lost");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_run_is_refused_in_words_on_both_routes() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let path = format!("/v1/sandboxes/{id}/runtime/terminals/commands");
    for body in [
        json!({"command": " "}),
        json!({"command": "echo a\0b"}),
        json!({"command": "true", "cwd": "none/such"}),
        json!({"command": "true", "cwd": "/etc/passwd"}),
        json!({"command": "true", "cwd": "a\0b"}),
        json!({"command": "true", "env": {"A=B": "c"}}),
        json!({"command": "true", "env": {"A": "b\0c"}}),
        json!({"command": "true", "timeout": 0}),
        json!({"command": "true", "timeoutMs": -1}),
    ] {
        product.post(&path, body.clone()).await.refused(400, "VALIDATION_ERROR");
        product.post(&format!("{path}/stream"), body).await.refused(400, "VALIDATION_ERROR");
    }
    product.stop().await;
}
