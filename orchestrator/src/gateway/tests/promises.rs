//! What the gateway promises, against a producer that knows what it gave: a process of its own is killed without a
//! word, stands still or finds its disk full, again and again; connections break off anywhere, some viewers are slow.
//! Every viewer must end with exactly the producer's list. A run that did not go through all of that proves nothing,
//! and fails.

mod fault;
mod producer;
mod server;
mod watcher;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::viewer::{Offer, Viewer};
use crate::{mutants::Mutant, store::Store};
use fault::Fault;
use server::{Given, Server};

/// Longer than any run takes on the slowest machine; a run that never ends is a broken promise, too.
const PATIENCE: Duration = Duration::from_secs(240);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Plan {
    sessions: u64,
    /// Of each session.
    viewers: u64,
    /// Of each session.
    events: u64,
    faults: &'static [Fault],
}

/// What happened on the way.
#[derive(Debug, Default)]
struct Counters {
    given: AtomicU64,
    kills: AtomicU64,
    stops: AtomicU64,
    fillings: AtomicU64,
    /// Appends that a full disk did not take.
    refused: AtomicU64,
    /// Times that a viewer waited for half as long as the server stood still, or longer.
    waits: AtomicU64,
    reconnects: AtomicU64,
    replayed: AtomicU64,
    /// Times that a viewer did not read for a while.
    pauses: AtomicU64,
}

/// The same numbers for the same seed.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        Self((seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    /// Less than `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn session(index: u64) -> String {
    format!("s{index}")
}

/// Runs a plan to its end. `Err`: the first promise that was broken, in words.
async fn run(plan: Plan, mutant: Option<Mutant>) -> Result<Counters, String> {
    let seed = uuid::Uuid::now_v7().as_u128() as u64;
    println!("seed {seed}, {plan:?}, {mutant:?}");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(folder.path(), mutant);
    server.start().await;
    let counters = Arc::new(Counters::default());
    let mut producers = JoinSet::new();
    let mut watchers = JoinSet::new();
    for index in 0..plan.sessions {
        server.map(&session(index)).await;
        let random = Random::new(seed, index);
        producers.spawn(producer::run(server.clone(), index, plan, random, counters.clone()));
        for viewer in 0..plan.viewers {
            let random = Random::new(seed, 1_000 + index * plan.viewers + viewer);
            watchers.spawn(watcher::run(server.clone(), index, plan, random, counters.clone()));
        }
    }
    let faults = fault::inflict(&server, plan, &counters);
    let judged = async {
        let mut given = vec![Vec::new(); plan.sessions as usize];
        let mut seen = Vec::new();
        loop {
            tokio::select! {
                Some(produced) = producers.join_next() => {
                    let (index, list) = produced.unwrap()?;
                    given[index as usize] = list;
                }
                Some(watched) = watchers.join_next() => seen.push(watched.unwrap()?),
                else => break,
            }
        }
        for (index, list) in seen {
            if list != given[index as usize] {
                return Err(format!("a viewer of {} saw something else", session(index)));
            }
        }
        Ok(())
    };
    let both = async {
        // A broken promise ends the run; otherwise all faults have to happen as well.
        let mut faults = std::pin::pin!(faults);
        let mut judged = std::pin::pin!(judged);
        tokio::select! {
            () = &mut faults => judged.await,
            verdict = &mut judged => {
                verdict?;
                faults.await;
                Ok(())
            }
        }
    };
    let verdict = timeout(PATIENCE, both).await.unwrap_or_else(|_| Err("it never ends".to_owned()));
    server.kill().await;
    verdict.map_err(|broken| format!("{broken} (seed {seed})"))?;
    is_whole(folder.path()).await;
    // The watchers hold the other shares until their tasks are gone.
    drop((producers, watchers));
    Ok(Arc::into_inner(counters).unwrap())
}

/// The database is what it should be, whatever happened to it.
async fn is_whole(folder: &std::path::Path) {
    let store = Store::open(&server::database(folder)).await.unwrap();
    let mut connection = store.begin().await.unwrap();
    let verdict = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *connection);
    let verdict: String = verdict.await.unwrap();
    assert_eq!(verdict, "ok");
    drop(connection);
    store.close().await;
}

async fn holds(plan: Plan) {
    let counters = run(plan, None).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{counters:?}");
    let planned = |kind: fn(&Fault) -> bool| plan.faults.iter().filter(|fault| kind(fault)).count();
    let (kills, stops) = (planned(Fault::is_kill), planned(Fault::is_stop));
    assert_eq!(counters.kills.into_inner(), kills as u64);
    assert_eq!(counters.stops.into_inner(), stops as u64);
    assert_eq!(counters.fillings.into_inner(), (plan.faults.len() - kills - stops) as u64);
    assert!(stops == 0 || counters.waits.into_inner() > 0, "nobody saw that it stood still");
    assert_eq!(counters.given.into_inner(), plan.sessions * plan.events);
    for (what, count) in [
        ("reconnects", counters.reconnects),
        ("events replayed", counters.replayed),
        ("pauses", counters.pauses),
    ] {
        assert!(count.into_inner() > 0, "no {what}: nothing was proved");
    }
}

async fn is_caught(mutant: Mutant, words: &str) {
    let plan = Plan { sessions: 2, viewers: 6, events: 400, faults: &[Fault::Kill; 2] };
    match run(plan, Some(mutant)).await {
        Ok(counters) => panic!("{mutant:?} went unnoticed: {counters:?}"),
        Err(broken) => assert!(broken.contains(words), "{mutant:?}: {broken}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_chats_come_through_two_kills() {
    holds(Plan { sessions: 20, viewers: 5, events: 200, faults: &[Fault::Kill; 2] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_viewers_of_one_chat_come_through_three_kills() {
    holds(Plan { sessions: 1, viewers: 100, events: 300, faults: &[Fault::Kill; 3] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_viewer_comes_through_a_kill_every_fifty_events() {
    holds(Plan { sessions: 1, viewers: 1, events: 400, faults: &[Fault::Kill; 7] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_chats_come_through_a_server_that_stands_still() {
    let faults = &[Fault::Stop, Fault::Kill, Fault::Stop];
    holds(Plan { sessions: 8, viewers: 4, events: 150, faults }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_chats_come_through_a_full_disk_and_see_nothing_that_was_refused() {
    let faults = &[Fault::FullDisk, Fault::FullDisk, Fault::FullDisk, Fault::Kill];
    holds(Plan { sessions: 5, viewers: 4, events: 400, faults }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_away_because_the_server_stood_still() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(folder.path(), None);
    server.start().await;
    let name = session(0);
    server.map(&name).await;
    let url = format!("ws://{}/session?since=0", server.address().await);
    let offer = Offer::bearer(&watcher::token(&name));
    let mut quiet = Viewer::open(&url, offer).await.unwrap();
    quiet.expect("connection.established").await;
    // It answers every ping that it gets, on the one connection that it has.
    let quiet = tokio::spawn(async move { quiet.seqs_until(2).await });
    let given = |number| Given { numbers: vec![number], sizes: vec![1] };
    assert!(matches!(server.append(&name, &given(1)).await, server::Answer::First(1)));
    // Past its first question at least.
    tokio::time::sleep(server::HEARTBEAT + server::HEARTBEAT / 4).await;
    server.stop().await;
    tokio::time::sleep(fault::STANDSTILL).await;
    server.resume().await;
    // It was asked again, and once more.
    tokio::time::sleep(server::HEARTBEAT + server::HEARTBEAT / 4).await;
    assert!(matches!(server.append(&name, &given(2)).await, server::Answer::First(2)));
    assert_eq!(quiet.await.unwrap(), [1, 2]);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_before_replay_is_noticed() {
    is_caught(Mutant::LiveBeforeReplay, "out of order").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_per_boot_is_noticed() {
    is_caught(Mutant::EpochPerBoot, "another epoch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_never_reach_the_disk_are_noticed() {
    is_caught(Mutant::NoDurability, "acknowledged events are gone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_messages_are_noticed() {
    is_caught(Mutant::SkippedMessages, "out of order").await;
}
