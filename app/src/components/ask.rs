//! Something that the agent asks: a card while it waits, one quiet line afterwards.

use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::{ev, html};
use sandbox_sdk::types::{Extra, InteractionRequest};

use super::ask_field::{AskField, WRITTEN};
use super::icon::{Icon, Sign};
use super::rendered::Rendered;
use crate::ask::{self, Act};
use crate::browser;
use crate::state::{Ask, Delivery, actions, drafts};
use crate::tool;

const NO_SCRIPT: &str = "<p class=\"no-js\">Answering needs JavaScript.</p>";

#[component]
pub fn AskView(turn_id: String, ask: Ask, live: Memo<bool>) -> impl IntoView {
    let waiting = {
        let ask = ask.clone();
        Memo::new(move |_| live.get() && ask.waits())
    };
    let came_of = {
        let ask = ask.clone();
        Memo::new(move |_| {
            let in_time = ask.delivery.with(|delivery| *delivery != Delivery::TooLate);
            ask.part.with(|part| ask::came_of(part, live.get() && in_time))
        })
    };
    let request = ask.part.with_untracked(|part| part.request.clone());
    let title = ask::title(&request);
    let subject = request.subject.as_deref().map(tool::shown);
    let card = NodeRef::<html::Details>::new();
    // While it waits there is nothing to fold.
    let press = move |event: ev::MouseEvent| {
        if waiting.get_untracked() {
            event.prevent_default();
        }
    };
    view! {
        <details node_ref=card class="ask" class:waiting=waiting open=waiting tabindex="-1">
            <summary class="fold" tabindex=move || waiting.get().then_some("-1") on:click=press>
                <i class="dot live"></i>
                <Icon sign=Sign::Chevron class="icon chevron" />
                <span class="asked">{title}</span>
                {subject.map(|subject| view! { <code>{subject}</code> })}
                {move || {
                    came_of.get().map(|words| view! { <span class="came-of">"· " {words}</span> })
                }}
            </summary>
            <AskForm turn_id ask request waiting card />
        </details>
    }
}

#[component]
fn AskForm(
    turn_id: String,
    ask: Ask,
    request: InteractionRequest,
    waiting: Memo<bool>,
    card: NodeRef<html::Details>,
) -> impl IntoView {
    let form = NodeRef::<html::Form>::new();
    let shown = shown_answer(&ask, waiting, card);
    let delivery = ask.delivery.clone();
    let (title, acts) = (ask::title(&request), ask::acts(&request));
    let (subject, body) = (request.subject.clone(), ask::body(&request));
    let by_enter = acts.first().filter(|_| ask::enter_answers(&request)).cloned();
    let given = Given { form, asked: StoredValue::new(Asked { turn_id, ask, request }) };
    let on_key = move |event: ev::KeyboardEvent| {
        if let Some(act) = by_enter.as_ref().filter(|_| is_enter(&event)) {
            event.prevent_default();
            given.send(act);
        }
    };
    let fields = move || {
        let answer = shown.get();
        given.asked.with_value(|asked| {
            let request = &asked.request;
            let field = |field| {
                view! { <AskField field answer=answer.clone() asked=ask::title(request) /> }
            };
            ask::fields(request).into_iter().map(field).collect_view()
        })
    };
    let closed = {
        let delivery = delivery.clone();
        let under_way = |it: &Delivery| matches!(it, Delivery::Sending | Delivery::Sent);
        move || !waiting.get() || delivery.with(under_way)
    };
    view! {
        // By this method a form never leads away, whatever key is pressed before the page is alive.
        <form
            node_ref=form
            method="dialog"
            aria-label=title
            on:input=move |_| given.note()
            on:keydown=on_key
        >
            {subject
                .map(|subject| {
                    view! {
                        <div class="output">
                            <pre tabindex="0">{tool::visible(&subject)}</pre>
                        </div>
                    }
                })}
            {body
                .map(|body| {
                    view! {
                        <div class="prose" tabindex="0" inner_html=Rendered::Markdown(body)></div>
                    }
                })}
            <fieldset disabled=closed>
                {fields}
                <Acts acts delivery given />
            </fieldset>
            <noscript inner_html=NO_SCRIPT></noscript>
        </form>
    }
}

/// The buttons, and what becomes of the answer.
#[component]
fn Acts(acts: Vec<Act>, delivery: ArcRwSignal<Delivery>, given: Given) -> impl IntoView {
    let more = acts.iter().find_map(|act| Some((act.words.clone(), act.about.clone()?)));
    let button = move |act: Act| {
        let class = if act.first { "button first" } else { "button" };
        let words = act.words.clone();
        view! {
            <button type="button" class=class on:click=move |_| given.send(&act)>
                {words}
            </button>
        }
    };
    let said = move || {
        delivery.with(|delivery| match delivery {
            Delivery::Sending => Some(("Sending…".to_owned(), "on-its-way shimmer")),
            Delivery::Sent => Some(("Sent".to_owned(), "on-its-way")),
            Delivery::Failed(words) => Some((words.clone(), "problem")),
            Delivery::None | Delivery::TooLate => None,
        })
    };
    view! {
        <div class="acts needs-js">
            {acts.into_iter().map(button).collect_view()}
            <span role="status">
                {move || said().map(|(words, class)| view! { <span class=class>{words}</span> })}
            </span>
        </div>
        {more
            .map(|(words, about)| view! { <p class="about needs-js">{words} ": " {about}</p> })}
    }
}

/// What is asked in which turn.
struct Asked {
    turn_id: String,
    ask: Ask,
    request: InteractionRequest,
}

/// What is asked, and the form with what is filled in.
#[derive(Clone, Copy)]
struct Given {
    form: NodeRef<html::Form>,
    asked: StoredValue<Asked>,
}

impl Given {
    /// Answers as the button says.
    fn send(self, act: &Act) {
        let Some(form) = self.form.get_untracked() else { return };
        self.asked.with_value(|Asked { turn_id, ask, request }| {
            match ask::answer(request, act, read(&form, request)) {
                Ok(answer) => actions::answer(turn_id.clone(), ask.clone(), answer),
                Err(words) => ask.delivery.set(Delivery::Failed(words)),
            }
        });
    }

    /// Keeps what is filled in, but for its secrets.
    fn note(self) {
        let Some(form) = self.form.get_untracked() else { return };
        self.asked.with_value(|Asked { ask, request, .. }| {
            drafts::set_answer(&ask.id, &request.without_secrets(&read(&form, request)));
            if ask.delivery.with_untracked(|delivery| matches!(delivery, Delivery::Failed(_))) {
                ask.delivery.set(Delivery::None);
            }
        });
    }
}

/// Whether it is the Enter key, and neither begins a new line, nor ends the writing of a character,
/// nor presses a button.
fn is_enter(event: &ev::KeyboardEvent) -> bool {
    let composing = event.is_composing() || event.key_code() == 229;
    let element = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
    let on_button = element.is_some_and(|element| element.tag_name() == "BUTTON");
    event.key() == "Enter" && !event.shift_key() && !composing && !on_button
}

/// What the fields begin with: what was filled in before a reload, and, once it is over, what was
/// answered, be it elsewhere.
fn shown_answer(ask: &Ask, waiting: Memo<bool>, card: NodeRef<html::Details>) -> RwSignal<Extra> {
    let (id, part) = (ask.id.clone(), ask.part.clone());
    let answer = move || part.with_untracked(|part| part.answer.clone());
    let shown = RwSignal::new(answer().unwrap_or_default());
    Effect::new(move |before: Option<Option<bool>>| {
        let card = card.get()?;
        let now = waiting.get();
        match (before.flatten(), now) {
            (None, true) => {
                let begun = drafts::answer(&id);
                if !begun.is_empty() {
                    shown.set(begun);
                }
                browser::offer_focus(&card);
            }
            (Some(true), false) => {
                drafts::forget_answer(&id);
                forget_secrets(&card);
                if let Some(answer) = answer() {
                    shown.set(answer);
                }
            }
            _ => {}
        }
        Some(now)
    });
    shown
}

/// What was given in confidence does not stay on the page.
fn forget_secrets(card: &web_sys::Element) {
    let Ok(fields) = card.query_selector_all("input[type=password]") else { return };
    let fields = (0..fields.length()).filter_map(|at| fields.item(at)?.dyn_into().ok());
    fields.for_each(|field: web_sys::HtmlInputElement| field.set_value(""));
}

/// What is filled in.
fn read(form: &web_sys::HtmlFormElement, request: &InteractionRequest) -> Extra {
    let Ok(held) = web_sys::FormData::new_with_form(form) else { return Extra::new() };
    let fields = request.answer_spec.fields.iter();
    let value = |field: &sandbox_sdk::types::AnswerField| {
        let chosen = held.get_all(&field.key);
        let chosen: Vec<String> = chosen.iter().filter_map(|row| row.as_string()).collect();
        let written = held.get(&format!("{}{WRITTEN}", field.key)).as_string();
        let value = ask::value(&field.kind, &chosen, &written.unwrap_or_default())?;
        Some((field.key.clone(), value))
    };
    fields.filter_map(value).collect()
}
