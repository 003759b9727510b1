//! Takes out of the outbox what is due, and sends it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

use super::{
    schedule,
    target::{Answer, Target},
};
use crate::{
    clock::{WallClock, now_ms},
    metrics::WebhookFigures,
    store::{Store, StoreError, WebhookRow},
    traces::TARGET,
};

/// Webhooks under way at once, each of another session.
const PARALLEL: usize = 8;
/// Pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked for what is too old.
const SWEEP: Duration = Duration::from_secs(3600);

/// Sends the webhooks of an outbox.
#[derive(Debug)]
pub(super) struct Courier {
    target: Target,
    store: Store,
    figures: WebhookFigures,
    wall: WallClock,
}

/// Webhooks that are being sent.
#[derive(Default)]
struct UnderWay {
    tries: FuturesUnordered<BoxFuture<'static, i64>>,
    keys: HashSet<i64>,
    /// The clock was set, and those that wait do not know yet.
    to_recall: bool,
}

impl Courier {
    pub(super) fn new(target: Target, store: Store, figures: WebhookFigures) -> Self {
        Self { target, store, figures, wall: WallClock::default() }
    }

    /// Sends what is due and what becomes due. Once it is closing, ends when nothing is due.
    pub(super) async fn run(self: Arc<Self>, wake: Arc<Notify>, closing: CancellationToken) {
        let mut under_way = UnderWay::default();
        let mut sweep = Instant::now() + SWEEP;
        loop {
            if Instant::now() >= sweep {
                self.sweep().await;
                sweep = Instant::now() + SWEEP;
            }
            let pause = self.send_due(&mut under_way).await.unwrap_or_else(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the webhooks to send could not be read"
                );
                DATABASE_PAUSE
            });
            let is_closing = closing.is_cancelled();
            if is_closing && under_way.keys.is_empty() {
                return;
            }
            tokio::select! {
                Some(key) = under_way.tries.next(), if !under_way.keys.is_empty() => {
                    under_way.keys.remove(&key);
                }
                () = wake.notified() => {}
                () = closing.cancelled(), if !is_closing => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Begins with what is due, as far as there is room. Gives the time after which more may be due.
    async fn send_due(self: &Arc<Self>, under_way: &mut UnderWay) -> Result<Duration, StoreError> {
        // When the others are due was said by a clock that is none any more.
        under_way.to_recall |= self.wall.is_set_anew();
        let now = now_ms();
        if under_way.to_recall {
            self.store.recall_webhooks(now).await?;
            under_way.to_recall = false;
        }
        // What is under way still counts as due: so many rows fill the room in any case.
        for row in self.store.due_webhooks(now, PARALLEL as u32).await? {
            if under_way.keys.len() < PARALLEL && under_way.keys.insert(row.key) {
                under_way.tries.push(self.clone().send(row).boxed());
            }
        }
        let next = self.store.next_webhook(now).await?;
        let until = |due: i64| Duration::from_millis(due.saturating_sub(now).unsigned_abs());
        Ok(next.map_or(SWEEP, until).min(SWEEP))
    }

    /// Sends a webhook once, and notes what came of it. Gives its key back.
    async fn send(self: Arc<Self>, row: WebhookRow) -> i64 {
        let (key, turn, tries) = (row.key, &row.turn_id, row.tries());
        let traced = tracing::info_span!(
            target: TARGET,
            "webhook.delivery",
            webhook.outcome = Empty,
            failed = Empty,
        );
        let answer = self.target.send(row.body).instrument(traced.clone()).await;
        let now = now_ms();
        let (outcome, due_at) = match answer {
            Answer::Taken => ("delivered", None),
            Answer::Refused(status) => {
                tracing::warn!(turn, %status, "webhook refused for good");
                ("refused", None)
            }
            Answer::NotNow(_) if row.created_at < schedule::oldest(now) => {
                tracing::warn!(turn, "webhook given up: it was not taken for a day");
                ("given_up", None)
            }
            Answer::NotNow(asked) => {
                if schedule::is_late(tries) {
                    tracing::warn!(turn, "webhook not delivered yet; it is tried for a day");
                }
                let pause = schedule::pause(tries, asked, thousandths());
                ("retried", Some(now.saturating_add(millis(pause))))
            }
        };
        traced.record("webhook.outcome", outcome);
        traced.record("failed", outcome != "delivered");
        drop(traced);
        self.note(key, due_at).await;
        self.figures.tried(outcome, 1);
        key
    }

    /// Writes what came of a try, for as long as it takes: what was taken must not be sent for ever.
    async fn note(&self, key: i64, due_at: Option<i64>) {
        loop {
            let noted = match due_at {
                Some(due_at) => self.store.delay_webhook(key, due_at).await,
                None => self.store.forget_webhook(key).await,
            };
            let Err(error) = noted else { return };
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what came of a webhook could not be written"
            );
            sleep(DATABASE_PAUSE).await;
        }
    }

    /// Gives up what is too old. A clock that was set back must not make anything wait for longer.
    async fn sweep(&self) {
        let now = now_ms();
        let swept = async {
            let given_up = self.store.forget_webhooks_before(schedule::oldest(now)).await?;
            self.store.recall_webhooks(now.saturating_add(millis(schedule::LONGEST))).await?;
            Ok::<_, StoreError>(given_up)
        };
        match swept.await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(count, "webhooks given up: they were not taken for a day");
                self.figures.tried("given_up", count);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "webhooks that are too old could not be given up"
                );
            }
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Chance, below 1000: the last bits of these ids are random.
fn thousandths() -> u32 {
    u32::try_from(uuid::Uuid::now_v7().as_u128() % 1000).unwrap_or(0)
}
