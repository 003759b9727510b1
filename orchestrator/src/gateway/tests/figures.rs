//! What the log and the gateway can carry. Viewers run in the same process and on the same cores, so that every rate
//! is a lower bound.

use std::{sync::Arc, time::Instant};

use futures::future::join_all;

use super::{Stage, breadth::Crowd};
use crate::{
    figures::{quantile, report},
    log::tests::event,
};

/// Bytes beside the frame, as a delta of a few words has.
const SIZE: usize = 100;
const APPENDS: usize = 2000;
const REPLAYED: usize = 100_000;
/// Events that all viewers of a round get together, so that each round takes about as long.
const DELIVERIES: usize = 100_000;

async fn append_latency(stage: &Stage) {
    let log = stage.session("append").await;
    let mut micros = Vec::with_capacity(APPENDS);
    for number in 0..APPENDS {
        let started = Instant::now();
        stage.bench.append(&log, vec![event(number, SIZE)]).await;
        micros.push(started.elapsed().as_secs_f64() * 1e6);
    }
    report("log_append_p50", quantile(&mut micros, 0.5));
    report("log_append_p99", quantile(&mut micros, 0.99));
}

async fn replay_rate(stage: &Stage) {
    let log = stage.session("replay").await;
    for batch in 0..REPLAYED / 500 {
        let events = (0..500).map(|number| event(batch * 500 + number, SIZE)).collect();
        stage.bench.append(&log, events).await;
    }
    let mut viewer = stage.viewer("replay", "since=0").await;
    let started = Instant::now();
    viewer.take_events(REPLAYED).await;
    report("gateway_replay_rate", REPLAYED as f64 / started.elapsed().as_secs_f64());
}

/// Events that reach all viewers of one session, a second.
async fn fan_out(stage: &Arc<Stage>, viewers: usize) {
    let session = format!("fan-{viewers}");
    let log = stage.session(&session).await;
    let mut open = Vec::new();
    for _ in 0..viewers {
        open.push(stage.viewer(&session, "").await);
    }
    let events = DELIVERIES / viewers;
    let started = Instant::now();
    let reading = join_all(open.into_iter().map(|mut viewer| {
        tokio::spawn(async move {
            viewer.take_events(events).await;
        })
    }));
    let mut given = 0;
    while given < events {
        // What an agent says at once is appended at once.
        let batch = (events - given).min(10);
        let appended = (0..batch).map(|number| event(given + number, SIZE)).collect();
        stage.bench.append(&log, appended).await;
        given += batch;
    }
    for read in reading.await {
        read.unwrap();
    }
    let rate = DELIVERIES as f64 / started.elapsed().as_secs_f64();
    report(&format!("gateway_fan_out_{viewers}"), rate);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for a person to read"]
async fn figures_of_the_session_gateway() {
    let stage = Arc::new(Stage::new().await);
    append_latency(&stage).await;
    replay_rate(&stage).await;
    for viewers in [1, 100, 1000] {
        fan_out(&stage, viewers).await;
    }
    let crowd = Crowd { sessions: 200, viewers: 1000, events: 100 };
    report("gateway_breadth", crowd.run(&stage).await);
}
