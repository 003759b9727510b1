//! The strip above the composer.

use leptos::prelude::*;

use super::html;
use crate::components::Strip;
use crate::error::AppError;
use crate::state::{Conversation, Link, Stage};

#[test]
fn the_strip_says_one_thing_and_offers_what_can_be_done() {
    let said = |change: fn(&Conversation)| {
        html(|page| {
            let chat = page.current.get_untracked();
            chat.begin("t1", "hello", false, 0);
            change(&chat);
            view! { <Strip page /> }
        })
    };
    assert_eq!(said(|_| {}), "");
    let lost = said(|chat| chat.link.set(Link::Reconnecting { at: 2_500 }));
    assert!(lost.contains("Reconnecting in 3 s.") && lost.contains(">Reconnect now<"), "{lost}");
    let caught_up = said(|chat| chat.link.set(Link::CaughtUp { events: 41 }));
    assert!(caught_up.contains("Reconnected. 41 events caught up."), "{caught_up}");
    let refused = said(|chat| chat.complain(&AppError::Unauthenticated));
    assert!(refused.contains(">Reload the page<"), "{refused}");
    let stopping = said(|chat| {
        chat.turn.update(|turn| turn.as_mut().unwrap().stop_wanted = true);
    });
    assert!(stopping.contains("Stopping…"), "{stopping}");
}

#[test]
fn a_notice_can_be_put_away_and_does_not_hide_that_the_connection_is_lost() {
    let said = |link: Link, error: AppError| {
        html(move |page| {
            let chat = page.current.get_untracked();
            chat.begin("t1", "hello", false, 0);
            chat.complain(&error);
            chat.link.set(link);
            view! { <Strip page /> }
        })
    };
    let too_many = AppError::RateLimited { retry_after_s: 3 };
    let alone = said(Link::Live, too_many.clone());
    assert!(alone.contains("Too many") && alone.contains("aria-label=\"Dismiss\""), "{alone}");
    let lost = said(Link::Lost, too_many);
    assert!(lost.contains("connection to the agent is lost"), "{lost}");
    // What waits for the person is still the first thing to say.
    let ended = said(Link::Lost, AppError::Unauthenticated);
    assert!(ended.contains(">Reload the page<"), "{ended}");
}

#[test]
fn without_a_connection_the_strip_says_what_becomes_of_the_turn() {
    let said = |change: fn(&Conversation)| {
        html(move |page| {
            page.online.set(false);
            change(&page.current.get_untracked());
            view! { <Strip page /> }
        })
    };
    let none = said(|_| {});
    assert!(none.contains("offline") && !none.contains("answer"), "{none}");
    let sending = said(|chat| drop(chat.begin("t1", "hello", false, 0)));
    assert!(sending.contains("Your message is kept here and sent when"), "{sending}");
    let running = said(|chat| {
        chat.begin("t1", "hello", false, 0);
        chat.set_stage("t1", Stage::Running, 1);
    });
    assert!(running.contains("The answer goes on without you"), "{running}");
    let stopping = said(|chat| {
        chat.begin("t1", "hello", false, 0);
        chat.set_stage("t1", Stage::Stopping, 1);
    });
    assert!(stopping.contains("The answer is stopped as soon as you are back"), "{stopping}");
}
