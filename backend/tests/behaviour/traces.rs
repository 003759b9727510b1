//! Traces: what a request causes at the orchestrator can be found there.

use backend::{begin_trace, in_trace};

use crate::support::{World, database::TestDatabase};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_message_causes_is_in_the_trace_of_its_request_and_nothing_else_is() {
    let world = World::on(TestDatabase::sqlite()).await;
    let account = world.guest().await;
    let trace = begin_trace(1.0).unwrap();
    let started = in_trace(trace, world.ask(&account, None, "Hello")).await.unwrap();
    // Most of it happens in the background, after the answer.
    world.dispatched(&account, &started.turn_id).await;
    let other = world.guest().await;
    world.running(&other).await;
    for (begin, end) in [("POST", "/v1/sandboxes"), ("PUT", "/mapping"), ("POST", "/messages")] {
        let mut traces = world.orchestrator.traces(begin, end);
        // A call may be made again.
        traces.dedup();
        assert_eq!(traces, [Some(trace.to_string()), None], "{end}");
    }
}
