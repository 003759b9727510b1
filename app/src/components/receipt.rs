//! Under an answer: what can be done with it, and what it took.

use leptos::prelude::*;

use super::icon::{Icon, Sign};
use crate::browser;
use crate::model::{Credits, Receipt};
use crate::state::{AgentMessage, Conversation, Entry, Page, actions};
use crate::words;

#[component]
pub fn ReceiptLine(
    page: Page,
    chat: Conversation,
    message: AgentMessage,
    live: Memo<bool>,
) -> impl IntoView {
    let receipt = message.receipt.clone();
    let message = StoredValue::new(message);
    let chat = StoredValue::new(chat);
    // Only the last answer can be asked for again: what came later stands on the others.
    let last = Memo::new(move |_| {
        let entries = chat.with_value(|chat| chat.entries.clone());
        let turn_id = message.with_value(|message| message.turn_id.clone());
        entries.with(|entries| match entries.last() {
            Some(Entry::Agent(last)) => last.turn_id == turn_id,
            _ => false,
        })
    });
    let copy = move |_| browser::copy(page, &message.with_value(AgentMessage::text));
    let again = move |_| {
        let turn_id = message.with_value(|message| message.turn_id.clone());
        actions::retry(page, chat.get_value(), &turn_id);
        // The button goes: only the last answer has it.
        browser::focus_conversation();
    };
    let line = move || {
        view! {
            <footer class="receipt">
                <span class="actions needs-js">
                    <button
                        type="button"
                        class="quiet"
                        aria-label="Copy message"
                        title="Copy message"
                        on:click=copy
                    >
                        <Icon sign=Sign::Copy />
                    </button>
                    {move || {
                        last.get()
                            .then(|| {
                                view! {
                                    <button
                                        type="button"
                                        class="quiet"
                                        aria-label="Retry"
                                        title="Retry"
                                        on:click=again
                                    >
                                        <Icon sign=Sign::Again />
                                    </button>
                                }
                            })
                    }}
                </span>
                {
                    let receipt = receipt.clone();
                    move || {
                        let words = receipt.with(|receipt| receipt.as_ref().map(said));
                        words.map(|words| view! { <span class="number">{words}</span> })
                    }
                }
            </footer>
        }
    };
    move || (!live.get()).then(&line)
}

/// Model, duration and price.
fn said(receipt: &Receipt) -> String {
    let credits = match receipt.charged {
        Credits(0) => "no credits".into(),
        Credits(1_000_000) => "1 credit".into(),
        charged => format!("{charged} credits"),
    };
    let took = words::duration(receipt.duration_ms as i64);
    format!("{} · {took} · {credits}", receipt.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_says_model_duration_and_price() {
        let receipt = |charged| Receipt {
            model: "demo".into(),
            input_tokens: 1,
            output_tokens: 2,
            charged: Credits(charged),
            duration_ms: 3_200,
        };
        assert_eq!(said(&receipt(380_000)), "demo · 3.2 s · 0.38 credits");
        assert_eq!(said(&receipt(1_000_000)), "demo · 3.2 s · 1 credit");
        assert_eq!(said(&receipt(0)), "demo · 3.2 s · no credits");
    }
}
