//! What the gateway promises, against a producer that knows what it gave: a process of its own is killed without a
//! word again and again, connections break off anywhere, some viewers are slow. Every viewer must end with exactly the
//! producer's list. A run that did not go through all of that proves nothing, and fails.

mod producer;
mod server;
mod watcher;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use crate::mutants::Mutant;
use server::Server;

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
    kills: u64,
}

/// What happened on the way.
#[derive(Debug, Default)]
struct Counters {
    given: AtomicU64,
    kills: AtomicU64,
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
    let killing = kill_again_and_again(&server, plan, &counters);
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
        // A broken promise ends the run; otherwise all kills have to happen as well.
        let mut killing = std::pin::pin!(killing);
        let mut judged = std::pin::pin!(judged);
        tokio::select! {
            () = &mut killing => judged.await,
            verdict = &mut judged => {
                verdict?;
                killing.await;
                Ok(())
            }
        }
    };
    let verdict = timeout(PATIENCE, both).await.unwrap_or_else(|_| Err("it never ends".to_owned()));
    server.kill().await;
    verdict.map_err(|broken| format!("{broken} (seed {seed})"))?;
    // The watchers hold the other shares until their tasks are gone.
    drop((producers, watchers));
    Ok(Arc::into_inner(counters).unwrap())
}

/// Kills the server each time that another share of all events was given.
async fn kill_again_and_again(server: &Server, plan: Plan, counters: &Counters) {
    let all = plan.sessions * plan.events;
    for kill in 1..=plan.kills {
        while counters.given.load(Relaxed) < all * kill / (plan.kills + 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill().await;
        counters.kills.fetch_add(1, Relaxed);
        server.start().await;
    }
}

async fn holds(plan: Plan) {
    let counters = run(plan, None).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{counters:?}");
    assert_eq!(counters.kills.into_inner(), plan.kills);
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
    let plan = Plan { sessions: 2, viewers: 6, events: 400, kills: 2 };
    match run(plan, Some(mutant)).await {
        Ok(counters) => panic!("{mutant:?} went unnoticed: {counters:?}"),
        Err(broken) => assert!(broken.contains(words), "{mutant:?}: {broken}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_chats_come_through_two_kills() {
    holds(Plan { sessions: 20, viewers: 5, events: 200, kills: 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_viewers_of_one_chat_come_through_three_kills() {
    holds(Plan { sessions: 1, viewers: 100, events: 300, kills: 3 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_viewer_comes_through_a_kill_every_fifty_events() {
    holds(Plan { sessions: 1, viewers: 1, events: 400, kills: 7 }).await;
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
