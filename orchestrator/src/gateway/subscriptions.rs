//! What a connection listens to, and how far it has come in each.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future};
use sandbox_sdk::types::{DeniedChannel, ServerFrame};

use crate::{
    log::{Cursor, EventLog, SessionLog},
    store::{StoreError, StoredEvent},
};

/// Channels in one request. A session has three.
const MAX_CHANNELS: usize = 32;
/// Bytes of events that are sent together; also what a connection holds of them at most.
const PAGE: usize = 64 * 1024;
const SYSTEM: &str = "system";

/// The channels of one connection.
#[derive(Debug)]
pub(super) struct Subscriptions {
    logs: EventLog,
    log: Arc<SessionLog>,
    open: Vec<Subscription>,
}

#[derive(Debug)]
struct Subscription {
    channel: String,
    /// `None`: a channel on which nothing is sent in this version.
    cursor: Option<Cursor>,
    replay: Option<Replay>,
}

/// A replay that is under way: `since < seq <= until`.
#[derive(Debug)]
struct Replay {
    since: u64,
    until: u64,
    announced: bool,
}

/// What is to be sent next.
#[derive(Debug)]
pub(super) enum Next {
    Frame(ServerFrame),
    Events { channel: String, events: Vec<Arc<StoredEvent>>, replay: bool },
}

/// Answer to a wish for channels.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) channels: Vec<String>,
    pub(super) denied: Vec<DeniedChannel>,
}

impl Subscriptions {
    pub(super) fn new(logs: EventLog, log: Arc<SessionLog>) -> Self {
        Self { logs, log, open: Vec::new() }
    }

    /// Name of the session's own channel.
    pub(super) fn own(&self) -> String {
        format!("session:{}", self.log.id())
    }

    /// Opens what the token allows: the session's channel, its older name, and `system`.
    /// `since`: from where to replay, by channel; none: live events only.
    pub(super) fn subscribe(
        &mut self,
        channels: Vec<String>,
        since: impl Fn(&str) -> Option<u64>,
    ) -> Granted {
        let mut granted = Granted::default();
        for (index, channel) in channels.into_iter().enumerate() {
            let reason = if index >= MAX_CHANNELS {
                Some("too many channels")
            } else if channel.len() > 256 || !self.allows(&channel) {
                Some("the token does not open this channel")
            } else {
                None
            };
            if let Some(reason) = reason {
                // Only so many are told apart: the answer must not be larger than the wish.
                if granted.denied.len() < MAX_CHANNELS {
                    let channel = channel.chars().take(64).collect();
                    granted.denied.push(DeniedChannel { channel, reason: reason.to_owned() });
                }
                continue;
            }
            self.open(&channel, since(&channel));
            if !granted.channels.contains(&channel) {
                granted.channels.push(channel);
            }
        }
        granted
    }

    /// Closes channels; gives those that were open.
    pub(super) fn unsubscribe(&mut self, channels: &[String]) -> Vec<String> {
        let (closed, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|subscription: &Subscription| channels.contains(&subscription.channel));
        self.open = open;
        closed.into_iter().map(|subscription| subscription.channel).collect()
    }

    /// Replays an open channel again. `false`: it is not open.
    pub(super) fn replay(&mut self, channel: &str, since: u64) -> bool {
        let found = self.open.iter_mut().find(|open| open.channel == channel);
        found.map(|subscription| subscription.rewind(since)).is_some()
    }

    /// Last number of each open channel.
    pub(super) fn last_seqs(&self) -> BTreeMap<String, u64> {
        let head = |cursor: &Cursor| cursor.head().seq;
        let seq = |open: &Subscription| open.cursor.as_ref().map_or(0, head);
        self.open.iter().map(|open| (open.channel.clone(), seq(open))).collect()
    }

    /// Whether everything that the logs hold was given out.
    pub(super) fn caught_up(&self) -> bool {
        let behind = |cursor: &Cursor| cursor.at() < cursor.head().seq;
        !self.open.iter().any(|open| open.cursor.as_ref().is_some_and(behind))
    }

    /// Waits for what is to be sent next. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Result<Next, StoreError> {
        if self.open.is_empty() {
            return future::pending().await;
        }
        loop {
            for subscription in &mut self.open {
                if let Some(next) = subscription.ready().await? {
                    return Ok(next);
                }
            }
            let changes = self.open.iter_mut().map(|open| open.changed().boxed());
            future::select_all(changes).await;
        }
    }

    fn allows(&self, channel: &str) -> bool {
        let own = |prefix: &str| channel.strip_prefix(prefix) == Some(self.log.id());
        own("session:") || own("agent:") || channel == SYSTEM
    }

    fn open(&mut self, channel: &str, since: Option<u64>) {
        let found = self.open.iter().position(|open| open.channel == channel);
        let index = found.unwrap_or_else(|| {
            let end = self.log.head().seq;
            let cursor = (channel != SYSTEM).then(|| self.logs.cursor(self.log.clone(), end));
            self.open.push(Subscription { channel: channel.to_owned(), cursor, replay: None });
            self.open.len() - 1
        });
        if let (Some(since), Some(subscription)) = (since, self.open.get_mut(index)) {
            subscription.rewind(since);
        }
    }
}

impl Subscription {
    fn rewind(&mut self, since: u64) {
        if let Some(cursor) = &mut self.cursor {
            let until = cursor.head().seq;
            cursor.seek(since);
            self.replay = Some(Replay { since, until, announced: false });
        }
    }

    /// The next thing to send, if there is one now.
    async fn ready(&mut self) -> Result<Option<Next>, StoreError> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        if let Some(replay) = &mut self.replay {
            let (since, until) = (replay.since, replay.until);
            if !replay.announced {
                replay.announced = true;
                return Ok(Some(Next::Frame(ServerFrame::ReplayStart {
                    channel: self.channel.clone(),
                    since,
                    from: until.min(since.saturating_add(1)),
                    to: until,
                    total: until.saturating_sub(since),
                    truncated: false,
                    oldest_seq: until.min(1),
                })));
            }
            if cursor.at() >= until {
                self.replay = None;
                return Ok(Some(Next::Frame(ServerFrame::ReplayComplete {
                    channel: self.channel.clone(),
                    since,
                    replayed: until.saturating_sub(since),
                    last_seq: until,
                    truncated: false,
                })));
            }
        }
        let until = self.replay.as_ref().map(|replay| replay.until);
        let events = cursor.page(PAGE, until).await?;
        let replay = until.is_some();
        let channel = || self.channel.clone();
        Ok((!events.is_empty()).then(|| Next::Events { channel: channel(), events, replay }))
    }

    async fn changed(&mut self) {
        match &mut self.cursor {
            Some(cursor) => cursor.changed().await,
            None => future::pending().await,
        }
    }
}
