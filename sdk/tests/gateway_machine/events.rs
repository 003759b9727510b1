//! Which events are delivered, and which are asked for.

use sandbox_sdk::gateway::machine::{Input, Notice, Settings};
use serde_json::json;

use crate::{
    rig::{CHANNEL, Rig, event, replay_complete, replay_start, settings},
    support::reconnecting,
};

#[test]
fn an_event_that_comes_again_is_delivered_once() {
    let mut rig = Rig::live(settings());
    for seq in [1, 1, 2, 1, 2, 3] {
        rig.event(seq);
    }
    assert_eq!(rig.delivered(), [1, 2, 3]);
    assert_eq!(rig.machine.stats().duplicates, 3);
}

#[test]
fn a_gap_is_asked_for_at_once_and_once() {
    let mut rig = Rig::live(settings());
    for seq in [1, 4, 5] {
        rig.event(seq);
    }
    assert_eq!(rig.delivered(), [1]);
    assert_eq!(rig.sent(), [json!({"type": "replay", "since": 1, "channel": CHANNEL})]);
    rig.frame(&replay_start(1, 5));
    for seq in 2..=5 {
        rig.event(seq);
    }
    rig.frame(&replay_complete(1, 5));
    assert_eq!(rig.delivered(), [2, 3, 4, 5]);
    assert!(rig.sent().is_empty());
}

#[test]
fn an_unanswered_question_is_asked_again_and_in_the_end_on_another_connection() {
    let mut rig = Rig::live(settings());
    rig.event(2);
    assert_eq!(rig.sent().len(), 1);
    rig.wait(5_000);
    assert_eq!(rig.sent().len(), 1);
    rig.wait(20_000);
    assert!(reconnecting(rig.machine.state()).is_some());
    let code = |notice: &&Notice| match notice {
        Notice::Error { code, .. } => code.clone(),
        _ => None,
    };
    assert!(rig.notices().iter().filter_map(code).any(|code| code == "REPLAY_FAILED"));
    rig.wait(2_000);
    assert!(rig.opened().unwrap().ends_with("&since=0"));
}

#[test]
fn a_gateway_that_forgets_the_replay_it_owes_is_reminded() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    rig.welcome(3);
    rig.wait(4_999);
    assert_eq!(rig.sent().len(), 0);
    rig.wait(1);
    assert_eq!(rig.sent(), [json!({"type": "replay", "since": 0, "channel": CHANNEL})]);
}

#[test]
fn without_a_cursor_only_live_events_come() {
    let mut rig = Rig::new(Settings { since: None, ..settings() });
    rig.input(Input::Connect);
    rig.welcome(40);
    rig.event(41);
    assert_eq!(rig.delivered(), [41]);
    assert_eq!(rig.machine.stats().replays, 0);
    rig.closed(1006);
    rig.wait(2_000);
    assert!(rig.opened().unwrap().ends_with("&since=41"));
}

#[test]
fn going_back_before_the_beginning_delivers_the_older_events_too() {
    let mut rig = Rig::live(Settings { since: Some(2), ..settings() });
    rig.event(3);
    assert_eq!(rig.delivered(), [3]);
    rig.input(Input::Replay { since: 0 });
    assert_eq!(rig.sent(), [json!({"type": "replay", "since": 0, "channel": CHANNEL})]);
    for seq in 1..=4 {
        rig.event(seq);
    }
    assert_eq!(rig.delivered(), [1, 2, 3, 4]);
}

#[test]
fn a_replay_of_known_events_delivers_nothing_again() {
    let mut rig = Rig::live(settings());
    rig.event(1);
    rig.event(2);
    rig.delivered();
    rig.input(Input::Replay { since: 0 });
    rig.event(1);
    rig.event(2);
    rig.event(3);
    assert_eq!(rig.delivered(), [3]);
}

#[test]
fn events_of_other_channels_are_not_ours() {
    let mut rig = Rig::live(settings());
    let mut foreign = event(1);
    foreign["channel"] = json!("session:other");
    rig.frame(&foreign);
    assert!(rig.delivered().is_empty());
}

#[test]
fn each_channel_counts_for_itself() {
    let channels = vec!["session:s1".into(), "agent:s1".into()];
    let mut rig = Rig::live(Settings { channels, ..settings() });
    rig.event(1);
    let mut other = event(1);
    other["channel"] = json!("agent:s1");
    rig.frame(&other);
    assert_eq!(rig.delivered(), [1, 1]);
}

#[test]
fn replay_is_announced_and_concluded() {
    let mut rig = Rig::live(settings());
    rig.frame(&replay_start(0, 2));
    rig.event(1);
    rig.event(2);
    rig.frame(&replay_complete(0, 2));
    let channel = CHANNEL.to_owned();
    let start = Notice::ReplayStart { channel: channel.clone(), since: 0, total: 2 };
    let complete = Notice::ReplayComplete { channel, last_seq: 2 };
    let notices = rig.notices();
    assert_eq!(notices.first(), Some(&&start));
    assert_eq!(notices.last(), Some(&&complete));
}
