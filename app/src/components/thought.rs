//! What the agent thought: open while it thinks, folded afterwards.

use leptos::prelude::*;

use super::fold::fold;
use super::icon::{Icon, Sign};
use crate::state::{Page, Step, StepKind};
use crate::words;

#[component]
pub fn ThoughtView(page: Page, step: Step, current: Signal<bool>) -> impl IntoView {
    let StepKind::Thought { text, time } = step.kind else { return ().into_any() };
    let thinking = {
        let time = time.clone();
        Memo::new(move |_| {
            current.get() && time.with(|time| time.is_none_or(|time| time.end.is_none()))
        })
    };
    let title = move || match time.get() {
        Some(time) if thinking.get() => {
            format!("Thinking {}", words::elapsed(time.start, page.clock.get().max(time.start)))
        }
        _ if thinking.get() => "Thinking".into(),
        Some(time) => match time.millis() {
            Some(ms) => format!("Thought for {}", whole_seconds(ms)),
            None => "Thought".into(),
        },
        None => "Thought".into(),
    };
    let (open, touch) = fold(move || thinking.get());
    view! {
        <details class="thinking" open=open on:click=touch>
            <summary class="fold">
                <Icon sign=Sign::Chevron class="icon chevron" />
                <span class="number" class:shimmer=thinking>
                    {title}
                </span>
            </summary>
            <div class="thought" tabindex="0">{move || text.with(|text| text.text.clone())}</div>
        </details>
    }
    .into_any()
}

/// A thought is not measured in tenths.
fn whole_seconds(ms: i64) -> String {
    if ms < 1000 { "a moment".into() } else { words::elapsed(0, ms + 500) }
}
