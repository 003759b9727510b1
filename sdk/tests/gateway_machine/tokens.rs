//! How tokens are replaced in time, and what is done without a good one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandbox_sdk::gateway::{
    GatewayState,
    machine::{Effect, Input, Notice, Settings},
};
use serde_json::json;

use crate::{
    rig::{Rig, START_S, settings},
    support::{fresh_token, keep_alive, reconnecting},
};

#[test]
fn a_token_is_replaced_a_minute_before_its_end_without_a_new_connection() {
    let mut rig = Rig::live(Settings { expires_at: Some(START_S + 600), ..settings() });
    rig.frame(&json!({"type": "ping", "timestamp": 1}));
    rig.take();
    keep_alive(&mut rig, 539);
    assert_eq!(rig.refreshes(), 0);
    keep_alive(&mut rig, 1);
    assert_eq!(rig.refreshes(), 1);
    assert!(rig.notices().contains(&&Notice::TokenExpiring { seconds: 60 }));
    let (token, expires_at) = fresh_token(&rig, 600);
    rig.sent();
    rig.input(Input::Refreshed(Ok((token.clone(), expires_at))));
    assert_eq!(rig.sent(), [json!({"type": "token.update", "token": token})]);
    assert_eq!(rig.opened(), None);
    assert_eq!(rig.machine.state(), GatewayState::Connected);
}

#[test]
fn one_refresh_at_a_time_and_one_warning_a_token() {
    let mut rig = Rig::live(Settings { expires_at: Some(START_S + 120), ..settings() });
    keep_alive(&mut rig, 110);
    rig.frame(
        &json!({"type": "token.expiring", "secondsRemaining": 10, "expiresAt": START_S + 120}),
    );
    assert_eq!(rig.refreshes(), 1);
    let warnings = |rig: &Rig| {
        let warning = |notice: &&&Notice| matches!(notice, Notice::TokenExpiring { .. });
        rig.notices().iter().filter(warning).count()
    };
    assert_eq!(warnings(&rig), 1);
    let fresh = fresh_token(&rig, 120);
    rig.input(Input::Refreshed(Ok(fresh)));
    keep_alive(&mut rig, 100);
    assert_eq!((rig.refreshes(), warnings(&rig)), (2, 2));
}

#[test]
fn a_short_lived_token_is_replaced_in_the_last_quarter_of_its_life() {
    let mut rig = Rig::live(Settings { expires_at: Some(START_S + 20), ..settings() });
    keep_alive(&mut rig, 14);
    assert_eq!(rig.refreshes(), 0);
    keep_alive(&mut rig, 1);
    assert_eq!(rig.refreshes(), 1);
}

#[test]
fn the_end_of_a_token_is_read_from_it() {
    let payload = URL_SAFE_NO_PAD.encode(json!({"exp": START_S + 100}).to_string());
    let token = format!("e30.{payload}.x");
    let mut rig = Rig::live(Settings { token, ..settings() });
    keep_alive(&mut rig, 100);
    assert_eq!(rig.refreshes(), 1);
}

#[test]
fn the_gateways_word_on_the_tokens_end_counts() {
    let mut rig = Rig::live(settings());
    keep_alive(&mut rig, 100);
    assert_eq!(rig.refreshes(), 0);
    rig.frame(
        &json!({"type": "token.expiring", "secondsRemaining": 50, "expiresAt": START_S + 150}),
    );
    assert_eq!(rig.refreshes(), 1);
    assert!(rig.notices().contains(&&Notice::TokenExpiring { seconds: 50 }));
}

#[test]
fn a_refresh_that_failed_is_tried_again_after_five_seconds() {
    let mut rig = Rig::live(Settings { expires_at: Some(START_S + 60), ..settings() });
    keep_alive(&mut rig, 45);
    assert_eq!(rig.refreshes(), 1);
    rig.input(Input::Refreshed(Err("no network".into())));
    keep_alive(&mut rig, 4);
    assert_eq!(rig.refreshes(), 1);
    keep_alive(&mut rig, 1);
    assert_eq!(rig.refreshes(), 2);
    assert_eq!(rig.machine.state(), GatewayState::Connected);
}

#[test]
fn a_refused_token_is_replaced_and_the_client_comes_back_at_once() {
    let mut rig = Rig::live(settings());
    rig.closed(4401);
    assert_eq!(rig.refreshes(), 1);
    assert_eq!(rig.opened(), None);
    assert!(rig.notices().contains(&&Notice::TokenExpired));
    let fresh = fresh_token(&rig, 600);
    rig.input(Input::Refreshed(Ok(fresh.clone())));
    let bearer = format!("bearer.{}", URL_SAFE_NO_PAD.encode(&fresh.0));
    let offered = rig
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::Open { protocols, .. } if protocols[1] == bearer));
    assert!(offered);
}

#[test]
fn a_gateway_that_refuses_every_token_is_not_hammered() {
    let mut rig = Rig::live(settings());
    let mut refreshes = 0;
    for _ in 0..30 {
        rig.closed(4401);
        rig.wait(40_000);
        if rig.refreshes() > 0 {
            refreshes += rig.refreshes();
            rig.take();
            let fresh = fresh_token(&rig, 600);
            rig.input(Input::Refreshed(Ok(fresh)));
        }
    }
    assert_eq!(rig.machine.state(), GatewayState::Failed);
    assert_eq!(refreshes, 10);
}

#[test]
fn a_refused_token_that_cannot_be_replaced_is_the_end() {
    let mut rig = Rig::live(Settings { can_refresh: false, ..settings() });
    rig.closed(4401);
    assert_eq!(rig.machine.state(), GatewayState::Failed);
    assert!(rig.notices().contains(&&Notice::TokenExpired));
    let token = "another".to_owned();
    rig.input(Input::UpdateToken { token, expires_at: Some(START_S + 600) });
    rig.input(Input::Connect);
    assert_eq!(rig.machine.state(), GatewayState::Connecting);
}

#[test]
fn a_token_that_has_ended_is_replaced_before_connecting() {
    let mut rig = Rig::new(Settings { expires_at: Some(START_S - 1), ..settings() });
    rig.input(Input::Connect);
    assert_eq!((rig.opened(), rig.refreshes()), (None, 1));
    let fresh = fresh_token(&rig, 600);
    rig.input(Input::Refreshed(Ok(fresh)));
    assert!(rig.opened().is_some());
}

#[test]
fn no_token_to_connect_with_is_tried_again_like_any_failure() {
    let mut rig = Rig::new(Settings { expires_at: Some(START_S - 1), ..settings() });
    rig.input(Input::Connect);
    rig.input(Input::Refreshed(Err("signed out".into())));
    let (attempt, pause) = reconnecting(rig.machine.state()).unwrap();
    assert_eq!(attempt, 1);
    rig.wait(pause);
    assert_eq!(rig.refreshes(), 2);
    let stale = ("stale".to_owned(), START_S - 5);
    rig.input(Input::Refreshed(Ok(stale)));
    assert_eq!(reconnecting(rig.machine.state()).unwrap().0, 2);
}

#[test]
fn a_token_given_by_hand_goes_out_on_the_open_connection() {
    let mut rig = Rig::live(settings());
    rig.input(Input::UpdateToken { token: "another".into(), expires_at: None });
    assert_eq!(rig.sent(), [json!({"type": "token.update", "token": "another"})]);
}
