use std::collections::HashSet;
use std::time::Duration;

use scripted_model::{ScriptedModel, Usage, WireFormat};

use crate::support::{FORMATS, Peer, body, path};

#[tokio::test]
async fn a_request_is_recorded_as_it_came() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let body = body(format, "SAY[hi]", true);
        peer.stream_of(format, &body).await;
        let recorded = peer.last();
        assert_eq!(recorded.path, path(format));
        assert_eq!(recorded.format, format);
        assert_eq!(recorded.key.as_deref(), Some("test-key"));
        assert_eq!(recorded.body, body);
        assert_eq!((recorded.status, recorded.model.as_str()), (200, "m"));
        assert!(recorded.complete);
        assert!(!format!("{recorded:?}").contains("test-key"));
    }
}

#[tokio::test]
async fn the_usage_on_the_wire_is_the_one_recorded_and_no_two_are_alike() {
    let peer = Peer::new().await;
    let mut seen = HashSet::new();
    for _ in 0..3 {
        for format in FORMATS {
            let heard = peer.stream(format, "SAY[hi]").await.heard(format);
            assert_eq!(heard.usage, peer.last().usage);
            assert!(heard.usage.input > 0 && heard.usage.cache_read > 0 && heard.usage.output > 0);
            assert!(seen.insert(heard.usage));
        }
    }
}

#[tokio::test]
async fn the_script_can_set_the_usage() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let heard = peer.stream(format, "USAGE[500,60,70,8] RUN[ls]").await.heard(format);
        let writes = format == WireFormat::Messages;
        let expected = Usage {
            input: 500,
            cache_read: 70,
            cache_write: if writes { 8 } else { 0 },
            output: 60,
        };
        assert_eq!((heard.usage, peer.last().usage), (expected, expected));
    }
}

#[tokio::test]
async fn an_answer_never_costs_more_output_than_the_request_allows() {
    let peer = Peer::new().await;
    let mut body = body(WireFormat::Messages, "hello", true);
    body["max_tokens"] = 5.into();
    let heard = peer.stream_of(WireFormat::Messages, &body).await.heard(WireFormat::Messages);
    assert_eq!(heard.usage.output, 5);
}

#[tokio::test]
async fn an_answer_that_the_client_leaves_is_not_complete() {
    let peer = Peer::new().await;
    for format in FORMATS {
        let body = body(format, "SLOW[50] LONG[2000]", true);
        let mut response = peer.post(format, &body).await;
        assert!(response.chunk().await.unwrap().is_some());
        drop(response);
        assert!(!peer.last().complete);
    }
}

#[tokio::test]
async fn many_turns_at_once_keep_apart() {
    let peer = Peer::new().await;
    let turns = (0..150).map(|n| {
        let peer = &peer;
        async move {
            let format = FORMATS[n % 3];
            let prompt = format!("FAIL[529x1] SLOW[1] SAY[turn {n}]");
            let overloaded = peer.post(format, &body(format, &prompt, true)).await;
            assert_eq!(overloaded.status(), 529);
            let heard = peer.stream(format, &prompt).await.heard(format);
            assert_eq!(heard.text, format!("turn {n}"));
            (n, heard.usage)
        }
    });
    let heard = futures::future::join_all(turns).await;
    let requests = peer.model.requests();
    assert_eq!(requests.len(), 300);
    assert!(requests.iter().all(|request| request.complete));
    for (n, usage) in heard {
        let said = format!("SAY[turn {n}]");
        let recorded = requests
            .iter()
            .find(|r| r.status == 200 && r.body.to_string().contains(&said))
            .unwrap();
        assert_eq!(recorded.usage, usage);
    }
}

#[tokio::test]
async fn dropping_it_ends_the_server_and_what_still_streams() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url() + path(WireFormat::Messages);
    let body = body(WireFormat::Messages, "SLOW[60000] LONG[10]", true);
    let http = reqwest::Client::new();
    let mut response = http.post(&url).json(&body).send().await.unwrap();
    drop(model);
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while let Ok(Some(_)) = response.chunk().await {}
        while reqwest::Client::new().post(&url).json(&body).send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ended.await.expect("the server is gone");
}
