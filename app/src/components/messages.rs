//! All messages of a conversation.

use leptos::either::Either;
use leptos::prelude::*;

use super::agent_message::AgentMessageView;
use super::earlier::EarlierLine;
use super::person_message::PersonMessage;
use crate::state::{Batch, Conversation, Entry, Page};

/// Each batch of earlier ones is a list of its own: a list to whose beginning many are added moves all
/// the others, and what moves loses the focus and what is selected in it.
#[component]
pub fn Messages(page: Page, chat: Conversation) -> impl IntoView {
    let show = {
        let chat = chat.clone();
        move |entry| match entry {
            Entry::Person { text, .. } => Either::Left(view! { <PersonMessage text /> }),
            Entry::Agent(message) => {
                Either::Right(view! { <AgentMessageView page chat=chat.clone() message /> })
            }
        }
    };
    // Of one type for both: a list is much code.
    let list = move |entries: Box<dyn Fn() -> Vec<Entry> + Send>| {
        view! { <For each=entries key=Entry::key children=show.clone() /> }
    };
    let before = chat.before.clone();
    let batch = {
        let (chat, list) = (chat.clone(), list.clone());
        move |batch: Batch| {
            let first = Memo::new({
                let (chat, batch) = (chat.clone(), batch.clone());
                move |_| chat.begins_with(&batch)
            });
            list(Box::new(move || batch.shown(!first.get())))
        }
    };
    view! {
        <EarlierLine page chat=chat.clone() />
        <For each=move || before.get() key=Batch::key children=batch />
        {list(Box::new(move || chat.shown()))}
    }
}
