//! One thing to fill in of what the agent asks: something to choose, or something to write.

use leptos::either::Either;
use leptos::ev;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use sandbox_sdk::types::{AnswerField, AnswerKind, Extra, grant};
use web_sys::HtmlInputElement;

use crate::ask::{self, OWN, Row};

/// What the name of a text has behind its field's. No field is called so.
pub const WRITTEN: &str = "~";

/// `asked`: what it is called, where it has no name of its own.
#[component]
pub fn AskField(field: AnswerField, answer: Extra, asked: String) -> impl IntoView {
    match field.kind {
        AnswerKind::Boolean | AnswerKind::Select { .. } => {
            Either::Left(view! { <Choices field answer asked /> })
        }
        _ => Either::Right(view! { <Written field answer asked /> }),
    }
}

#[component]
fn Choices(field: AnswerField, answer: Extra, asked: String) -> impl IntoView {
    let (multi, own) = match field.kind {
        AnswerKind::Select { multi, allow_custom, .. } => (multi, allow_custom),
        _ => (false, false),
    };
    let kind = if multi { "checkbox" } else { "radio" };
    let (name, words) = (field.key.clone(), ask::own_words(&field, &answer));
    let rows: Vec<Row> = ask::rows(&field.kind);
    let label = field.label.clone();
    let row = |(at, row): (usize, Row)| {
        let checked = ask::is_given(&field, &answer, &row.value);
        view! {
            <label class="option">
                <input type=kind name=field.key.clone() value=at.to_string() checked=checked />
                <span class="name">{row.label}</span>
                {row.about.map(|about| view! { <span class="about">{about}</span> })}
            </label>
        }
    };
    let rows = rows.into_iter().enumerate().map(row).collect_view();
    let asked = label.is_none().then_some(asked);
    let own = own.then(|| {
        view! {
            <div class="option">
                <input type=kind name=name.clone() value=OWN checked=words.is_some() aria-label="Something else" />
                <input
                    type="text"
                    name=format!("{name}{WRITTEN}")
                    value=words.unwrap_or_default()
                    placeholder="Something else…"
                    aria-label="In your own words"
                    autocomplete="off"
                    on:input=choose_own
                />
            </div>
        }
    });
    view! {
        <fieldset class="choices" aria-label=asked>
            {label.map(|label| view! { <legend>{label}</legend> })}
            {rows}
            {own}
        </fieldset>
    }
}

/// Who writes own words chooses them.
fn choose_own(event: ev::Event) {
    let text = event_target::<HtmlInputElement>(&event);
    let mark = text.previous_element_sibling();
    if let Some(mark) = mark.and_then(|mark| mark.dyn_into::<HtmlInputElement>().ok()) {
        mark.set_checked(!text.value().trim().is_empty());
    }
}

#[component]
fn Written(field: AnswerField, answer: Extra, asked: String) -> impl IntoView {
    let name = format!("{}{WRITTEN}", field.key);
    let text = ask::text(&field, &answer);
    // Beside a decision words are an offer: they take one line until they are written.
    let beside = field.key == grant::FEEDBACK;
    let hint = match (&field.kind, &field.label) {
        (AnswerKind::Secret, _) => "Goes to the agent and is kept nowhere".to_owned(),
        (_, Some(label)) if beside => label.clone(),
        _ => String::new(),
    };
    let kind = match field.kind {
        AnswerKind::Number => Some("number"),
        AnswerKind::Secret => Some("password"),
        _ => None,
    };
    let class = if field.label.is_some() && !beside { "" } else { "sr-only" };
    let label = field.label.unwrap_or(asked);
    view! {
        <label class="written">
            <span class=class>{label}</span>
            {match kind {
                Some(kind) => {
                    Either::Left(
                        view! {
                            <input
                                type=kind
                                step="any"
                                name=name
                                value=text
                                placeholder=hint
                                autocomplete="off"
                            />
                        },
                    )
                }
                None => {
                    Either::Right(
                        view! {
                            <textarea rows="1" name=name placeholder=hint prop:value=text></textarea>
                        },
                    )
                }
            }}
        </label>
    }
}
