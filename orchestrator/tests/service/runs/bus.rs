//! The bus: the events of all sessions of a sandbox in one stream.

use reqwest::Method;

use super::stream::{Frame, Parser, Running};
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_tells_of_every_session_of_its_sandbox_and_ends_with_it() {
    let product = Product::start().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    let path = format!("/v1/sandboxes/{id}/runtime/agents/events");
    let answer = product.request(Method::GET, &path).send().await.unwrap();
    let mut bus = Running { answer, parser: Parser::default(), seen: Vec::new() };
    bus.read().await;
    assert_eq!(bus.seen[0].kind, "connection.established");
    product.dispatch(&other, "s9", "t9", "run: echo elsewhere").await.expect(202);
    for (session, turn) in [("s1", "t1"), ("s2", "t2")] {
        product.dispatch(&id, session, turn, "run: echo here").await.expect(202);
    }
    let of = |seen: &[Frame], session: &str| -> Vec<(u64, String)> {
        let seen = seen.iter().filter(|frame| frame.data["sessionId"] == session);
        seen.map(|frame| (frame.data["_meta"]["seq"].as_u64().unwrap(), frame.kind.clone()))
            .collect()
    };
    let is_over = |seen: &[Frame], session: &str| {
        of(seen, session).last().is_some_and(|(_, kind)| kind == "done")
    };
    while !is_over(&bus.seen, "s1") || !is_over(&bus.seen, "s2") {
        assert!(bus.read().await, "it ended");
    }
    for session in ["s1", "s2"] {
        let log = product.log(&id, session).await;
        let log: Vec<_> = log.into_iter().map(|(seq, kind, _)| (seq, kind)).collect();
        assert_eq!(of(&bus.seen, session), log);
    }
    assert!(of(&bus.seen, "s9").is_empty());
    // A second turn of a session is told as well.
    product.dispatch(&id, "s1", "t3", "run: echo again").await.expect(202);
    let ends = |seen: &[Frame]| of(seen, "s1").iter().filter(|event| event.1 == "done").count();
    while ends(&bus.seen) < 2 {
        assert!(bus.read().await, "it ended");
    }
    product.delete(&format!("/v1/sandboxes/{id}")).await.expect(200);
    while bus.read().await {}
    product.stop().await;
}
