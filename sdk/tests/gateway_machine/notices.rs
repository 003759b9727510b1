//! What the gateway says beside the events.

use sandbox_sdk::gateway::{
    Backpressure,
    machine::{Input, Notice},
};
use serde_json::json;

use crate::rig::{CHANNEL, Rig, settings};

#[test]
fn a_slow_readers_warning_is_passed_on_and_what_was_skipped_is_asked_for() {
    let mut rig = Rig::live(settings());
    rig.event(1);
    rig.frame(&json!({
        "type": "backpressure.warning", "channel": CHANNEL, "dropped": 2, "droppedCount": 2,
        "since": 1, "totalDropped": 5, "suggestReplay": true
    }));
    let warning = Backpressure { channel: CHANNEL.into(), dropped: 2, total_dropped: 5, since: 1 };
    assert!(rig.notices().contains(&&Notice::Backpressure(warning)));
    assert_eq!(rig.sent(), [json!({"type": "replay", "since": 1, "channel": CHANNEL})]);
}

#[test]
fn errors_and_denied_channels_are_passed_on() {
    let mut rig = Rig::live(settings());
    rig.frame(&json!({"type": "error", "code": "BAD_MESSAGE", "message": "no"}));
    rig.frame(&json!({
        "type": "subscribed", "channels": [], "denied": [{"channel": "*", "reason": "no wildcard"}]
    }));
    let error = |message: &str, code: &str| Notice::Error {
        message: message.into(),
        code: Some(code.into()),
    };
    assert!(rig.notices().contains(&&error("no", "BAD_MESSAGE")));
    assert!(rig.notices().contains(&&error("*: no wildcard", "CHANNEL_DENIED")));
}

#[test]
fn frames_that_cannot_be_read_do_no_harm() {
    let mut rig = Rig::live(settings());
    for text in ["", "{", "[]", "7", "{\"type\":\"agent.event\"}", "{\"type\":7}", "{}"] {
        rig.take();
        rig.input(Input::Frame(text));
        let error = |notice: &&Notice| matches!(notice, Notice::Error { .. });
        assert!(rig.notices().iter().any(error), "{text}");
    }
    rig.take();
    rig.frame(&json!({"type": "from.the.future", "x": 1}));
    assert!(rig.notices().is_empty());
    rig.event(1);
    assert_eq!(rig.delivered(), [1]);
}
