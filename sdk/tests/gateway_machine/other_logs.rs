//! Logs that are not what they were.

use sandbox_sdk::gateway::{
    Reset,
    machine::{Effect, Input, Notice, Settings},
};
use serde_json::json;

use crate::rig::{CHANNEL, Rig, replay_start, settings, welcome};

#[test]
fn another_epoch_starts_over_and_says_so() {
    let mut rig = Rig::live(settings());
    rig.event(1);
    rig.event(2);
    rig.closed(1006);
    rig.wait(2_000);
    rig.take();
    rig.frame(&welcome(1, "epoch-2"));
    assert!(rig.effects.contains(&Effect::Notify(Notice::Reset(Reset::EpochChanged))));
    assert!(rig.effects.contains(&Effect::Forget));
    assert_eq!(rig.sent(), [json!({"type": "replay", "since": 0, "channel": CHANNEL})]);
    rig.event(1);
    assert_eq!(rig.delivered(), [1]);
}

#[test]
fn the_same_epoch_goes_on_silently() {
    let mut rig = Rig::live(settings());
    rig.event(1);
    rig.closed(1001);
    rig.wait(2_000);
    rig.take();
    rig.welcome(1);
    assert!(!rig.notices().iter().any(|notice| matches!(notice, Notice::Reset(_))));
}

#[test]
fn a_cursor_beyond_the_log_belongs_to_another_log() {
    let mut rig = Rig::new(Settings { since: Some(50), ..settings() });
    rig.input(Input::Connect);
    rig.welcome(3);
    assert!(rig.effects.contains(&Effect::Notify(Notice::Reset(Reset::EpochChanged))));
    for seq in 1..=3 {
        rig.event(seq);
    }
    assert_eq!(rig.delivered(), [1, 2, 3]);
}

#[test]
fn events_that_are_gone_are_skipped_and_named() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    rig.welcome(12);
    let mut start = replay_start(0, 12);
    start["truncated"] = json!(true);
    start["oldestSeq"] = json!(10);
    rig.frame(&start);
    for seq in 10..=13 {
        rig.event(seq);
    }
    let reset = Reset::Truncated { channel: CHANNEL.into(), oldest_seq: 10 };
    assert!(rig.effects.contains(&Effect::Notify(Notice::Reset(reset))));
    assert_eq!(rig.delivered(), [10, 11, 12, 13]);
    assert!(rig.sent().is_empty());
}

#[test]
fn a_truncation_before_our_cursor_is_none_of_our_business() {
    let mut rig = Rig::live(Settings { since: Some(20), ..settings() });
    let mut start = replay_start(20, 25);
    start["truncated"] = json!(true);
    start["oldestSeq"] = json!(10);
    rig.frame(&start);
    assert!(!rig.notices().iter().any(|notice| matches!(notice, Notice::Reset(_))));
}
