//! What is kept for the next client.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandbox_sdk::gateway::{
    Reset,
    machine::{Effect, Input, Notice, Settings},
};

use crate::rig::{EPOCH, Rig, settings, welcome};

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
