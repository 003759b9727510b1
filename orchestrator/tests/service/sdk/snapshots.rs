//! Snapshots.

use sandbox_sdk::types::TakeSnapshot;

use super::client;
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_put_back_and_given_up() {
    let product = Product::start().await;
    let client = client(&product);
    let id = product.sandbox().await;
    let (sandboxes, sandbox) = (client.sandboxes(), client.sandbox(&id));
    sandbox.write_text("a.txt", "old").await.unwrap();
    let what = TakeSnapshot { tags: vec!["first".to_owned()], ..TakeSnapshot::default() };
    let taken = sandboxes.take_snapshot(&id, &what).await.unwrap();
    assert_eq!(taken.tags, ["first"]);
    let listed = sandboxes.snapshots(&id).await.unwrap();
    assert_eq!((listed.len(), &listed[0].snapshot_id), (1, &taken.snapshot_id));
    assert_eq!(listed[0].project_ref, id);

    sandbox.write_text("a.txt", "new").await.unwrap();
    let restored = sandboxes.restore_snapshot(&id, &taken.snapshot_id, None).await.unwrap();
    assert_eq!(restored.snapshot_id, taken.snapshot_id);
    assert_eq!(sandbox.read_text("a.txt").await.unwrap(), "old");

    // It outlives its sandbox.
    sandboxes.delete(&id).await.unwrap();
    assert_eq!(sandboxes.snapshots(&id).await.unwrap().len(), 1);
    for _ in 0..2 {
        sandboxes.delete_snapshot(&id, &taken.snapshot_id).await.unwrap();
    }
    assert!(sandboxes.snapshots(&id).await.unwrap_err().is_not_found());
    product.stop().await;
}
