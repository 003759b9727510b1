//! What the gateway sends.

use super::{Backpressure, MAX_RETRY_HINT_MS, Machine, Notice, Reset, link::Link, model::Effect};
use crate::types::{AgentEventFrame, ClientFrame, Connected, DeniedChannel, Event, ServerFrame};

impl Machine {
    pub(super) fn frame(&mut self, text: &str) {
        if !matches!(self.link, Link::Opening { .. } | Link::Live { .. }) {
            return;
        }
        self.heard();
        // Bytes, like the bodies of HTTP answers: a page that reads both needs one JSON reader.
        match serde_json::from_slice(text.as_bytes()) {
            Ok(frame) => self.take_frame(frame),
            Err(_) => self.error("a frame cannot be read", "BAD_FRAME"),
        }
    }

    fn take_frame(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Established { data } => self.established(data),
            ServerFrame::AgentEvent(frame) => self.agent_event(*frame),
            ServerFrame::Subscribed { denied, .. } => self.denied(denied),
            ServerFrame::ReplayStart {
                channel, since, to, total, truncated, oldest_seq, ..
            } => {
                self.replay_start(channel, since, to, total, truncated.then_some(oldest_seq));
            }
            ServerFrame::ReplayComplete { channel, last_seq, .. } => {
                self.replay_complete(channel, last_seq);
            }
            ServerFrame::Backpressure {
                channel,
                dropped,
                since,
                total_dropped,
                suggest_replay,
                ..
            } => {
                if suggest_replay {
                    self.ask_replay(&channel, Some(since));
                }
                let warning = Backpressure { channel, dropped, total_dropped, since };
                self.notify(Notice::Backpressure(warning));
            }
            ServerFrame::TokenExpiring { expires_at, .. } => {
                self.token_ends_at(expires_at);
                self.token_expiring();
            }
            ServerFrame::TokenUpdated { expires_at } => self.token_ends_at(expires_at),
            ServerFrame::Ping { timestamp } => self.send(&ClientFrame::Pong { timestamp }),
            ServerFrame::Error { code, message, .. } => {
                self.notify(Notice::Error { message, code: Some(code) });
            }
            ServerFrame::Draining { retry_after_ms } => {
                self.retry_hint_ms = Some(retry_after_ms.min(MAX_RETRY_HINT_MS));
            }
            // `token.expired` announces close 4401, which says the same.
            ServerFrame::TokenExpired
            | ServerFrame::Unsubscribed { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Other(_) => {}
        }
    }

    fn established(&mut self, data: Connected) {
        if self.is_live() {
            return;
        }
        self.went_live();
        let epoch_changed = self.epoch.as_ref().is_some_and(|epoch| *epoch != data.epoch)
            || (self.epoch.is_none() && self.is_ahead_of(&data));
        self.epoch = Some(data.epoch.clone());
        if data.expires_at > 0 {
            self.token_ends_at(data.expires_at);
        }
        let denied = data.denied.clone();
        let last_seq = data.last_seq.clone();
        self.notify(Notice::Connected(Box::new(data)));
        if epoch_changed {
            for channel in self.channels.values_mut() {
                channel.restart();
            }
            self.effects.push(Effect::Forget);
            self.notify(Notice::Reset(Reset::EpochChanged));
        }
        for (name, channel) in &mut self.channels {
            channel.reconnected();
            if let Some(last_seq) = last_seq.get(name) {
                channel.begin_at(*last_seq);
                channel.saw_head(*last_seq);
            }
            if !epoch_changed {
                // The cursor went with the connection: what is missing is on its way.
                channel.replaying(self.now.mono_ms);
            }
        }
        self.note_progress();
        self.denied(denied);
    }

    /// A cursor beyond the end of the log is of another log, even if we never learnt its name.
    fn is_ahead_of(&self, data: &Connected) -> bool {
        self.channels.iter().any(|(name, channel)| {
            data.last_seq.get(name).is_some_and(|last_seq| channel.is_ahead_of(*last_seq))
        })
    }

    fn denied(&mut self, denied: Vec<DeniedChannel>) {
        for DeniedChannel { channel, reason } in denied {
            self.error(format!("{channel}: {reason}"), "CHANNEL_DENIED");
        }
    }

    fn agent_event(&mut self, frame: AgentEventFrame) {
        let AgentEventFrame { channel: name, seq, data, .. } = frame;
        let now = self.now.mono_ms;
        let Some(channel) = self.channels.get_mut(&name) else { return };
        let mut ready = Vec::new();
        if !channel.offer(seq, data, now, &mut ready) {
            self.stats.duplicates += 1;
        }
        self.deliver(&name, ready);
    }

    fn deliver(&mut self, name: &str, ready: Vec<(u64, Event)>) {
        if ready.is_empty() {
            return;
        }
        // What brought something new was worth its connection.
        self.attempts = 0;
        self.stats.delivered += ready.len() as u64;
        for (seq, event) in ready {
            self.notify(Notice::Event { channel: name.to_owned(), event, seq });
        }
        self.note_progress();
    }

    fn replay_start(
        &mut self,
        name: String,
        since: u64,
        to: u64,
        total: u64,
        truncated_to: Option<u64>,
    ) {
        let now = self.now.mono_ms;
        let Some(channel) = self.channels.get_mut(&name) else { return };
        channel.saw_head(to);
        channel.replaying(now);
        let mut ready = Vec::new();
        let truncated = truncated_to.filter(|oldest| channel.truncate(*oldest, &mut ready));
        self.notify(Notice::ReplayStart { channel: name.clone(), since, total });
        if let Some(oldest_seq) = truncated {
            self.notify(Notice::Reset(Reset::Truncated { channel: name.clone(), oldest_seq }));
        }
        self.deliver(&name, ready);
    }

    fn replay_complete(&mut self, name: String, last_seq: u64) {
        let now = self.now.mono_ms;
        let Some(channel) = self.channels.get_mut(&name) else { return };
        channel.saw_head(last_seq);
        channel.replayed(now);
        self.notify(Notice::ReplayComplete { channel: name, last_seq });
    }
}
