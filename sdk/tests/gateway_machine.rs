//! How the gateway client behaves, without sockets and with a clock turned by hand.
#![allow(clippy::unwrap_used)]

#[path = "support/rig.rs"]
mod rig;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rig::{CHANNEL, EPOCH, Rig, START_S, event, replay_complete, replay_start, settings, welcome};
use sandbox_sdk::gateway::{
    Backpressure, GatewayState, Reset,
    machine::{Effect, Input, Notice, Settings},
};
use serde_json::json;

fn reconnecting(state: GatewayState) -> Option<(u32, u64)> {
    match state {
        GatewayState::Reconnecting { attempt, in_ms } => Some((attempt, in_ms)),
        _ => None,
    }
}

fn fresh_token(rig: &Rig, lifetime_s: i64) -> (String, i64) {
    let expires_at = rig.now.unix_ms / 1000 + lifetime_s;
    (format!("fresh-{expires_at}"), expires_at)
}

// Connecting

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

// Events

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

// Logs that are not what they were

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

// Coming back

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

// Liveness

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

// Tokens

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

/// Lets seconds pass on a connection that is not silent.
fn keep_alive(rig: &mut Rig, seconds: u64) {
    for _ in 0..seconds {
        rig.wait(1_000);
        rig.frame(&json!({"type": "pong", "timestamp": 1}));
    }
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

// Notices

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

// Reloads

#[test]
fn the_cursor_is_kept_at_most_once_a_second_and_at_the_end() {
    let mut rig = Rig::live(Settings { persist: true, ..settings() });
    let kept = |rig: &Rig| {
        let kept = rig.effects.iter().filter(|effect| matches!(effect, Effect::Persist(_)));
        kept.count()
    };
    for seq in 1..=100 {
        rig.event(seq);
        rig.wait(10);
    }
    assert_eq!(kept(&rig), 1);
    rig.event(101);
    rig.input(Input::Disconnect);
    assert_eq!(kept(&rig), 2);
}

#[test]
fn another_client_goes_on_where_this_one_stopped() {
    let mut rig = Rig::live(Settings { persist: true, ..settings() });
    rig.event(1);
    rig.event(2);
    rig.input(Input::Disconnect);
    let stored = rig.effects.iter().find_map(|effect| match effect {
        Effect::Persist(text) => Some(text.clone()),
        _ => None,
    });
    let mut next = Rig::new(Settings { since: None, stored: stored.clone(), ..settings() });
    next.input(Input::Connect);
    assert!(next.opened().unwrap().ends_with("&since=2"));
    next.frame(&welcome(2, "epoch-2"));
    assert!(next.effects.contains(&Effect::Notify(Notice::Reset(Reset::EpochChanged))));

    let mut told = Rig::new(Settings { since: Some(1), stored, ..settings() });
    told.input(Input::Connect);
    assert!(told.opened().unwrap().ends_with("&since=1"));
}

#[test]
fn a_stored_cursor_that_cannot_be_read_is_none() {
    let stored = Some("{\"seqs\": 7}".to_owned());
    let mut rig = Rig::new(Settings { since: None, stored, ..settings() });
    rig.input(Input::Connect);
    assert!(!rig.opened().unwrap().contains("since"));
}

#[test]
fn clearing_forgets_in_memory_and_in_the_storage() {
    let mut rig = Rig::live(Settings { persist: true, ..settings() });
    rig.event(1);
    rig.input(Input::ClearReplay);
    assert!(rig.effects.contains(&Effect::Forget));
    rig.delivered();
    rig.input(Input::Replay { since: 0 });
    rig.event(1);
    assert_eq!(rig.delivered(), [1]);
}

#[test]
fn no_token_shows_in_debug_output() {
    let token = "header.payload.signature";
    let mut rig = Rig::new(settings());
    rig.input(Input::Connect);
    rig.frame(&welcome(0, EPOCH));
    rig.input(Input::UpdateToken { token: token.into(), expires_at: None });
    let input = Input::UpdateToken { token: token.into(), expires_at: None };
    let shown = format!("{:?} {:?} {:?} {input:?}", rig.effects, rig.machine, settings());
    assert!(!shown.contains(token), "{shown}");
    assert!(!shown.contains(&URL_SAFE_NO_PAD.encode(token)), "{shown}");
}
