//! What happens to the server while it serves.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::sleep;

use super::{Counters, Plan, server::Server};

/// How long a stopped server stands still: longer than a viewer has to answer a ping.
pub(super) const STANDSTILL: Duration = Duration::from_secs(4);
/// Appends that a full disk has to refuse.
const REFUSALS: u64 = 3;

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is killed without a word, and started again.
    Kill,
    /// It stands still for a while, as a machine that sleeps or is starved.
    Stop,
    /// No file takes a byte, until some appends were refused.
    FullDisk,
}

impl Fault {
    pub(super) fn is_kill(&self) -> bool {
        matches!(self, Self::Kill)
    }

    pub(super) fn is_stop(&self) -> bool {
        matches!(self, Self::Stop)
    }
}

/// One fault after the other, each time that another share of all events was given.
pub(super) async fn inflict(server: &Server, plan: Plan, counters: &Counters) {
    let all = plan.sessions * plan.events;
    let shares = plan.faults.len() as u64 + 1;
    for (done, fault) in (1..).zip(plan.faults) {
        while counters.given.load(Relaxed) < all * done / shares {
            sleep(Duration::from_millis(5)).await;
        }
        match fault {
            Fault::Kill => {
                server.kill().await;
                counters.kills.fetch_add(1, Relaxed);
                server.start().await;
            }
            Fault::Stop => {
                server.stop().await;
                counters.stops.fetch_add(1, Relaxed);
                sleep(STANDSTILL).await;
                server.resume().await;
            }
            Fault::FullDisk => {
                let before = counters.refused.load(Relaxed);
                server.set_file_limit(Some(0)).await;
                while counters.refused.load(Relaxed) < before + REFUSALS {
                    assert!(counters.given.load(Relaxed) < all, "nobody had anything left to give");
                    sleep(Duration::from_millis(5)).await;
                }
                server.set_file_limit(None).await;
                counters.fillings.fetch_add(1, Relaxed);
            }
        }
    }
}
