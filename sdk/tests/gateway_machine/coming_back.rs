//! Whether and when the client comes back after a connection was lost.

use sandbox_sdk::gateway::{
    GatewayState,
    machine::{Input, Notice, Settings},
};
use serde_json::json;

use crate::{
    rig::{Rig, settings},
    support::reconnecting,
};

#[test]
fn the_close_code_decides_whether_to_come_back() {
    for (code, comes_back) in [
        (1001, true),
        (1005, true),
        (1006, true),
        (1011, true),
        (1013, true),
        (4408, true),
        (4429, true),
        (1000, false),
        (4400, false),
        (4403, false),
        (4404, false),
        (4413, false),
    ] {
        let mut rig = Rig::live(settings());
        rig.closed(code);
        assert_eq!(reconnecting(rig.machine.state()).is_some(), comes_back, "{code}");
        rig.wait(60_000);
        assert_eq!(rig.opened().is_some(), comes_back, "{code}");
        let goodbye = Notice::Disconnected { code, reason: String::new() };
        assert!(rig.notices().contains(&&goodbye), "{code}");
    }
}

#[test]
fn a_refusal_is_a_failure_and_a_proper_end_is_not() {
    for (code, state) in [
        (1000, GatewayState::Disconnected),
        (4400, GatewayState::Failed),
        (4403, GatewayState::Failed),
        (4404, GatewayState::Failed),
    ] {
        let mut rig = Rig::live(settings());
        rig.closed(code);
        assert_eq!(rig.machine.state(), state, "{code}");
        rig.input(Input::Nudge);
        assert_eq!(rig.opened(), None, "{code}");
        rig.input(Input::Connect);
        assert!(rig.opened().is_some(), "{code}");
    }
}

#[test]
fn without_auto_reconnect_every_loss_is_the_end() {
    for code in [1006, 4401] {
        let mut rig = Rig::live(Settings { auto_reconnect: false, ..settings() });
        rig.closed(code);
        rig.wait(60_000);
        assert_eq!(rig.machine.state(), GatewayState::Disconnected, "{code}");
        assert_eq!(rig.opened(), None);
    }
}

#[test]
fn pauses_grow_and_after_ten_attempts_the_client_gives_up() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    let mut expected = 1_000.0_f64;
    for attempt in 1..=10 {
        rig.closed(1006);
        let (counted, pause) = reconnecting(rig.machine.state()).unwrap();
        assert_eq!(counted, attempt);
        let off = pause as f64 / expected;
        assert!((0.79..=1.21).contains(&off), "attempt {attempt}: {pause} ms, not {expected}");
        expected = (expected * 1.5).min(30_000.0);
        rig.take();
        rig.wait(pause - 1);
        assert_eq!(rig.opened(), None);
        rig.wait(1);
        assert!(rig.opened().is_some());
    }
    rig.closed(1006);
    assert_eq!(rig.machine.state(), GatewayState::Failed);
    rig.take();
    rig.wait(600_000);
    assert_eq!(rig.opened(), None);
}

#[test]
fn two_clients_do_not_come_back_at_the_same_moment() {
    let pause = |seed| {
        let mut rig = Rig::live(Settings { seed, ..settings() });
        rig.closed(1006);
        reconnecting(rig.machine.state()).unwrap().1
    };
    let mut pauses: Vec<u64> = (0..10).map(pause).collect();
    pauses.dedup();
    assert_eq!(pauses.len(), 10);
}

#[test]
fn a_connection_that_held_makes_failures_count_anew() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    for _ in 0..4 {
        rig.closed(1006);
        let pause = reconnecting(rig.machine.state()).unwrap().1;
        rig.wait(pause);
    }
    rig.welcome(0);
    rig.wait(4_999);
    rig.closed(1006);
    assert_eq!(reconnecting(rig.machine.state()).unwrap().0, 5);
    let pause = reconnecting(rig.machine.state()).unwrap().1;
    rig.wait(pause);
    rig.welcome(0);
    rig.wait(5_000);
    rig.closed(1006);
    assert_eq!(reconnecting(rig.machine.state()).unwrap().0, 1);
}

#[test]
fn a_connection_that_brought_something_new_was_good() {
    let mut rig = Rig::live(settings());
    for seq in 1..=30 {
        rig.event(seq);
        rig.closed(1006);
        assert_eq!(reconnecting(rig.machine.state()).unwrap().0, 1);
        rig.wait(2_000);
        rig.welcome(seq);
    }
}

#[test]
fn a_gateway_that_goes_away_says_when_to_come_back() {
    let mut rig = Rig::live(settings());
    rig.frame(&json!({"type": "server.draining", "retryAfterMs": 4321}));
    rig.closed(1001);
    assert_eq!(reconnecting(rig.machine.state()), Some((1, 4321)));
    rig.wait(4_321);
    rig.closed(1006);
    assert_ne!(reconnecting(rig.machine.state()).unwrap().1, 4321);
}

#[test]
fn a_nudge_tries_at_once() {
    let mut rig = Rig::live(settings());
    rig.closed(1006);
    rig.take();
    rig.input(Input::Nudge);
    assert!(rig.opened().is_some());
}

#[test]
fn a_nudge_wakes_a_client_that_had_given_up() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    for _ in 0..11 {
        rig.closed(1006);
        rig.wait(40_000);
    }
    assert_eq!(rig.machine.state(), GatewayState::Failed);
    rig.input(Input::Nudge);
    assert_eq!(rig.machine.state(), GatewayState::Connecting);
}

#[test]
fn a_nudge_finds_out_whether_an_open_connection_lives() {
    let mut rig = Rig::live(settings());
    rig.input(Input::Nudge);
    assert_eq!(rig.sent()[0]["type"], "ping");
    rig.frame(&json!({"type": "pong", "timestamp": 1}));
    rig.wait(20_000);
    assert_eq!(rig.machine.state(), GatewayState::Connected);
    rig.input(Input::Nudge);
    rig.wait(5_000);
    assert!(reconnecting(rig.machine.state()).is_some());
}
