//! What the agent did and said in one turn.

use leptos::either::EitherOf5;
use leptos::prelude::*;

use super::ask::AskView;
use super::prose::ProseView;
use super::receipt::ReceiptLine;
use super::run::RunView;
use super::thought::ThoughtView;
use crate::state::{AgentMessage, Conversation, Ending, Page, Segment, Stage};
use crate::tool::plain;
use crate::words;

#[component]
pub fn AgentMessageView(page: Page, chat: Conversation, message: AgentMessage) -> impl IntoView {
    let (segments, ending) = (message.segments.clone(), message.ending.clone());
    let live = Memo::new(move |_| ending.with(|ending| *ending == Ending::Live));
    let last = {
        let segments = segments.clone();
        Memo::new(move |_| segments.with(|all| all.last().map(|last| last.id().to_owned())))
    };
    // What comes before a card that is there already must not move it on the page: a browser takes the
    // focus, and with it the keys, from what is moved.
    let fixed = message.first_ahead();
    let parted = |behind: bool| {
        let (segments, fixed) = (segments.clone(), fixed.clone());
        move || {
            segments.with(|segments| {
                let is_fixed = |segment: &Segment| Some(segment.id()) == fixed.as_deref();
                let place = segments.iter().position(is_fixed).unwrap_or(segments.len());
                if behind { segments[place..].to_vec() } else { segments[..place].to_vec() }
            })
        }
    };
    let (before, behind) = (parted(false), fixed.is_some().then(|| parted(true)));
    let turn_id = message.turn_id.clone();
    let show = move |segment: Segment| {
        let id = segment.id().to_owned();
        // The piece that is being written.
        let current =
            Signal::derive(move || live.get() && last.with(|last| last.as_ref() == Some(&id)));
        match segment {
            Segment::Prose(prose) => EitherOf5::A(view! { <ProseView prose live current /> }),
            Segment::Thought(step) => EitherOf5::B(view! { <ThoughtView page step current /> }),
            Segment::Run(run) => EitherOf5::C(view! { <RunView page run current live /> }),
            Segment::Ask(ask) => {
                let turn_id = turn_id.clone();
                EitherOf5::D(view! { <AskView turn_id ask live /> })
            }
            Segment::File { file, .. } => {
                let name = file.filename.unwrap_or_else(|| "a file".into());
                EitherOf5::E(view! { <p class="step flat">"Made " <code>{plain(&name)}</code></p> })
            }
        }
    };
    let turn = chat.turn.clone();
    let wait = move || {
        (live.get() && last.with(Option::is_none)).then(|| {
            turn.with(|turn| match turn {
                Some(turn) if turn.is_stopping() => "Stopping",
                Some(turn) if turn.stage == Stage::Sending && !page.online.get() => {
                    "Waiting for the connection"
                }
                Some(turn) if turn.stage == Stage::Sending => "Sending",
                Some(turn) if turn.stage == Stage::Provisioning => "Waiting for the sandbox",
                _ => "Working",
            })
        })
    };
    let ended = {
        let ending = message.ending.clone();
        move || ending.with(ended)
    };
    view! {
        <article class="message agent">
            <h2 class="sr-only">"Agent"</h2>
            <For each=before key=key_of children=show.clone() />
            {behind.map(|behind| view! { <For each=behind key=key_of children=show /> })}
            {move || wait().map(|words| view! { <p class="wait shimmer">{words}</p> })}
            {move || {
                ended().map(|(words, class)| view! { <p class=class>{words}</p> })
            }}
            <ReceiptLine page chat message live />
        </article>
    }
}

fn key_of(segment: &Segment) -> String {
    segment.id().to_owned()
}

/// How it ended in words, and how to show them.
fn ended(ending: &Ending) -> Option<(String, &'static str)> {
    let Ending::Settled { state, error } = ending else { return None };
    let failed = *state == crate::model::MessageState::Failed;
    let class = if failed { "ending failed" } else { "ending" };
    words::ending(*state, error.as_deref()).map(|words| (words, class))
}
