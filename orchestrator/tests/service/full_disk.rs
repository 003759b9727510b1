//! The disk takes no more for a while, in the middle of a turn.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::{Process, sql};

/// Longer than the pause between two events. What must not come has so long to come; a turn that waits
/// for room gives up after seconds.
const STILL: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_costs_no_event_that_was_taken() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start_on_a_disk_that_fills(data.path(), 20).await;
    let product = &process.product;
    let id = product.sandbox().await;
    for session in ["s1", "s2"] {
        product.map(session, &id).await;
    }
    product.dispatch(&id, "s1", "t1", "give me a long answer").await.expect(202);
    let mut viewer = product.viewer("s1", 0).await;
    let hello = viewer.next().await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 20 {
        seen.push(viewer.event().await.unwrap());
    }

    process.set_file_limit(Some(0));
    let refused = product.dispatch(&id, "s2", "t2", "run: echo two").await;
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    refused.refused(503, "UNAVAILABLE");
    // All that was taken stands now, and can be read. Nothing else is shown.
    let stands = product.get(&product.session_path(&id, "s1")).await.expect(200);
    let last = stands["lastSeq"].as_u64().unwrap();
    while (seen.len() as u64) < last {
        seen.push(viewer.event().await.unwrap());
    }
    assert!(seen.iter().all(|event| event.kind != "done"), "the turn was over before");
    let more = timeout(STILL, viewer.event()).await;
    assert!(more.is_err(), "shown, but not written: {more:?}");

    process.set_file_limit(None);
    seen.extend(viewer.until("done").await);
    let record = product.record(&id, "s1", "t1").await;
    assert_eq!(record["state"], "completed", "{record}");
    let mut late = product.viewer("s1", 0).await;
    let again = late.next().await.unwrap();
    assert_eq!(again["data"]["epoch"], hello["data"]["epoch"]);
    assert_eq!(late.until("done").await, seen);
    let numbers: Vec<_> = seen.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=seen.len() as u64).collect::<Vec<_>>());
    // Who was refused is not half there.
    let receipt = product.dispatch(&id, "s2", "t2", "run: echo two").await.expect(202);
    assert_eq!(receipt["since"], 0);
    assert_eq!(product.record(&id, "s2", "t2").await["state"], "completed");
    assert!(process.terminate().await.success());
    assert_eq!(sql(data.path(), "PRAGMA integrity_check").await, ["ok"]);
}
