use scripted_model::WireFormat;
use serde_json::{Value, json};

use crate::support::{FORMATS, Peer, body, whole};

#[tokio::test]
async fn an_answer_in_one_piece_says_the_same_as_a_stream() {
    let peer = Peer::new().await;
    let prompt = "USAGE[11,22,3] THINK[let me see] SAY[I look.] RUN[ls -l] RUN[pwd]";
    for format in FORMATS {
        let streamed = peer.stream(format, prompt).await.heard(format);
        let answered = whole(format, &peer.whole(format, prompt).await);
        assert_eq!(answered, streamed, "{format:?}");
        assert_eq!(peer.last().usage, answered.usage);
        assert!(peer.last().complete);
    }
}

#[tokio::test]
async fn a_slow_answer_in_one_piece_takes_its_time() {
    let peer = Peer::new().await;
    let started = std::time::Instant::now();
    peer.whole(WireFormat::Messages, "SLOW[40] SAY[a b c d e]").await;
    assert!(started.elapsed().as_millis() >= 200);
}

#[tokio::test]
async fn tokens_are_counted() {
    let peer = Peer::new().await;
    let body = body(WireFormat::Messages, "FAIL[500]", false);
    let url = peer.model.url() + "/v1/messages/count_tokens";
    let counted = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let counted: Value = counted.json().await.unwrap();
    assert!(counted["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(peer.last().path, "/v1/messages/count_tokens");
    assert_eq!(peer.last().usage.output, 0);
}

#[tokio::test]
async fn it_says_that_it_is_there_and_which_models_it_has() {
    let peer = Peer::new().await;
    assert_eq!(peer.get("/").await.status(), 200);
    let head = reqwest::Client::new().head(peer.model.url()).send().await.unwrap();
    assert_eq!(head.status(), 200);
    let models: Value = peer.get("/v1/models").await.json().await.unwrap();
    assert!(models["data"][0]["id"].is_string());
    assert_eq!(peer.model.requests().len(), 0);
}

#[tokio::test]
async fn an_input_may_be_a_plain_text() {
    let peer = Peer::new().await;
    let body = json!({"model": "m", "input": "SAY[plain]"});
    let response = peer.post(WireFormat::Responses, &body).await;
    let heard = whole(WireFormat::Responses, &response.json().await.unwrap());
    assert_eq!(heard.text, "plain");
}
