//! The page of a new chat: one sentence, and four things that need a sandbox.

use leptos::prelude::*;

use crate::browser;
use crate::state::{Conversation, Page, actions};

/// Title, what to expect, and what is sent.
const STARTERS: [(&str, &str, &str); 4] = [
    (
        "Explain a repository",
        "Map it, read it, try its tests",
        "Explain a repository to me: what it is for, how it is laid out, and whether its tests pass.",
    ),
    (
        "Clean a spreadsheet",
        "Duplicates out, one date format in",
        "Clean a spreadsheet: drop the duplicates and bring its dates into one format.",
    ),
    (
        "Write and run a script",
        "From one sentence to its output",
        "Write a script that prints the first prime numbers, and show me its output.",
    ),
    (
        "Find the slow part",
        "Measure a program, make it faster",
        "Find the slow part of a program, fix it, and show me how much faster it became.",
    ),
];

#[component]
pub fn Start(page: Page, chat: Conversation) -> impl IntoView {
    let starter = move |(title, about, prompt): (&'static str, &'static str, &'static str)| {
        let chat = chat.clone();
        view! {
            <button
                type="button"
                on:click=move |_| {
                    actions::send(page, chat.clone(), prompt);
                    browser::focus_conversation();
                }
            >
                <b>{title}</b>
                <span>{about}</span>
            </button>
        }
    };
    view! {
        <div class="start">
            <div class="greeting">
                <h2>"What should we work on?"</h2>
                <p>
                    "The agent gets its own sandbox: it can run code, edit files and show you the result."
                </p>
            </div>
            <div class="starters needs-js">{STARTERS.map(starter).into_iter().collect_view()}</div>
        </div>
    }
}
