//! What the person says to an agent that asks.

use leptos::prelude::*;
use leptos::task::spawn_local;
use sandbox_sdk::types::InteractionAnswer;

use super::sleep;
use crate::api;
use crate::browser;
use crate::error::AppError;
use crate::state::{Ask, Delivery};

/// How often an answer is sent before the person is told that it did not go through.
const TRIES: u32 = 3;

/// Gives the agent of a turn an answer. What comes of it is told by the stream.
pub fn answer(turn_id: String, ask: Ask, answer: InteractionAnswer) {
    if ask.delivery.with_untracked(|delivery| *delivery == Delivery::Sending) {
        return;
    }
    ask.delivery.set(Delivery::Sending);
    spawn_local(async move {
        let mut tries = 0;
        let delivery = loop {
            tries += 1;
            match api::answer_interaction(turn_id.clone(), answer.clone()).await {
                Ok(()) => break Delivery::Sent,
                Err(AppError::NotWaiting) => break Delivery::TooLate,
                // The same answer twice is one.
                Err(AppError::Offline | AppError::Unavailable { .. }) if tries < TRIES => {
                    sleep(400 << tries).await;
                }
                Err(error) => {
                    break Delivery::Failed(format!("{error} What you have filled in is kept."));
                }
            }
        };
        let done = !matches!(delivery, Delivery::Failed(_));
        ask.delivery.set(delivery);
        if done {
            browser::leave_card();
        }
    });
}
