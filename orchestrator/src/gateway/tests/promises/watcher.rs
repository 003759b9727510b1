//! A viewer whose connection breaks off anywhere, and that sometimes does not read for a while.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use sandbox_sdk::auth::{IssueRequest, IssuerConfig, ProductTokenIssuer, Tier};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{
        SECRET,
        viewer::{Offer, Viewer},
    },
    Counters, Plan, Random, fault,
    producer::SPAN,
    server::Server,
    session,
};

/// A frame that does not come for so long was lost with the connection.
const SILENCE: Duration = Duration::from_secs(20);

/// What one viewer has seen.
struct Watcher {
    index: u64,
    seen: Vec<u64>,
    epoch: OnceLock<String>,
    counters: Arc<Counters>,
}

/// What stands under 1, 2, 3, … as a viewer saw it.
pub(super) async fn run(
    server: Server,
    index: u64,
    plan: Plan,
    mut random: Random,
    counters: Arc<Counters>,
) -> Result<(u64, Vec<u64>), String> {
    let token = token(&session(index));
    let mut watcher = Watcher { index, seen: Vec::new(), epoch: OnceLock::new(), counters };
    let mut connections = 0;
    while (watcher.seen.len() as u64) < plan.events {
        let url = format!("ws://{}/session?since={}", server.address().await, watcher.seen.len());
        let offer = Offer { receive_buffer: Some(4096), ..Offer::bearer(&token) };
        let began = Instant::now();
        let opened = Viewer::open(&url, offer).await;
        watcher.note_wait(began);
        let Ok(mut viewer) = opened else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        connections += 1;
        if connections > 1 {
            watcher.counters.reconnects.fetch_add(1, Relaxed);
        }
        let frames = 10 + random.below(plan.events);
        watcher.watch(&mut viewer, frames, plan.events, &mut random).await?;
        // Dropped without a word, often in the middle of what is being sent.
    }
    Ok((index, watcher.seen))
}

impl Watcher {
    /// Reads so many frames, or until the connection ends.
    async fn watch(
        &mut self,
        viewer: &mut Viewer,
        frames: u64,
        events: u64,
        random: &mut Random,
    ) -> Result<(), String> {
        for _ in 0..frames {
            if self.seen.len() as u64 >= events {
                return Ok(());
            }
            if random.below(20) == 0 {
                self.counters.pauses.fetch_add(1, Relaxed);
                sleep(Duration::from_millis(random.below(100))).await;
            }
            let began = Instant::now();
            let next = timeout(SILENCE, viewer.next()).await;
            self.note_wait(began);
            let Ok(Ok(frame)) = next else { return Ok(()) };
            self.look_at(&frame)?;
        }
        Ok(())
    }

    fn note_wait(&self, began: Instant) {
        if began.elapsed() > fault::STANDSTILL / 2 {
            self.counters.waits.fetch_add(1, Relaxed);
        }
    }

    fn look_at(&mut self, frame: &Value) -> Result<(), String> {
        match frame["type"].as_str() {
            Some("connection.established") => {
                let epoch = frame["data"]["epoch"].as_str().unwrap_or_default();
                let first = self.epoch.get_or_init(|| epoch.to_owned());
                if first != epoch {
                    return Err(format!("another epoch, {epoch} after {first}"));
                }
            }
            Some("replay.start") if frame["truncated"] == true => {
                return Err("a part of the log is gone".to_owned());
            }
            Some("agent.event") => {
                let after = self.seen.len() as u64;
                let seq = frame["seq"].as_u64().unwrap_or_default();
                if seq != after + 1 {
                    return Err(format!("{}: out of order: {after} -> {seq}", session(self.index)));
                }
                let number = frame["data"]["data"]["number"].as_u64().unwrap_or(u64::MAX);
                if number / SPAN != self.index {
                    return Err(format!("{}: somebody else's event", session(self.index)));
                }
                self.seen.push(number);
                if frame["replay"] == true {
                    self.counters.replayed.fetch_add(1, Relaxed);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn token(session: &str) -> String {
    let issuer = ProductTokenIssuer::new(IssuerConfig::new("skein", SECRET)).unwrap();
    let request = IssueRequest {
        user_id: "alice".to_owned(),
        session_id: session.to_owned(),
        tier: Tier::Free,
        sandbox_id: None,
    };
    issuer.issue(&request).unwrap().token
}
