//! The tabs of one browser tell each other which chat has changed, so that none of them has to get the
//! focus first.

use leptos::wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BroadcastChannel, MessageEvent};

thread_local! {
    /// What is said on a channel is heard on all others of its name: this tab does not hear itself.
    static CHANNEL: Option<BroadcastChannel> = BroadcastChannel::new("skein").ok();
}

/// Tells the other tabs that a turn has begun in a chat, or that it was renamed or deleted.
pub fn tell(chat: &str) {
    CHANNEL.with(|channel| {
        if let Some(channel) = channel {
            // Where it can't be said, the others see it when they get the focus.
            channel.post_message(&JsValue::from_str(chat)).ok();
        }
    });
}

/// Calls `heard` with the id of a chat whenever another tab has changed one.
pub fn listen(heard: impl Fn(String) + 'static) {
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some(chat) = event.data().as_string() {
            heard(chat);
        }
    });
    CHANNEL.with(|channel| {
        if let Some(channel) = channel {
            channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        }
    });
    // As long as the page.
    on_message.forget();
}
