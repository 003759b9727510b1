//! The page of a new chat: one sentence, and four things that need a sandbox.

use leptos::prelude::*;

use crate::browser;
use crate::components::{Icon, Sign};
use crate::state::{Conversation, Page, actions};

/// Its sign, its title, what to expect, and what is sent.
type Starter = (Sign, &'static str, &'static str, &'static str);

const STARTERS: [Starter; 4] = [
    (
        Sign::Folder,
        "Explain a repository",
        "Map it, read it, try its tests",
        "Explain a repository to me: what it is for, how it is laid out, and whether its tests pass.",
    ),
    (
        Sign::List,
        "Clean a spreadsheet",
        "Duplicates out, one date format in",
        "Clean a spreadsheet: drop the duplicates and bring its dates into one format.",
    ),
    (
        Sign::Terminal,
        "Write and run a script",
        "From one sentence to its output",
        "Write a script that prints the first prime numbers, and show me its output.",
    ),
    (
        Sign::Search,
        "Find the slow part",
        "Measure a program, make it faster",
        "Find the slow part of a program, fix it, and show me how much faster it became.",
    ),
];

#[component]
pub fn Start(page: Page, chat: Conversation) -> impl IntoView {
    let starter = move |(sign, title, about, prompt): Starter| {
        let chat = chat.clone();
        view! {
            <button
                type="button"
                on:click=move |_| {
                    actions::send(page, chat.clone(), prompt);
                    browser::focus_conversation();
                }
            >
                <Icon sign />
                <b>{title}</b>
                <span>{about}</span>
            </button>
        }
    };
    view! {
        <div class="start">
            <div class="greeting">
                <img src="/favicon.svg" alt="" width="36" height="36" />
                <h2>"What should we work on?"</h2>
                <p>
                    "The agent gets its own sandbox: it can run code, edit files and show you the result."
                </p>
            </div>
            <div class="starters needs-js">{STARTERS.map(starter).into_iter().collect_view()}</div>
        </div>
    }
}
