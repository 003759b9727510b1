//! The list of chats by day, or those whose title holds what is searched for.

use leptos::either::Either;
use leptos::prelude::*;

use super::chat_row::ChatRow;
use crate::browser;
use crate::model::ChatSummary;
use crate::state::{Page, actions, by_day};

#[component]
pub fn ChatList(page: Page, search: RwSignal<String>) -> impl IntoView {
    // The clock moves on twice a second while something runs; the groups need only its days.
    let day = Memo::new(move |_| (page.clock.get() + page.zone_ms.get()) / 60_000);
    let groups = Memo::new(move |_| {
        let sought = search.get();
        let sought = (!sought.trim().is_empty()).then(|| browser::lowercase(sought.trim()));
        let fits = |chat: &ChatSummary| {
            sought.as_ref().is_none_or(|sought| browser::lowercase(&chat.title).contains(sought))
        };
        let chats = page.chats.with(|chats| chats.iter().filter(|c| fits(c)).cloned().collect());
        let zone = page.zone_ms.get();
        by_day(chats, day.get() * 60_000 - zone, zone)
    });
    let headings = move || groups.with(|groups| groups.iter().map(|(h, _)| *h).collect::<Vec<_>>());
    let none = move || {
        groups.with(Vec::is_empty).then(|| {
            let searching = search.with(|sought| !sought.trim().is_empty());
            if searching { "No chat has this in its title." } else { "Your chats will be here." }
        })
    };
    let failed = Memo::new(move |_| page.chats_failed.get() && page.chats.with(Vec::is_empty));
    let try_again = move |_| {
        actions::refresh_list(page);
        browser::focus("new-chat");
    };
    let nothing = move || {
        if failed.get() {
            Some(Either::Left(view! {
                <p class="none">"Your chats could not be loaded."</p>
                <button type="button" class="button needs-js" on:click=try_again>
                    "Try again"
                </button>
            }))
        } else {
            none().map(|words| Either::Right(view! { <p class="none">{words}</p> }))
        }
    };
    view! {
        <div class="chats">
            <For each=headings key=|heading| *heading let:heading>
                <section>
                    <h2>{heading}</h2>
                    <ul>
                        <For
                            each=move || of_heading(groups, heading)
                            key=|chat| chat.id.clone()
                            let:chat
                        >
                            <ChatRow page chat />
                        </For>
                    </ul>
                </section>
            </For>
            {nothing}
        </div>
    }
}

fn of_heading(
    groups: Memo<Vec<(&'static str, Vec<ChatSummary>)>>,
    heading: &str,
) -> Vec<ChatSummary> {
    groups.with(|groups| {
        let group = groups.iter().find(|(known, _)| *known == heading);
        group.map(|(_, chats)| chats.clone()).unwrap_or_default()
    })
}
