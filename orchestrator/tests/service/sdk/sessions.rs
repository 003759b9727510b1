//! Sessions: made, listed, asked for what came of them, removed.

use sandbox_sdk::types::TurnState;

use super::{client, dispatch};
use crate::support::{Product, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_tells_what_came_of_its_turns_until_it_is_removed() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let made = sandbox.create_session(Some("s1")).await.unwrap();
    assert_eq!((made.session_id.as_str(), made.state.as_str()), ("s1", "idle"));
    assert_eq!(sandbox.create_session(Some("s1")).await.unwrap().epoch, made.epoch);
    let drawn = sandbox.create_session(None).await.unwrap().session_id;
    let listed = sandbox.sessions(None, None).await.unwrap();
    let mut listed: Vec<_> = listed.into_iter().map(|session| session.session_id).collect();
    listed.sort();
    assert_eq!(listed, [drawn, "s1".to_owned()]);
    assert_eq!(sandbox.sessions(Some(1), Some(1)).await.unwrap().len(), 1);
    assert_eq!(sandbox.session_result("s1", None).await.unwrap(), None);

    sandbox.dispatch("s1", &dispatch("t1", "run: echo from the sdk")).await.unwrap();
    let result = eventually("the turn ends", async || {
        let result = sandbox.session_result("s1", Some("t1")).await.unwrap().unwrap();
        result.state.is_final().then_some(result)
    })
    .await;
    assert_eq!((result.state, result.success), (TurnState::Completed, true));
    assert_eq!((result.session_id.as_str(), result.execution_id.as_str()), ("s1", "t1"));
    assert!(!result.final_text.is_empty() && result.timing.duration_ms.is_some());
    assert_eq!(sandbox.session_result("s1", None).await.unwrap(), Some(result));
    assert_eq!(sandbox.session_result("s1", Some("none")).await.unwrap(), None);
    assert_eq!(sandbox.find_turn("t1").await.unwrap().unwrap().session_id, "s1");
    assert!(sandbox.find_turn("none").await.unwrap().is_none());

    for _ in 0..2 {
        sandbox.delete_session("s1").await.unwrap();
    }
    assert!(sandbox.session_status("s1").await.unwrap_err().is_not_found());
    product.stop().await;
}
