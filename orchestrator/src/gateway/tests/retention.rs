//! What viewers are told of events that are no longer kept.

use serde_json::{Value, json};

use super::{
    Stage,
    viewer::{Offer, Viewer},
};
use crate::{
    config::Tuning,
    log::{TurnChange, tests::event},
    store::NewTurn,
};

/// Reads a replay: its first frame, the numbers of its events, and its last frame.
async fn replay(viewer: &mut Viewer) -> (Value, Vec<u64>, Value) {
    let start = viewer.expect("replay.start").await;
    let mut seqs = Vec::new();
    loop {
        let frame = viewer.next().await.unwrap();
        if frame["type"] != "agent.event" {
            assert_eq!(frame["type"], "replay.complete", "{frame}");
            assert_eq!(frame["truncated"], start["truncated"]);
            assert_eq!(frame["replayed"], start["total"]);
            return (start, seqs, frame);
        }
        seqs.push(frame["seq"].as_u64().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_from_before_a_cut_is_told_where_the_log_begins() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, (1..=10).map(|number| event(number, 10)).collect()).await;
    stage.bench.keep(4).await;
    for (since, truncated, left) in [
        (0, true, vec![7, 8, 9, 10]),
        (5, true, vec![7, 8, 9, 10]),
        (6, false, vec![7, 8, 9, 10]),
        (8, false, vec![9, 10]),
        (10, false, vec![]),
        (11, false, vec![]),
    ] {
        let mut viewer = stage.viewer("s", &format!("since={since}")).await;
        let (start, seqs, complete) = replay(&mut viewer).await;
        assert_eq!(seqs, left, "since {since}");
        assert_eq!((&start["since"], &start["truncated"]), (&json!(since), &json!(truncated)));
        assert_eq!((&start["oldestSeq"], &start["to"]), (&json!(7), &json!(10)));
        assert_eq!((&start["total"], &complete["lastSeq"]), (&json!(left.len()), &json!(10)));
        if let Some(first) = left.first() {
            assert_eq!(start["from"], json!(first));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_go_on_where_nothing_is_left() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, vec![event(1, 10); 3]).await;
    let mut live = stage.viewer("s", "").await;
    stage.bench.keep(0).await;
    let mut late = stage.viewer("s", "since=1").await;
    let (start, seqs, _) = replay(&mut late).await;
    assert_eq!((&start["truncated"], &start["oldestSeq"]), (&json!(true), &json!(4)));
    assert!(seqs.is_empty());
    stage.bench.append(&log, vec![event(4, 10)]).await;
    for viewer in [&mut live, &mut late] {
        assert_eq!(viewer.expect("agent.event").await["seq"], json!(4), "and nothing before it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_runs_is_replayed_from_its_first_event() {
    let stage = Stage::new().await;
    let log = stage.session("s").await;
    stage.bench.append(&log, vec![event(1, 10); 3]).await;
    let turn = NewTurn {
        id: "t".to_owned(),
        model: "demo".to_owned(),
        prompt: "hello".to_owned(),
        input_tokens: 1,
        usage: None,
    };
    let begin = Some(TurnChange::Begin(turn));
    stage.bench.logs.append(&log, vec![event(4, 10)], begin).await.unwrap();
    stage.bench.append(&log, vec![event(5, 10); 4]).await;
    stage.bench.keep(1).await;
    let mut viewer = stage.viewer("s", "since=0").await;
    let (start, seqs, _) = replay(&mut viewer).await;
    assert_eq!((&start["truncated"], &start["oldestSeq"]), (&json!(true), &json!(4)));
    assert_eq!(seqs, [4, 5, 6, 7, 8]);
    let mut viewer = stage.viewer("s", "since=3").await;
    let (start, seqs, _) = replay(&mut viewer).await;
    assert_eq!(start["truncated"], json!(false));
    assert_eq!(seqs, [4, 5, 6, 7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_when_it_is_cut_sees_no_gap_that_is_not_told() {
    let tuning = Tuning { socket_send_buffer: Some(4096), ..Tuning::default() };
    let stage = Stage::with(tuning).await;
    let log = stage.session("s").await;
    let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&stage.token("alice", "s")) };
    let mut slow = Viewer::open(&format!("{}?since=0", stage.url), offer).await.unwrap();
    slow.expect("connection.established").await;
    let (_, seqs, _) = replay(&mut slow).await;
    assert!(seqs.is_empty());
    // 4 MB while it reads nothing.
    for number in 1..=200 {
        stage.bench.append(&log, vec![event(number, 20_000)]).await;
    }
    stage.bench.keep(10).await;
    let mut last = 0;
    let start = loop {
        let frame = slow.next().await.unwrap();
        if frame["type"] == "replay.start" {
            break frame;
        }
        last += 1;
        assert_eq!((&frame["type"], &frame["seq"]), (&json!("agent.event"), &json!(last)));
    };
    assert!(last < 190, "it was not behind");
    assert_eq!((&start["since"], &start["from"]), (&json!(last), &json!(191)));
    assert_eq!((&start["truncated"], &start["oldestSeq"]), (&json!(true), &json!(191)));
    for seq in 191..=200 {
        assert_eq!(slow.expect("agent.event").await["seq"], json!(seq));
    }
    assert_eq!(slow.expect("replay.complete").await["truncated"], json!(true));
    stage.bench.append(&log, vec![event(201, 10)]).await;
    assert_eq!(slow.expect("agent.event").await["seq"], json!(201));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_replay_after_replay_has_to_go() {
    let stage = Stage::with(Tuning { replays_per_minute: 3, ..Tuning::default() }).await;
    let log = stage.session("s").await;
    stage.bench.append(&log, vec![event(1, 10)]).await;
    let mut viewer = stage.viewer("s", "since=0").await;
    let (_, seqs, _) = replay(&mut viewer).await;
    assert_eq!(seqs, [1]);
    for _ in 0..3 {
        viewer.say(json!({"type": "replay", "since": 0})).await;
        let (_, seqs, _) = replay(&mut viewer).await;
        assert_eq!(seqs, [1]);
    }
    for _ in 0..20 {
        let more = json!({"type": "replay", "since": 0}).to_string();
        drop(viewer.send(tokio_tungstenite::tungstenite::Message::text(more)).await);
    }
    let code = viewer.closed().await;
    assert!(matches!(code, 4429 | 1006), "{code}");
    // The cursor is as good as before.
    let mut viewer = stage.viewer("s", "since=0").await;
    assert_eq!(replay(&mut viewer).await.1, [1]);
}
