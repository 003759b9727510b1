//! What a connection listens to, and how far it has come in each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{FutureExt, future};
use sandbox_sdk::types::{DeniedChannel, ServerFrame};

use super::authority::Authority;
use crate::{
    log::{Cursor, EventLog, Life, Page, SessionLog},
    store::{StoreError, StoredEvent},
};

/// Channels in one request, and on one connection. A session has three.
const MAX_CHANNELS: usize = 32;
/// Bytes of events that are sent together; also what a connection holds of them at most.
const PAGE: usize = 64 * 1024;

/// The channels of one connection.
#[derive(Debug)]
pub(super) struct Subscriptions {
    logs: EventLog,
    authority: Authority,
    open: Vec<Subscription>,
}

#[derive(Debug)]
struct Subscription {
    channel: String,
    /// `None`: a channel on which nothing is sent in this version.
    cursor: Option<Cursor>,
    replay: Option<Replay>,
}

/// A replay that is under way: `since < seq <= until`, of which the events up to `cut` are gone.
#[derive(Debug)]
struct Replay {
    since: u64,
    cut: u64,
    until: u64,
    announced: bool,
}

impl Replay {
    fn is_truncated(&self) -> bool {
        self.since < self.cut
    }

    /// Number of the event before the first that is replayed.
    fn begin(&self) -> u64 {
        self.since.max(self.cut)
    }

    fn total(&self) -> u64 {
        self.until.saturating_sub(self.begin())
    }
}

/// What is to be sent next.
#[derive(Debug)]
pub(super) enum Next {
    Frame(ServerFrame),
    Events { channel: String, events: Vec<Arc<StoredEvent>>, replay: bool },
}

/// Answer to a wish for channels, or to be rid of them.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) channels: Vec<String>,
    pub(super) denied: Vec<DeniedChannel>,
}

impl Granted {
    fn deny(&mut self, channel: &str, reason: &str) {
        // Only so many are told apart: the answer must not be larger than the wish.
        if self.denied.len() < MAX_CHANNELS {
            let channel = channel.chars().take(64).collect();
            self.denied.push(DeniedChannel { channel, reason: reason.to_owned() });
        }
    }
}

impl Subscriptions {
    pub(super) fn new(logs: EventLog, authority: Authority) -> Self {
        Self { logs, authority, open: Vec::new() }
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Opens what the token allows. A pattern stands for the channels that there are now.
    /// `since`: from where to replay, by channel; none: live events only.
    pub(super) async fn subscribe(
        &mut self,
        channels: Vec<String>,
        since: impl Fn(&str) -> Option<u64>,
    ) -> Result<Granted, StoreError> {
        let mut granted = Granted::default();
        let mut seen = BTreeSet::new();
        for (index, wish) in channels.into_iter().enumerate() {
            // A pattern is looked up once, and only where there is room for what it may stand for.
            let is_full = self.open.len() >= MAX_CHANNELS && wish.contains('*');
            if index >= MAX_CHANNELS || is_full {
                granted.deny(&wish, "too many channels");
                continue;
            }
            if !seen.insert(wish.clone()) {
                continue;
            }
            let matching = self.authority.matching(&self.logs, &wish, MAX_CHANNELS).await?;
            let Some(matching) = matching else {
                granted.deny(&wish, "the token does not open this channel");
                continue;
            };
            for (channel, log) in matching {
                let since = since(&channel);
                if !self.open(&channel, log, since) {
                    granted.deny(&channel, "too many channels");
                } else if !granted.channels.contains(&channel) {
                    granted.channels.push(channel);
                }
            }
        }
        Ok(granted)
    }

    /// Closes channels; those that were not open can't be closed.
    pub(super) fn unsubscribe(&mut self, channels: &[String]) -> Granted {
        let (closed, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|subscription: &Subscription| channels.contains(&subscription.channel));
        self.open = open;
        let mut granted = Granted::default();
        granted.channels.extend(closed.into_iter().map(|subscription| subscription.channel));
        for channel in channels {
            if !granted.channels.contains(channel) {
                granted.deny(channel, "this channel is not subscribed");
            }
        }
        granted
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

    /// Names the lives of what is shown: what a session is mapped to has numbers of its own.
    pub(super) fn epoch(&self) -> String {
        let runtimes: BTreeSet<_> = self.open.iter().filter_map(Subscription::runtime).collect();
        let own = self.logs.epoch().to_owned();
        runtimes.into_iter().fold(own, |epoch, key| format!("{epoch}.{key}"))
    }

    /// Whether everything that the logs hold was given out.
    pub(super) fn caught_up(&self) -> bool {
        !self.open.iter().any(Subscription::is_behind)
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

    /// `false`: the connection has as many as it may.
    fn open(&mut self, channel: &str, log: Option<Arc<SessionLog>>, since: Option<u64>) -> bool {
        // A deleted session takes no place, and its name may be another's by now.
        self.open.retain(|open| {
            let is_told = open.replay.is_none() && !open.is_behind();
            !open.is_deleted() || (open.channel != channel && !is_told)
        });
        // One that is mapped elsewhere meanwhile begins anew.
        self.open.retain(|open| open.channel != channel || open.shows(log.as_ref()));
        let found = self.open.iter().position(|open| open.channel == channel);
        let index = match found {
            Some(index) => index,
            None if self.open.len() >= MAX_CHANNELS => return false,
            None => {
                let cursor = log.map(|log| {
                    let end = log.head().seq;
                    self.logs.cursor(log, end)
                });
                self.open.push(Subscription { channel: channel.to_owned(), cursor, replay: None });
                self.open.len() - 1
            }
        };
        if let (Some(since), Some(subscription)) = (since, self.open.get_mut(index)) {
            subscription.rewind(since);
        }
        true
    }
}

impl Subscription {
    fn shows(&self, log: Option<&Arc<SessionLog>>) -> bool {
        match (&self.cursor, log) {
            (Some(cursor), Some(log)) => Arc::ptr_eq(cursor.log(), log),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The log of another session than the channel is called after.
    fn runtime(&self) -> Option<i64> {
        let log = self.cursor.as_ref()?.log();
        let (kind, id) = self.channel.split_once(':')?;
        if kind == "project" || log.id() == id { None } else { log.key() }
    }

    fn is_deleted(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.head().life == Life::Deleted)
    }

    fn is_behind(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.at() < cursor.head().seq)
    }

    fn rewind(&mut self, since: u64) {
        if let Some(cursor) = &mut self.cursor {
            let head = cursor.head();
            let replay = Replay { since, cut: head.cut, until: head.seq, announced: false };
            cursor.seek(replay.begin());
            self.replay = Some(replay);
        }
    }

    /// The next thing to send, if there is one now.
    async fn ready(&mut self) -> Result<Option<Next>, StoreError> {
        loop {
            if let Some(frame) = self.replay_frame() {
                return Ok(Some(Next::Frame(frame)));
            }
            let Some(cursor) = &mut self.cursor else { return Ok(None) };
            let until = self.replay.as_ref().map(|replay| replay.until);
            let before = cursor.at();
            match cursor.page(PAGE, until).await? {
                // It was behind when this was cut off: what is left is replayed, and says so.
                Page::Cut { after, .. } => self.rewind(after),
                Page::Events(events) if events.is_empty() && cursor.at() == before => {
                    return Ok(None);
                }
                Page::Events(events) => {
                    if events.is_empty() {
                        // The rest of a deleted session is nowhere: its replay never completes.
                        self.replay = None;
                    }
                    let (channel, replay) = (self.channel.clone(), until.is_some());
                    return Ok(Some(Next::Events { channel, events, replay }));
                }
            }
        }
    }

    /// What is to be said of a replay before its events, or after them.
    fn replay_frame(&mut self) -> Option<ServerFrame> {
        let (cursor, replay) = (self.cursor.as_ref()?, self.replay.as_mut()?);
        let (channel, since, until) = (self.channel.clone(), replay.since, replay.until);
        let truncated = replay.is_truncated();
        if !replay.announced {
            replay.announced = true;
            return Some(ServerFrame::ReplayStart {
                channel,
                since,
                from: until.min(replay.begin().saturating_add(1)),
                to: until,
                total: replay.total(),
                truncated,
                // Where all events are cut off it is the next one.
                oldest_seq: if replay.cut == 0 { until.min(1) } else { replay.cut + 1 },
            });
        }
        if cursor.at() < until {
            return None;
        }
        let replayed = replay.total();
        self.replay = None;
        Some(ServerFrame::ReplayComplete { channel, since, replayed, last_seq: until, truncated })
    }

    async fn changed(&mut self) {
        match &mut self.cursor {
            Some(cursor) => cursor.changed().await,
            None => future::pending().await,
        }
    }
}
