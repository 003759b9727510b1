//! Every event, once, in order.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    Stage,
    viewer::{Offer, Viewer},
};
use crate::{config::Tuning, log::tests::event};

#[tokio::test(flavor = "multi_thread")]
async fn replay_comes_whole_before_anything_live_and_nothing_comes_twice() {
    let stage = Arc::new(Stage::new().await);
    let log = stage.session("s").await;
    stage.bench.append(&log, (1..=500).map(|number| event(number, 300)).collect()).await;
    let mut viewer = stage.viewer("s", "since=0").await;
    let producer = tokio::spawn({
        let (stage, log) = (stage.clone(), log.clone());
        async move {
            for number in 501..=1000 {
                stage.bench.append(&log, vec![event(number, 300)]).await;
            }
        }
    });
    let start = viewer.expect("replay.start").await;
    let to = start["to"].as_u64().unwrap();
    assert!(to >= 500);
    assert_eq!((&start["from"], &start["total"]), (&json!(1), &json!(to)));
    for seq in 1..=to {
        let frame = viewer.expect("agent.event").await;
        assert_eq!((&frame["seq"], &frame["replay"]), (&json!(seq), &json!(true)));
        assert_eq!(frame["data"]["data"]["number"], json!(seq), "what stands under its number");
    }
    let complete = viewer.expect("replay.complete").await;
    assert_eq!((&complete["replayed"], &complete["lastSeq"]), (&json!(to), &json!(to)));
    for seq in to + 1..=1000 {
        let frame = viewer.expect("agent.event").await;
        assert_eq!((&frame["seq"], &frame["replay"]), (&json!(seq), &Value::Null));
    }
    producer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cursor_only_what_is_new_comes() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, vec![event(1, 1); 3]).await;
    let mut viewer = stage.viewer("s", "").await;
    stage.bench.append(&log, vec![event(4, 1)]).await;
    assert_eq!(viewer.expect("agent.event").await["seq"], json!(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_the_end_replays_nothing_and_goes_on_live() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, vec![event(1, 1); 3]).await;
    for since in ["3", "4", "9007199254740993", "18446744073709551615"] {
        let mut viewer = stage.viewer("s", &format!("since={since}")).await;
        assert_eq!(viewer.expect("replay.start").await["total"], json!(0), "since {since}");
        viewer.expect("replay.complete").await;
        let (_, last) = stage.bench.append(&log, vec![event(2, 1)]).await;
        assert_eq!(viewer.expect("agent.event").await["seq"], json!(last));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_is_cut_off_again_and_again_ends_with_exactly_the_log() {
    const EVENTS: usize = 1_500;
    let seed = uuid::Uuid::now_v7().as_u128() as u64;
    println!("seed {seed}");
    let stage = Arc::new(Stage::new().await);
    let log = stage.session("s").await;
    let producer = tokio::spawn({
        let (stage, log) = (stage.clone(), log.clone());
        async move {
            for number in 1..=EVENTS {
                stage.bench.append(&log, vec![event(number, number % 900)]).await;
            }
        }
    });
    let mut viewers = Vec::new();
    for viewer in 0..8_u64 {
        let stage = stage.clone();
        viewers.push(tokio::spawn(async move {
            let mut random = seed.wrapping_add(viewer) | 1;
            let (mut got, mut connections) = (Vec::new(), 0);
            while got.len() < EVENTS {
                connections += 1;
                let mut socket = stage.viewer("s", &format!("since={}", got.len())).await;
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let mut frames = 20 + random % 300;
                while frames > 0 && got.len() < EVENTS {
                    frames -= 1;
                    let Ok(frame) = socket.next().await else { break };
                    if frame["type"] == "agent.event" {
                        let number = frame["data"]["data"]["number"].as_u64().unwrap();
                        assert_eq!(frame["seq"].as_u64(), Some(number));
                        got.push(number);
                    }
                }
                // Dropped without a word, often in the middle of what is being sent.
            }
            (got, connections)
        }));
    }
    producer.await.unwrap();
    for viewer in viewers {
        let (got, connections) = viewer.await.unwrap();
        assert_eq!(got, (1..=EVENTS as u64).collect::<Vec<_>>());
        assert!(connections > 3, "the viewer was never cut off");
    }
    stage.viewers_are(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_and_fifty_more_see_the_same() {
    let stage = Arc::new(Stage::new().await);
    let log = stage.session("s").await;
    let mut viewers = Vec::new();
    for _ in 0..52 {
        let mut viewer = stage.viewer("s", "since=0").await;
        viewers.push(tokio::spawn(async move { viewer.seqs_until(300).await }));
    }
    for number in 1..=300 {
        stage.bench.append(&log, vec![event(number, 50)]).await;
    }
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap(), (1..=300).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_viewer_slows_nobody_and_catches_up_from_the_log() {
    let tuning = Tuning { socket_send_buffer: Some(4096), ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    let log = stage.session("s").await;
    let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&stage.token("alice", "s")) };
    let mut slow = Viewer::open(&format!("{}?since=0", stage.url), offer).await.unwrap();
    let mut fast = stage.viewer("s", "since=0").await;
    let reader = tokio::spawn(async move { fast.seqs_until(200).await });
    // 4 MB while the slow one reads nothing.
    for number in 1..=200 {
        stage.bench.append(&log, vec![event(number, 20_000)]).await;
    }
    assert_eq!(reader.await.unwrap(), (1..=200).collect::<Vec<_>>());
    let (_, before) = stage.bench.logs.pages_read();
    assert_eq!(slow.seqs_until(200).await, (1..=200).collect::<Vec<_>>());
    let (_, after) = stage.bench.logs.pages_read();
    assert!(after > before, "the slow viewer was served from the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_ask_for_a_replay_and_for_other_channels() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, (1..=3).map(|number| event(number, 1)).collect()).await;
    let mut viewer = stage.viewer("s", "channels=system").await;
    let channels =
        ["agent:s", "session:s", "session:t", "*", "session:*", "project:p", "system.*", ""];
    viewer.say(json!({"type": "subscribe", "channels": channels, "since": {"agent:s": 1}})).await;
    let answer = viewer.expect("subscribed").await;
    assert_eq!(answer["channels"], json!(["agent:s", "session:s"]));
    assert_eq!(answer["denied"].as_array().unwrap().len(), 6);
    assert_eq!(viewer.expect("replay.start").await["channel"], json!("agent:s"));
    for seq in [2, 3] {
        let frame = viewer.expect("agent.event").await;
        assert_eq!((&frame["channel"], &frame["seq"]), (&json!("agent:s"), &json!(seq)));
    }
    viewer.expect("replay.complete").await;
    viewer.say(json!({"type": "unsubscribe", "channels": ["agent:s", "session:t"]})).await;
    let answer = viewer.expect("unsubscribed").await;
    assert_eq!(answer["channels"], json!(["agent:s"]));
    assert_eq!(answer["denied"][0]["channel"], json!("session:t"));
    assert_eq!(answer["denied"].as_array().unwrap().len(), 1);
    viewer.say(json!({"type": "replay", "since": 2})).await;
    viewer.expect("replay.start").await;
    let frame = viewer.expect("agent.event").await;
    assert_eq!((&frame["channel"], &frame["seq"]), (&json!("session:s"), &json!(3)));
    viewer.expect("replay.complete").await;
    viewer.say(json!({"type": "replay", "since": 0, "channel": "session:t"})).await;
    assert_eq!(viewer.expect("error").await["code"], json!("NOT_SUBSCRIBED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_channels_are_refused_in_a_short_answer() {
    let stage = Stage::new().await;
    stage.session("s").await;
    let mut viewer = stage.viewer("s", "").await;
    let channels: Vec<_> = (0..10_000).map(|_| "x").collect();
    viewer.say(json!({"type": "subscribe", "channels": channels})).await;
    let answer = viewer.expect("subscribed").await;
    assert!(answer["denied"].as_array().unwrap().len() <= 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_come_before_its_session_does() {
    let stage = Stage::new().await;
    let mut viewer = stage.viewer("early", "since=0").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = stage.session("early").await;
    stage.bench.append(&log, vec![event(1, 1)]).await;
    assert_eq!(viewer.seqs_until(1).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_turn_comes_through_however_long_its_answer_is() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    let plain = crate::turns::last_events_of(&"x".repeat(600 * 1024));
    let escaped = crate::turns::last_events_of(&"\u{1}".repeat(600 * 1024));
    let count = (plain.len() + escaped.len()) as u64;
    stage.bench.append(&log, plain.into_iter().chain(escaped).collect()).await;
    for format in ["", "&alias=1"] {
        let mut viewer = stage.viewer("s", &format!("since=0{format}")).await;
        assert_eq!(viewer.seqs_until(count).await, (1..=count).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_connection_carries_is_told_as_a_fault_of_ours() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, vec![event(1, 600 * 1024)]).await;
    let mut viewer = stage.viewer("s", "since=0").await;
    assert_eq!(viewer.closed().await, sandbox_sdk::types::close_code::INTERNAL);
}
