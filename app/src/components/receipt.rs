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
                <button
                    type="button"
                    class="quiet needs-js"
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
                                    class="quiet needs-js"
                                    aria-label="Retry"
                                    title="Retry"
                                    on:click=again
                                >
                                    <Icon sign=Sign::Again />
                                </button>
                            }
                        })
                }}
                {
                    let receipt = receipt.clone();
                    move || {
                        let words = receipt
                            .with(|receipt| {
                                let receipt = receipt.as_ref()?;
                                Some(said(receipt, &page.agent_name(&receipt.agent)))
                            });
                        words.map(|words| view! { <span class="number">{words}</span> })
                    }
                }
            </footer>
        }
    };
    move || (!live.get()).then(&line)
}

/// Who answered, how long it took, what it cost and what was metered.
fn said(receipt: &Receipt, agent: &str) -> String {
    let credits = match receipt.charged {
        Credits(0) => "no credits".into(),
        Credits(1_000_000) => "1 credit".into(),
        charged => format!("{charged} credits"),
    };
    // An agent that needs no model is its own.
    let who = if receipt.model == receipt.agent {
        agent.to_owned()
    } else {
        format!("{agent} · {}", words::model(&receipt.model).0)
    };
    let cached = match receipt.cached_tokens {
        0 => String::new(),
        tokens => format!(" ({} cached)", words::number(tokens)),
    };
    let (read, written) =
        (words::tokens(receipt.input_tokens), words::number(receipt.output_tokens));
    let took = words::duration(receipt.duration_ms as i64);
    format!("{who} · {took} · {credits} · {read} in{cached}, {written} out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            agent: "demo".into(),
            model: "demo".into(),
            input_tokens: 1,
            cached_tokens: 0,
            output_tokens: 2,
            charged: Credits(380_000),
            duration_ms: 3_200,
        }
    }

    #[test]
    fn a_receipt_says_duration_price_and_tokens() {
        let charged = |charged| said(&Receipt { charged: Credits(charged), ..receipt() }, "demo");
        assert_eq!(charged(380_000), "demo · 3.2 s · 0.38 credits · 1 token in, 2 out");
        assert_eq!(charged(1_000_000), "demo · 3.2 s · 1 credit · 1 token in, 2 out");
        assert_eq!(charged(0), "demo · 3.2 s · no credits · 1 token in, 2 out");
    }

    #[test]
    fn a_receipt_names_agent_and_model_and_what_came_from_a_cache() {
        let receipt = Receipt {
            agent: "claude-code".into(),
            model: "anthropic/claude-sonnet-5-5".into(),
            input_tokens: 12_300,
            cached_tokens: 11_000,
            output_tokens: 420,
            ..receipt()
        };
        assert_eq!(
            said(&receipt, "Claude Code"),
            "Claude Code · claude-sonnet-5-5 · 3.2 s · 0.38 credits · \
             12\u{202f}300 tokens in (11\u{202f}000 cached), 420 out"
        );
    }
}
