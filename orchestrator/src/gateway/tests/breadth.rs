//! Many chats and many viewers at once: each sees its own, all of it, once.

use std::{sync::Arc, time::Instant};

use futures::future::join_all;

use super::Stage;
use crate::log::tests::event;

/// Events of a session have numbers of their own.
const SPAN: usize = 1_000_000;
/// Bytes beside the frame, as a delta of a few words has.
const SIZE: usize = 100;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub(super) sessions: usize,
    /// Of all sessions together.
    pub(super) viewers: usize,
    /// Of each session.
    pub(super) events: usize,
}

impl Crowd {
    /// Events that all viewers get together.
    fn deliveries(self) -> usize {
        self.viewers * self.events
    }

    /// The viewer's session; all have about as many.
    fn session_of(self, viewer: usize) -> usize {
        viewer % self.sessions
    }

    /// Gives a session's events, a few at once. The list: what stands under 1, 2, 3, ….
    async fn produce(self, stage: Arc<Stage>, session: usize) -> Vec<u64> {
        let log = stage.session(&name(session)).await;
        let mut list = Vec::with_capacity(self.events);
        while list.len() < self.events {
            let known = list.len();
            let count = (1 + (known + session) % 5).min(self.events - known);
            let numbers = (known..known + count).map(|number| session * SPAN + number);
            let events = numbers.clone().map(|number| event(number, SIZE)).collect();
            let (first, _) = stage.bench.append(&log, events).await;
            assert_eq!(first, known as u64 + 1);
            list.extend(numbers.map(|number| number as u64));
        }
        list
    }

    /// What a viewer sees under 1, 2, 3, …. Every other one comes back half-way.
    async fn watch(self, stage: Arc<Stage>, viewer: usize) -> Vec<u64> {
        let session = name(self.session_of(viewer));
        let mut seen = Vec::with_capacity(self.events);
        let first = if viewer.is_multiple_of(2) { self.events } else { self.events / 2 };
        for until in [first, self.events] {
            if seen.len() == until {
                continue;
            }
            let mut socket = stage.viewer(&session, &format!("since={}", seen.len())).await;
            while seen.len() < until {
                let frame = socket.next().await.unwrap_or_else(|code| panic!("closed: {code}"));
                if frame["type"] == "agent.event" {
                    assert_eq!(frame["seq"].as_u64(), Some(seen.len() as u64 + 1));
                    seen.push(frame["data"]["data"]["number"].as_u64().unwrap());
                }
            }
        }
        seen
    }

    /// Runs it. Every viewer's list is its producer's. Gives the events a second that reached viewers.
    pub(super) async fn run(self, stage: &Arc<Stage>) -> f64 {
        for session in 0..self.sessions {
            stage.session(&name(session)).await;
        }
        let started = Instant::now();
        let watching =
            (0..self.viewers).map(|viewer| tokio::spawn(self.watch(stage.clone(), viewer)));
        let watching: Vec<_> = watching.collect();
        let producing =
            (0..self.sessions).map(|session| tokio::spawn(self.produce(stage.clone(), session)));
        let given: Vec<_> = join_all(producing).await.into_iter().map(Result::unwrap).collect();
        let seen = join_all(watching).await;
        let rate = self.deliveries() as f64 / started.elapsed().as_secs_f64();
        assert_eq!(seen.len(), self.viewers);
        for (viewer, seen) in seen.into_iter().enumerate() {
            let session = self.session_of(viewer);
            assert!(seen.unwrap() == given[session], "viewer {viewer} of {}", name(session));
        }
        rate
    }
}

fn name(session: usize) -> String {
    format!("crowd-{session}")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_viewers_of_fifty_chats_see_their_own_and_nothing_else() {
    let stage = Arc::new(Stage::new().await);
    let crowd = Crowd { sessions: 50, viewers: 200, events: 60 };
    let rate = crowd.run(&stage).await;
    println!("{rate:.0} events a second");
    stage.viewers_are(0).await;
}
