//! A machine with a clock that tests turn by hand.

use sandbox_sdk::gateway::machine::{Effect, Input, Machine, Notice, Now, Settings};
use serde_json::{Value, json};

pub(crate) const CHANNEL: &str = "session:s1";
pub(crate) const EPOCH: &str = "epoch-1";
/// Unix time at which every test begins, in seconds.
pub(crate) const START_S: i64 = 1_800_000_000;

pub(crate) struct Rig {
    pub(crate) machine: Machine,
    pub(crate) now: Now,
    /// Everything the machine asked for since last looked at.
    pub(crate) effects: Vec<Effect>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        url: "ws://127.0.0.1:1/session".into(),
        token: "header.payload.signature".into(),
        expires_at: None,
        session_id: "s1".into(),
        channels: Vec::new(),
        since: Some(0),
        auto_reconnect: true,
        can_refresh: true,
        persist: false,
        stored: None,
        seed: 1,
    }
}

impl Rig {
    pub(crate) fn new(settings: Settings) -> Self {
        let now = Now { mono_ms: 5_000, unix_ms: START_S * 1000 };
        Self { machine: Machine::new(settings, now), now, effects: Vec::new() }
    }

    /// A machine that the gateway has let in; the log ends where the viewer's cursor stands.
    pub(crate) fn live(settings: Settings) -> Self {
        let last_seq = settings.since.unwrap_or(0);
        let mut rig = Self::new(settings);
        rig.input(Input::Connect);
        rig.welcome(last_seq);
        rig.effects.clear();
        rig
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.effects.extend(self.machine.handle(self.now, input));
    }

    pub(crate) fn frame(&mut self, frame: &Value) {
        self.input(Input::Frame(&frame.to_string()));
    }

    pub(crate) fn welcome(&mut self, last_seq: u64) {
        self.frame(&welcome(last_seq, EPOCH));
    }

    pub(crate) fn event(&mut self, seq: u64) {
        self.frame(&event(seq));
    }

    pub(crate) fn closed(&mut self, code: u16) {
        self.input(Input::Closed { code, reason: String::new() });
    }

    /// Lets time pass, ticking whenever the machine asked for it.
    pub(crate) fn wait(&mut self, millis: u64) {
        let end = self.now.mono_ms + millis;
        let mut ticks = 0;
        while let Some(deadline) = self.machine.deadline().filter(|deadline| *deadline <= end) {
            self.advance_to(deadline);
            self.input(Input::Tick);
            ticks += 1;
            assert!(ticks < 10_000, "the machine asks for ticks without end");
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, mono_ms: u64) {
        let passed = mono_ms.saturating_sub(self.now.mono_ms);
        self.now.mono_ms += passed;
        self.now.unix_ms += passed as i64;
    }

    /// Takes the effects so far.
    pub(crate) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The frames that were to be sent, taken out.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let sent = |effect: &Effect| match effect {
            Effect::Send(text) => serde_json::from_str(text).ok(),
            _ => None,
        };
        let frames = self.effects.iter().filter_map(sent).collect();
        self.effects.retain(|effect| !matches!(effect, Effect::Send(_)));
        frames
    }

    /// The sequence numbers that were delivered, taken out.
    pub(crate) fn delivered(&mut self) -> Vec<u64> {
        let seq = |effect: &Effect| match effect {
            Effect::Notify(Notice::Event { seq, .. }) => Some(*seq),
            _ => None,
        };
        let seqs = self.effects.iter().filter_map(seq).collect();
        self.effects.retain(|effect| !matches!(effect, Effect::Notify(Notice::Event { .. })));
        seqs
    }

    pub(crate) fn notices(&self) -> Vec<&Notice> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Notify(notice) => Some(notice),
                _ => None,
            })
            .collect()
    }

    /// The URL of the last socket that was to be opened.
    pub(crate) fn opened(&self) -> Option<&str> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Open { url, .. } => Some(url.as_str()),
            _ => None,
        })
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.effects.iter().filter(|effect| **effect == Effect::RefreshToken).count()
    }
}

pub(crate) fn welcome(last_seq: u64, epoch: &str) -> Value {
    json!({"type": "connection.established", "data": {
        "connectionId": "c", "sessionId": "s1", "serverInstanceId": "i", "epoch": epoch,
        "expiresAt": 0, "heartbeatIntervalMs": 30000, "subscribed": [CHANNEL],
        "lastSeq": {CHANNEL: last_seq}, "protocol": 1
    }})
}

pub(crate) fn event(seq: u64) -> Value {
    json!({
        "type": "agent.event", "channel": CHANNEL, "seq": seq, "id": seq.to_string(),
        "timestamp": 1, "data": {"type": "test", "data": {"number": seq}}
    })
}

pub(crate) fn replay_start(since: u64, to: u64) -> Value {
    json!({
        "type": "replay.start", "channel": CHANNEL, "since": since, "from": since + 1, "to": to,
        "total": to.saturating_sub(since), "truncated": false, "oldestSeq": 1
    })
}

pub(crate) fn replay_complete(since: u64, last_seq: u64) -> Value {
    json!({
        "type": "replay.complete", "channel": CHANNEL, "since": since,
        "replayed": last_seq.saturating_sub(since), "lastSeq": last_seq, "truncated": false
    })
}
