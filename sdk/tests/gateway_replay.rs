//! Whatever a network does to the frames, a viewer gets exactly the log: each event once and in order.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/rig.rs"]
#[allow(dead_code)]
mod rig;

use std::collections::VecDeque;

use proptest::prelude::*;
use rig::{Rig, event, replay_complete, replay_start, settings, welcome};
use sandbox_sdk::gateway::machine::{Effect, Input, Notice, Settings};
use serde_json::Value;

/// What may happen between a gateway and its viewer.
#[derive(Clone, Debug)]
enum Happening {
    /// The agent says something.
    Append(u8),
    /// Frames arrive.
    Deliver(u8),
    /// A frame on its way is there twice.
    Duplicate(prop::sample::Index),
    /// Two frames on their way change places.
    Swap(prop::sample::Index, prop::sample::Index),
    /// The connection breaks; what was on its way is lost.
    Cut,
    /// Time passes: the viewer gives up, pings, comes back.
    Wait(u32),
    /// The application asks on its own.
    AskReplay(u8),
    /// The network may be back.
    Nudge,
    /// The page is loaded again and goes on from the stored cursor.
    Reload,
}

fn happening() -> impl Strategy<Value = Happening> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (1..6_u8).prop_map(Happening::Append),
        6 => (1..8_u8).prop_map(Happening::Deliver),
        2 => index().prop_map(Happening::Duplicate),
        3 => (index(), index()).prop_map(|(a, b)| Happening::Swap(a, b)),
        1 => Just(Happening::Cut),
        2 => (0..40_000_u32).prop_map(Happening::Wait),
        1 => any::<u8>().prop_map(Happening::AskReplay),
        1 => Just(Happening::Nudge),
        1 => Just(Happening::Reload),
    ]
}

/// An honest gateway, the network, and one viewer.
struct World {
    rig: Rig,
    log: u64,
    connected: bool,
    /// Frames on their way to the viewer.
    network: VecDeque<Value>,
    received: Vec<u64>,
    stored: Option<String>,
}

impl World {
    fn new() -> Self {
        let rig = Rig::new(Settings { persist: true, ..settings() });
        let mut world = Self {
            rig,
            log: 0,
            connected: false,
            network: VecDeque::new(),
            received: Vec::new(),
            stored: None,
        };
        world.input(Input::Connect);
        world
    }

    fn input(&mut self, input: Input<'_>) {
        self.rig.input(input);
        self.carry_out();
    }

    /// What the viewer asks for while time passes is carried out between its ticks.
    fn wait(&mut self, millis: u64) {
        let end = self.rig.now.mono_ms + millis;
        loop {
            let next = self.rig.machine.deadline().filter(|at| *at <= end).unwrap_or(end);
            let pause = next.saturating_sub(self.rig.now.mono_ms);
            self.rig.wait(pause);
            self.carry_out();
            if next == end {
                return;
            }
        }
    }

    fn carry_out(&mut self) {
        for effect in self.rig.take() {
            match effect {
                Effect::Open { url, .. } => self.opened(&url),
                Effect::Close { .. } => self.disconnected(),
                Effect::Send(text) => self.answer(&serde_json::from_str(&text).unwrap()),
                Effect::Persist(text) => self.stored = Some(text),
                Effect::Forget => self.stored = None,
                Effect::Notify(Notice::Event { seq, event, .. }) => {
                    assert_eq!(event.data["number"], seq);
                    assert_eq!(seq, self.received.len() as u64 + 1, "out of order");
                    self.received.push(seq);
                }
                Effect::Notify(Notice::Reset(reset)) => panic!("{reset:?}"),
                Effect::Notify(_) | Effect::RefreshToken => {}
            }
        }
    }

    fn opened(&mut self, url: &str) {
        self.connected = true;
        self.network.clear();
        self.network.push_back(welcome(self.log, rig::EPOCH));
        if let Some((_, since)) = url.split_once("&since=") {
            self.replay(since.parse().unwrap());
        }
    }

    fn disconnected(&mut self) {
        self.connected = false;
        self.network.clear();
    }

    fn answer(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "replay" => self.replay(frame["since"].as_u64().unwrap()),
            "ping" => self.network.push_back(serde_json::json!({"type": "pong", "timestamp": 0})),
            other => panic!("{other}"),
        }
    }

    fn replay(&mut self, since: u64) {
        self.network.push_back(replay_start(since, self.log));
        self.network.extend((since + 1..=self.log).map(event));
        self.network.push_back(replay_complete(since, self.log));
    }

    fn deliver(&mut self) -> bool {
        let Some(frame) = self.network.pop_front() else { return false };
        self.input(Input::Frame(&frame.to_string()));
        true
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Append(count) => {
                for _ in 0..*count {
                    self.log += 1;
                    if self.connected {
                        self.network.push_back(event(self.log));
                    }
                }
            }
            Happening::Deliver(count) => {
                for _ in 0..*count {
                    self.deliver();
                }
            }
            Happening::Duplicate(index) if !self.network.is_empty() => {
                let copy = self.network[index.index(self.network.len())].clone();
                self.network.push_back(copy);
            }
            Happening::Swap(first, second) if !self.network.is_empty() => {
                let count = self.network.len();
                self.network.swap(first.index(count), second.index(count));
            }
            Happening::Duplicate(_) | Happening::Swap(..) => {}
            Happening::Cut if self.connected => {
                self.disconnected();
                self.input(Input::Closed { code: 1006, reason: String::new() });
            }
            Happening::Cut => {}
            Happening::Wait(millis) => self.wait(u64::from(*millis)),
            // Going back further than where the viewer began would rightly deliver again.
            Happening::AskReplay(since) => {
                let since = u64::from(*since).max(self.received.len() as u64);
                self.input(Input::Replay { since });
            }
            Happening::Nudge => self.input(Input::Nudge),
            Happening::Reload => self.reload(),
        }
    }

    fn reload(&mut self) {
        self.input(Input::Disconnect);
        let since = if self.stored.is_some() { None } else { Some(self.received.len() as u64) };
        let now = self.rig.now;
        self.rig =
            Rig::new(Settings { persist: true, since, stored: self.stored.clone(), ..settings() });
        self.rig.now = now;
        self.input(Input::Connect);
    }

    /// The network behaves from now on.
    fn settle(&mut self) {
        for _ in 0..200 {
            while self.deliver() {}
            if self.connected && self.received.len() as u64 == self.log {
                return;
            }
            // After ten failures in a row the viewer has given up, and is told that the network is back.
            self.input(Input::Nudge);
            self.wait(10_000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_viewer_gets_exactly_the_log(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
        prop_assert_eq!(world.received, (1..=world.log).collect::<Vec<_>>());
        prop_assert_eq!(world.rig.machine.stats().held, 0);
    }
}

#[test]
fn every_kind_of_happening_is_really_met() {
    // The property is worth nothing if the faults do not reach the machine: one fixed course meets all.
    let mut world = World::new();
    world.happen(&Happening::Append(5));
    world.happen(&Happening::Deliver(3));
    world.network.swap(0, 2);
    let copy = world.network[0].clone();
    world.network.push_back(copy);
    world.happen(&Happening::Deliver(3));
    assert!(world.rig.machine.stats().replays > 0);
    world.happen(&Happening::Deliver(200));
    assert!(world.rig.machine.stats().duplicates > 0);
    world.happen(&Happening::Cut);
    world.happen(&Happening::Append(5));
    world.settle();
    assert_eq!(world.rig.machine.stats().connects, 2);
    world.happen(&Happening::Reload);
    world.happen(&Happening::Append(2));
    world.settle();
    assert_eq!(world.received, (1..=12).collect::<Vec<_>>());
}
