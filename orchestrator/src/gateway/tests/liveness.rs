//! How connections end.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{
    Stage,
    viewer::{Offer, Viewer},
};
use crate::{config::Tuning, log::tests::event};

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_session_is_waited_for_and_then_closed_with_4404() {
    let tuning = Tuning { unknown_session_grace: Duration::from_millis(300), ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    let mut viewer = stage.viewer("nobody", "").await;
    assert_eq!(viewer.expect("error").await["code"], json!("SESSION_NOT_FOUND"));
    assert_eq!(viewer.closed().await, 4404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_closes_its_viewers_also_those_that_do_not_read() {
    let tuning = Tuning {
        socket_send_buffer: Some(4096),
        // So that nothing else ends them.
        slow_reader_limit: Duration::from_secs(3600),
        ..Tuning::default()
    };
    let stage = Stage::with(tuning).await;
    let log = stage.session("s").await;
    let mut reader = stage.viewer("s", "").await;
    let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&stage.token("alice", "s")) };
    let stuck = Viewer::open(&format!("{}?since=0", stage.url), offer).await.unwrap();
    for number in 1..=100 {
        stage.bench.append(&log, vec![event(number, 20_000)]).await;
    }
    reader.seqs_until(100).await;
    stage.bench.logs.forget("s");
    assert_eq!(reader.closed().await, 4404);
    stage.viewers_are(0).await;
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_is_seen_to_its_end_by_who_reads_slowly() {
    let farewell = Duration::from_secs(60);
    let tuning = Tuning { socket_send_buffer: Some(4096), farewell, ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    let log = stage.session("s").await;
    let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&stage.token("alice", "s")) };
    let mut viewer = Viewer::open(&format!("{}?since=0", stage.url), offer).await.unwrap();
    viewer.expect("connection.established").await;
    // More than is sent at once, and all of it in memory.
    stage.bench.append(&log, (1..=6).map(|number| event(number, 20_000)).collect()).await;
    viewer.expect("replay.start").await;
    stage.bench.logs.forget("s");
    assert_eq!(viewer.seqs_until(6).await, (1..=6).collect::<Vec<_>>());
    assert_eq!(viewer.closed().await, 4404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_deleted_session_from_before_what_is_left_of_it_is_sent_away() {
    let tuning = Tuning { socket_send_buffer: Some(4096), ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    let log = stage.session("s").await;
    stage.bench.append(&log, (1..=100).map(|number| event(number, 20_000)).collect()).await;
    let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&stage.token("alice", "s")) };
    let mut viewer = Viewer::open(&format!("{}?since=0", stage.url), offer).await.unwrap();
    viewer.expect("connection.established").await;
    viewer.expect("replay.start").await;
    stage.bench.logs.forget("s");
    stage.bench.store.delete_sandbox("box").await.unwrap();
    while let Ok(frame) = viewer.next().await {
        assert_eq!(frame["type"], "agent.event", "nothing tells of an end of the replay");
    }
    stage.viewers_are(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_without_progress_is_closed_and_its_cursor_still_works() {
    let tuning = Tuning {
        socket_send_buffer: Some(4096),
        slow_reader_limit: Duration::from_secs(5),
        ..Tuning::default()
    };
    let stage = Stage::with(tuning).await;
    let log = stage.session("s").await;
    let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&stage.token("alice", "s")) };
    let mut stuck = Viewer::open(&format!("{}?since=0", stage.url), offer).await.unwrap();
    for number in 1..=100 {
        stage.bench.append(&log, vec![event(number, 20_000)]).await;
    }
    stage.viewers_are(0).await;
    let mut last = 0;
    while let Ok(frame) = stuck.next().await {
        last = frame["seq"].as_u64().unwrap_or(last);
    }
    assert!(last < 100);
    let mut again = stage.viewer("s", &format!("since={last}")).await;
    assert_eq!(again.seqs_until(100).await, (last + 1..=100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_never_answers_is_found_out() {
    let tuning = Tuning { heartbeat: Duration::from_secs(2), ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    stage.session("s").await;
    // One that reads answers pings by that alone, and stays.
    let mut alive = stage.viewer("s", "").await;
    let alive = tokio::spawn(async move { alive.closed().await });
    // One that does not read does not answer.
    let mut dead = stage.viewer("s", "").await;
    stage.viewers_are(1).await;
    assert_eq!(dead.closed().await, 4408);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!alive.is_finished());
    alive.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_messages_that_are_none_close_with_4400() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let mut viewer = stage.viewer("s", "").await;
    viewer.send(Message::text("{")).await.unwrap();
    assert_eq!(viewer.expect("error").await["code"], json!("BAD_MESSAGE"));
    viewer.send(Message::binary(vec![1, 2])).await.unwrap();
    viewer.expect("error").await;
    viewer.say(json!({"type": "unheard-of"})).await;
    viewer.expect("error").await;
    assert_eq!(viewer.closed().await, 4400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_64_kib_closes_with_4413() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let mut viewer = stage.viewer("s", "").await;
    // The gateway may have closed before all of it was written.
    drop(viewer.send(Message::text("x".repeat(5_000_000))).await);
    let code = viewer.closed().await;
    assert!(matches!(code, 4413 | 1006), "{code}");
    stage.viewers_are(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_is_cut_off() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let mut viewer = stage.viewer("s", "").await;
    for _ in 0..5_000 {
        if viewer.send(Message::text(r#"{"type":"pong","timestamp":1}"#)).await.is_err() {
            break;
        }
    }
    let code = viewer.closed().await;
    assert!(matches!(code, 4429 | 1006), "{code}");
    stage.viewers_are(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tells_everyone_to_come_back() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let mut viewer = stage.viewer("s", "").await;
    let gateway = stage.gateway.clone();
    let down = tokio::spawn(async move { gateway.shutdown().await });
    assert!(viewer.expect("server.draining").await["retryAfterMs"].as_u64().unwrap() > 0);
    assert_eq!(viewer.closed().await, 1001);
    down.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_viewers_than_there_is_room_for_are_turned_away_with_1013() {
    let stage = Stage::with(Tuning { max_connections: 1, ..Tuning::default() }).await;
    stage.session("s").await;
    let first = stage.viewer("s", "").await;
    let offer = Offer::bearer(&stage.token("alice", "s"));
    let mut second = Viewer::open(&stage.url, offer).await.unwrap();
    assert_eq!(second.closed().await, 1013);
    drop(first);
    stage.viewers_are(0).await;
    stage.viewer("s", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_say_nothing_take_no_viewers_seat_and_are_few() {
    let tuning = Tuning {
        max_connections: 1,
        max_unadmitted: 1,
        auth_timeout: Duration::from_secs(3600),
        ..Tuning::default()
    };
    let stage = Stage::with(tuning).await;
    stage.session("s").await;
    let silent = Viewer::open(&stage.url, Offer::page()).await.unwrap();
    let mut crowded = Viewer::open(&stage.url, Offer::page()).await.unwrap();
    // One of the two is let wait, whichever was first.
    let mut silent = silent;
    let code = tokio::select! {
        code = crowded.closed() => code,
        code = silent.closed() => code,
    };
    assert_eq!(code, 1013);
    let viewer = stage.viewer("s", "").await;
    stage.viewers_are(1).await;
    drop((viewer, silent, crowded));
}
