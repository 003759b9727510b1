//! Batches.

use futures::TryStreamExt;
use sandbox_sdk::types::{BatchEvent, BatchRun, BatchTask};

use super::client;
use crate::support::Product;

fn task(id: &str, timeout_ms: u64) -> BatchTask {
    BatchTask {
        id: id.to_owned(),
        message: "run: echo from the sdk".to_owned(),
        timeout_ms: Some(timeout_ms),
        ..BatchTask::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_tells_how_each_of_its_tasks_ended() {
    let product = Product::start().await;
    let tasks = vec![task("one", 300_000), task("two", 1)];
    let batch = BatchRun { tasks, ..BatchRun::default() };
    let events = client(&product).run_batch(&batch).await.unwrap();
    let events: Vec<BatchEvent> = events.try_collect().await.unwrap();
    assert_eq!(events.len(), 4, "{events:?}");
    let [BatchEvent::Started(started), .., BatchEvent::Completed(completed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((started.total_tasks, started.agent.as_str()), (2, "demo"));
    assert_eq!(completed.batch_id, started.batch_id);
    assert_eq!((completed.succeeded, completed.failed), (1, 1));
    for event in &events[1..3] {
        match event {
            BatchEvent::TaskCompleted(task) => {
                assert!(task.task_id == "one" && !task.response.is_empty(), "{task:?}");
            }
            BatchEvent::TaskFailed(task) => {
                let failed = (task.task_id.as_str(), task.code.as_deref());
                assert_eq!(failed, ("two", Some("TURN_TIMEOUT")), "{task:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let empty = client(&product).run_batch(&BatchRun::default()).await;
    assert_eq!(empty.unwrap_err().status(), Some(400));
    product.stop().await;
}
