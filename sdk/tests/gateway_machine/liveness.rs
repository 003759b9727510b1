//! How a dead connection is found out.

use sandbox_sdk::gateway::{GatewayState, machine::Effect};
use serde_json::json;

use crate::{
    rig::{Rig, settings},
    support::reconnecting,
};

#[test]
fn a_ping_goes_out_every_thirty_seconds_and_the_gateways_is_answered() {
    let mut rig = Rig::live(settings());
    for round in 1..=3 {
        rig.wait(30_000);
        let pings = rig.sent();
        assert_eq!(pings.len(), 1, "round {round}");
        assert_eq!(pings[0]["type"], "ping");
        rig.frame(&json!({"type": "pong", "timestamp": pings[0]["timestamp"]}));
    }
    rig.frame(&json!({"type": "ping", "timestamp": 42}));
    assert_eq!(rig.sent(), [json!({"type": "pong", "timestamp": 42})]);
}

#[test]
fn a_minute_of_silence_means_that_the_gateway_is_gone() {
    let mut rig = Rig::live(settings());
    rig.wait(59_999);
    assert_eq!(rig.machine.state(), GatewayState::Connected);
    rig.wait(1);
    assert!(reconnecting(rig.machine.state()).is_some());
    assert!(rig.effects.iter().any(|effect| matches!(effect, Effect::Close { .. })));
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let mut rig = Rig::live(settings());
    for seq in 1..=10 {
        rig.wait(50_000);
        rig.event(seq);
    }
    assert_eq!(rig.machine.state(), GatewayState::Connected);
}
