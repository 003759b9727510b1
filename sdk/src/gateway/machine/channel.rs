//! The sequence numbers of one channel: what was delivered, what is held back, what is missing.

use std::collections::BTreeMap;

use super::REPLAY_PATIENCE_MS;
use crate::types::Event;

/// Most events held back behind a gap. What comes beyond is asked for again once the gap is closed.
const MAX_HELD: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Everything up to here was delivered, or known before. `None` until the first number is known.
    at: Option<u64>,
    /// Where `at` began.
    floor: u64,
    /// `at` when the connection was opened.
    cursor: Option<u64>,
    /// Came already, but something before them has not.
    held: BTreeMap<u64, Event>,
    /// Highest number known to exist.
    head: u64,
    /// When a replay was asked for, or last gave something.
    asked_at: Option<u64>,
    /// How often it was asked for without getting anything.
    tries: u32,
}

impl Channel {
    pub(super) fn new(at: Option<u64>) -> Self {
        Self { at, floor: at.unwrap_or(0), ..Self::default() }
    }

    pub(super) fn at(&self) -> Option<u64> {
        self.at
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// A connection is being opened: from here on the gateway will replay.
    pub(super) fn opening(&mut self) {
        self.cursor = self.at;
    }

    /// Whether the cursor we came with lies beyond the end of the gateway's log.
    pub(super) fn is_ahead_of(&self, last_seq: u64) -> bool {
        self.cursor.is_some_and(|cursor| cursor > last_seq)
    }

    /// Notes how far the gateway's log goes.
    pub(super) fn saw_head(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// Begins at a number, unless it is known where we stand.
    pub(super) fn begin_at(&mut self, at: u64) {
        if self.at.is_none() {
            self.at = Some(at);
            self.floor = at;
        }
    }

    /// Takes an event, and adds to `ready` what can be delivered now. `false`: the event was known.
    pub(super) fn offer(
        &mut self,
        seq: u64,
        event: Event,
        now: u64,
        ready: &mut Vec<(u64, Event)>,
    ) -> bool {
        self.saw_head(seq);
        self.begin_at(seq.saturating_sub(1));
        if self.asked_at.is_some() {
            self.asked_at = Some(now);
        }
        let at = self.at.unwrap_or(0);
        if seq <= at || self.held.contains_key(&seq) {
            return false;
        }
        if seq == at + 1 {
            self.at = Some(seq);
            ready.push((seq, event));
            self.drain(ready);
            self.tries = 0;
        } else if self.held.len() < MAX_HELD {
            self.held.insert(seq, event);
        }
        if self.lacks_after().is_none() {
            self.asked_at = None;
        }
        true
    }

    fn drain(&mut self, ready: &mut Vec<(u64, Event)>) {
        while let Some(next) = self.at.map(|at| at + 1)
            && let Some(event) = self.held.remove(&next)
        {
            self.at = Some(next);
            ready.push((next, event));
        }
    }

    /// Goes back to `since` if that is before where we began.
    pub(super) fn rewind(&mut self, since: u64) {
        if self.at.is_none() || since < self.floor {
            *self = Self { head: self.head, ..Self::new(Some(since)) };
        }
    }

    /// Events before `oldest` are gone; `true`: some of them were still wanted.
    pub(super) fn truncate(&mut self, oldest: u64, ready: &mut Vec<(u64, Event)>) -> bool {
        let last_gone = oldest.saturating_sub(1);
        let hit = self.at.is_some_and(|at| at < last_gone);
        if hit {
            self.at = Some(last_gone);
            self.held = self.held.split_off(&oldest);
            self.drain(ready);
        }
        hit
    }

    /// Forgets everything: the log begins anew with 1.
    pub(super) fn restart(&mut self) {
        *self = Self::new(Some(0));
    }

    /// The number after which something is missing.
    pub(super) fn lacks_after(&self) -> Option<u64> {
        self.at.filter(|at| *at < self.head)
    }

    /// A replay was asked for.
    pub(super) fn asked(&mut self, now: u64) {
        self.asked_at = Some(now);
        self.tries += 1;
    }

    /// A replay is on its way without our asking.
    pub(super) fn replaying(&mut self, now: u64) {
        if self.lacks_after().is_some() {
            self.asked_at = Some(now);
        }
    }

    /// A replay has ended. If it gave nothing, the next one is asked for after a while only.
    pub(super) fn replayed(&mut self, now: u64) {
        self.asked_at = (self.tries > 0 && self.lacks_after().is_some()).then_some(now);
    }

    /// A new connection: no replay is under way on it.
    pub(super) fn reconnected(&mut self) {
        self.asked_at = None;
        self.tries = 0;
    }

    pub(super) fn wants_replay(&self, now: u64) -> bool {
        self.lacks_after().is_some()
            && self.asked_at.is_none_or(|at| now >= at + REPLAY_PATIENCE_MS)
    }

    /// When the patience for a replay ends.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.lacks_after()?;
        Some(self.asked_at? + REPLAY_PATIENCE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event { kind: "x".into(), data: serde_json::Map::new() }
    }

    fn offer(channel: &mut Channel, seq: u64) -> Vec<u64> {
        let mut ready = Vec::new();
        channel.offer(seq, event(), 0, &mut ready);
        ready.into_iter().map(|(seq, _)| seq).collect()
    }

    #[test]
    fn events_beyond_a_gap_wait_until_it_is_closed() {
        let mut channel = Channel::new(Some(0));
        assert_eq!(offer(&mut channel, 1), [1]);
        assert!(offer(&mut channel, 3).is_empty());
        assert!(offer(&mut channel, 4).is_empty());
        assert_eq!(channel.lacks_after(), Some(1));
        assert_eq!(offer(&mut channel, 2), [2, 3, 4]);
        assert_eq!((channel.lacks_after(), channel.held()), (None, 0));
    }

    #[test]
    fn no_more_than_a_hundred_thousand_events_are_held_back() {
        let mut channel = Channel::new(Some(0));
        for seq in 2..MAX_HELD as u64 + 100 {
            offer(&mut channel, seq);
        }
        assert_eq!(channel.held(), MAX_HELD);
        let ready = offer(&mut channel, 1);
        assert_eq!(ready.len(), MAX_HELD + 1);
        assert_eq!(channel.lacks_after(), Some(MAX_HELD as u64 + 1));
    }

    #[test]
    fn without_a_cursor_the_first_event_is_the_beginning() {
        let mut channel = Channel::new(None);
        assert_eq!(offer(&mut channel, 7), [7]);
        assert!(offer(&mut channel, 6).is_empty());
        channel.rewind(5);
        assert_eq!(offer(&mut channel, 6), [6]);
        assert_eq!(offer(&mut channel, 7), [7]);
    }
}
