//! Connecting and disconnecting.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandbox_sdk::gateway::{
    GatewayState,
    machine::{Effect, Input, Notice, Settings},
};

use crate::{
    rig::{Rig, settings},
    support::reconnecting,
};

#[test]
fn connecting_offers_the_protocol_and_the_token_and_says_what_is_wanted() {
    let mut rig = Rig::new(Settings { since: Some(7), ..settings() });
    rig.input(Input::Connect);
    let bearer = format!("bearer.{}", URL_SAFE_NO_PAD.encode("header.payload.signature"));
    let open = Effect::Open {
        url: "ws://127.0.0.1:1/session?sessionId=s1&channels=session:s1&since=7".into(),
        protocols: ["tangle.session.v1".into(), bearer],
    };
    assert!(rig.effects.contains(&open), "{:?}", rig.effects);
    assert_eq!(rig.machine.state(), GatewayState::Connecting);
}

#[test]
fn ids_and_channels_cannot_break_out_of_the_query() {
    let mut rig = Rig::new(Settings {
        url: "wss://host/session?product=p".into(),
        session_id: "a&b=c".into(),
        channels: vec!["agent:é#".into(), "system".into()],
        since: None,
        ..settings()
    });
    rig.input(Input::Connect);
    let url = "wss://host/session?product=p&sessionId=a%26b%3Dc&channels=agent:%C3%A9%23,system";
    assert_eq!(rig.opened(), Some(url));
}

#[test]
fn the_gateways_welcome_makes_the_connection() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    rig.welcome(0);
    assert_eq!(rig.machine.state(), GatewayState::Connected);
    assert!(rig.notices().iter().any(|notice| matches!(notice, Notice::Connected(_))));
}

#[test]
fn a_gateway_that_never_welcomes_is_left_after_fifteen_seconds() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    rig.wait(14_999);
    assert_eq!(rig.machine.state(), GatewayState::Connecting);
    rig.wait(1);
    assert!(reconnecting(rig.machine.state()).is_some());
}

#[test]
fn connecting_twice_opens_one_socket() {
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    rig.input(Input::Connect);
    let opened = rig.effects.iter().filter(|effect| matches!(effect, Effect::Open { .. }));
    assert_eq!(opened.count(), 1);
}

#[test]
fn disconnecting_says_goodbye_and_what_comes_later_does_not_count() {
    let mut rig = Rig::live(settings());
    rig.input(Input::Disconnect);
    assert!(rig.effects.contains(&Effect::Close { code: 1000, reason: "disconnect" }));
    rig.event(1);
    rig.closed(1006);
    rig.wait(600_000);
    assert!(rig.delivered().is_empty());
    assert_eq!(rig.machine.state(), GatewayState::Disconnected);
}
