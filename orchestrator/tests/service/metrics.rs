//! What a monitoring system reads.

use std::collections::HashMap;

use reqwest::Method;

use crate::support::{Product, eventually};

/// All series by name and labels, and the text they stand in.
async fn read(product: &Product) -> (HashMap<String, f64>, String) {
    let answer = product.get("/metrics").await;
    let kind = answer.headers["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = answer.expect(200).as_str().unwrap().to_owned();
    assert!(text.ends_with("# EOF\n"));
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse::<f64>().unwrap())
    });
    (series.collect(), text)
}

/// Waits until a figure is at least this large.
async fn reaches(product: &Product, name: &str, least: f64) {
    eventually(&format!("{name} is {least}"), async || {
        let (series, _) = read(product).await;
        series.get(name).is_some_and(|value| *value >= least).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_move_with_what_happens() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let mut viewer = product.viewer("s1", 0).await;
    product.dispatch(&id, "s1", "t1", "run: echo hello").await.expect(202);
    let seen = viewer.until("done").await;
    product.exec(&id, "true").await;

    let events = seen.len() as f64;
    for (name, least) in [
        (r#"skein_turns_ended_total{outcome="completed"}"#, 1.0),
        ("skein_events_appended_total", events),
        ("skein_append_seconds_count", 2.0),
        ("skein_gateway_connections", 1.0),
        ("skein_gateway_connections_opened_total", 1.0),
        ("skein_gateway_frames_sent_total", events),
        ("skein_commands_total", 1.0),
        (r#"skein_sandboxes{status="running"}"#, 1.0),
        (r#"skein_sandbox_starts_total{outcome="running"}"#, 1.0),
        ("skein_sandbox_start_seconds_count", 1.0),
        (r#"skein_http_requests_total{route="/v1/sandboxes",status="2xx"}"#, 1.0),
        (r#"skein_http_request_seconds_count{route="/v1/sandboxes"}"#, 1.0),
    ] {
        reaches(&product, name, least).await;
    }

    // Whoever comes late is told what was.
    let mut late = product.viewer("s1", 0).await;
    late.until("done").await;
    reaches(&product, "skein_gateway_replays_total", 1.0).await;
    drop((viewer, late));
    eventually("nobody watches", async || {
        (read(&product).await.0["skein_gateway_connections"] == 0.0).then_some(())
    })
    .await;
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_caller_writes_becomes_a_label() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.get("/v1/no-such-route/chosen-word?and=chosen-query").await.refused(404, "NOT_FOUND");
    product.get("/v1/sandboxes/chosen-word").await.refused(404, "NOT_FOUND");
    let odd = Method::from_bytes(b"CHOSEN").unwrap();
    product.send(product.request(odd, "/v1/sandboxes")).await;
    let (series, text) = read(&product).await;
    assert!(series[r#"skein_http_requests_total{route="none",status="4xx"}"#] >= 1.0);
    assert!(series[r#"skein_http_requests_total{route="/v1/sandboxes/{id}",status="4xx"}"#] >= 1.0);
    assert!(!text.to_lowercase().contains("chosen") && !text.contains(&id), "{text}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_who_has_the_products_key() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    let sandbox = product.get(&format!("/v1/sandboxes/{id}")).await.expect(200);
    let own = sandbox["connection"]["authToken"].as_str().unwrap().to_owned();
    for key in [None, Some("wrong".to_owned()), Some(own), Some(product.token("alice", "s1"))] {
        let request = product.http.get(format!("{}/metrics", product.base));
        let request = match &key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let answer = product.send(request).await;
        assert!(matches!(answer.status.as_u16(), 401 | 403), "{key:?}: {}", answer.body);
        assert!(!answer.body.to_string().contains("skein_"), "{key:?}");
    }
    product.stop().await;
}
