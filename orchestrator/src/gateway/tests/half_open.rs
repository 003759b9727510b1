//! Peers that are gone without a word: the connection stands, but nothing passes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sandbox_sdk::gateway::{GatewayOptions, Handlers, SessionGatewayClient};
use tokio::{task::JoinHandle, time::sleep};

use super::{
    Stage,
    silent_line::{Silence, SilentLine},
    viewer::{Offer, Viewer},
};
use crate::{config::Tuning, log::tests::event};

/// Long enough for any machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

type Seqs = Arc<Mutex<Vec<u64>>>;

async fn stage() -> Stage {
    Stage::with(Tuning { heartbeat: Duration::from_secs(2), ..Tuning::default() }).await
}

/// Gives the events with these numbers.
async fn say(stage: &Stage, numbers: std::ops::RangeInclusive<usize>) {
    let log = stage.session("s").await;
    stage.bench.append(&log, numbers.map(|number| event(number, 10)).collect()).await;
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn is(seqs: &Seqs, expected: std::ops::RangeInclusive<u64>) -> bool {
    *seqs.lock().unwrap() == expected.collect::<Vec<_>>()
}

/// A viewer on the line that answers pings and notes what it sees, until it is told to go.
async fn watch(stage: &Stage, line: &SilentLine, since: u64) -> (Seqs, JoinHandle<()>) {
    let url = format!("{}?since={since}", line.url());
    let mut viewer = Viewer::open(&url, Offer::bearer(&stage.token("alice", "s"))).await.unwrap();
    viewer.expect("connection.established").await;
    let seqs = Seqs::default();
    let seen = seqs.clone();
    let watching = tokio::spawn(async move {
        while let Ok(frame) = viewer.next().await {
            if frame["type"] == "agent.event" {
                seen.lock().unwrap().push(frame["seq"].as_u64().unwrap());
            }
        }
        // Whatever became of it, it says no farewell.
        std::future::pending::<()>().await;
    });
    (seqs, watching)
}

async fn is_found_out(silence: Silence) {
    let stage = stage().await;
    say(&stage, 1..=3).await;
    let line = SilentLine::to(&stage.url).await;
    let (first, watching) = watch(&stage, &line, 0).await;
    until("the first events are seen", || is(&first, 1..=3)).await;
    stage.viewers_are(1).await;
    line.fall(silence);
    say(&stage, 4..=6).await;
    // Nothing but its own questions tells the gateway.
    let gone = || stage.gateway.open() == 0;
    until("the gateway finds out", gone).await;
    assert!(line.withheld() > 0, "{silence:?}: nothing was withheld");
    let got = if silence.down { 3 } else { 6 };
    until("what still passes is seen", || is(&first, 1..=got)).await;
    watching.abort();
    // It comes back with what it has.
    let (second, watching) = watch(&stage, &line, got).await;
    say(&stage, 7..=8).await;
    until("the rest is seen", || is(&second, got + 1..=8)).await;
    watching.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_falls_silent_either_way_is_found_out_and_the_cursor_still_works() {
    let silence = |up, down| is_found_out(Silence { up, down });
    tokio::join!(silence(true, false), silence(false, true), silence(true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_told_to_look_finds_out_and_comes_back_with_its_cursor() {
    let stage = stage().await;
    let line = SilentLine::to(&stage.url).await;
    say(&stage, 1..=3).await;
    let seqs = Seqs::default();
    let seen = seqs.clone();
    let handlers = Handlers::new().on_agent_event(move |_, _, seq| seen.lock().unwrap().push(seq));
    let options = GatewayOptions::new(line.url(), stage.token("alice", "s"), "s").since(0);
    let client = SessionGatewayClient::new(options, handlers);
    client.connect();
    until("the first events are seen", || is(&seqs, 1..=3)).await;
    let connections = line.connections();
    line.fall(Silence { up: true, down: true });
    say(&stage, 4..=6).await;
    until("the gateway finds out", || stage.gateway.open() == 0).await;
    assert!(is(&seqs, 1..=3), "the line was not silent");
    assert_eq!(line.connections(), connections, "nobody has told the client");
    // As a page does that is looked at again.
    client.nudge();
    until("the rest is seen", || is(&seqs, 1..=6)).await;
    assert_eq!(line.connections(), connections + 1);
    say(&stage, 7..=8).await;
    until("it goes on live", || is(&seqs, 1..=8)).await;
    assert!(client.stats().connects > 1, "{:?}", client.stats());
    client.disconnect();
}
