//! What only a browser has: clock, network, keys, history. Attached once, when the page is alive.

pub mod place;
pub mod tabs;

use std::time::Duration;

use leptos::ev;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};
use leptos_router::location::{BrowserUrl, LocationProvider};

use crate::state::{Link, Page, Place, actions};

/// How often seconds are counted, while some are shown.
const TICK: Duration = Duration::from_millis(500);
/// How often the list of chats is asked for, while something runs.
const POLL: Duration = Duration::from_secs(4);

/// Attaches the page to the browser. On the server nothing happens: effects do not run there.
pub fn attach(page: Page, place: Memo<Place>) {
    let navigate = use_navigate();
    Effect::new(move |_| {
        if let Some((to, replace)) = page.destination.get() {
            page.destination.set(None);
            navigate(&to, NavigateOptions { replace, scroll: false, ..Default::default() });
        }
    });
    let (path, history) = (use_location().pathname, use_context::<BrowserUrl>());
    Effect::new(move |_| {
        let now = path.get();
        // A link's address is shown when its page is there, and here it is there at once.
        if let Some(history) = &history {
            history.ready_to_complete();
        }
        leptos::task::spawn_local(async move {
            leptos::task::tick().await;
            if path.try_get_untracked().as_ref() == Some(&now) {
                show_address(&now);
            }
        });
    });
    Effect::new(move |before: Option<Place>| {
        let place = place.get();
        if before.is_some_and(|before| before != place) {
            actions::go_to(page, &place);
        }
        place
    });
    Effect::new(move |alive: Option<()>| {
        if alive.is_none() {
            come_alive(page);
        }
    });
}

/// Puts the address of what is shown into the history, if the router has not: where one has gone back
/// and forward it goes by the last address that it put there itself, and takes that for the present one.
fn show_address(path: &str) {
    if window().location().pathname().is_ok_and(|shown| shown == path) {
        return;
    }
    if let Ok(history) = window().history() {
        // A browser refuses too many at once, and is no worse for it.
        history.push_state_with_url(&leptos::wasm_bindgen::JsValue::NULL, "", Some(path)).ok();
    }
}

fn come_alive(page: Page) {
    page.clock.set(actions::now());
    page.zone_ms.set(js_sys::Date::new_0().get_timezone_offset() as i64 * -60_000);
    page.online.set(window().navigator().on_line());
    listen(page);
    set_interval(move || tick(page), TICK);
    set_interval(
        move || {
            if page.is_busy() && page.online.get_untracked() && !hidden() {
                actions::refresh_list(page);
            }
        },
        POLL,
    );
    actions::follow_active(page, page.current.get_untracked());
    say_hydrated();
}

/// Tests and styles wait for this mark. What was pressed before it is done now.
fn say_hydrated() {
    let Some(root) = document().document_element() else { return };
    let early = js_sys::Reflect::get(&root, &"early".into()).ok();
    // Setting a plain attribute does not fail.
    root.set_attribute("data-hydrated", "").ok();
    if let Some(Ok(button)) = early.map(JsCast::dyn_into::<web_sys::HtmlElement>) {
        button.click();
    }
}

fn listen(page: Page) {
    let leave = |handle: WindowListenerHandle| std::mem::forget(handle);
    leave(window_event_listener(ev::online, move |_| {
        page.online.set(true);
        actions::catch_up(page);
    }));
    leave(window_event_listener(ev::offline, move |_| page.online.set(false)));
    leave(window_event_listener(ev::focus, move |_| {
        if !hidden() {
            actions::catch_up(page);
        }
    }));
    leave(window_event_listener(ev::popstate, move |_| {
        if page.drawer.get_untracked() {
            page.drawer.set(false);
            focus("open-menu");
        }
    }));
    leave(window_event_listener(ev::resize, move |_| {
        // On a page that has become wide the chats are no drawer, and nothing is behind them.
        if page.drawer.get_untracked() && is_wide() {
            close_drawer(page);
        }
    }));
    leave(window_event_listener(ev::keydown, move |event| key(page, &event)));
    tabs::listen(move |chat| actions::changed_elsewhere(page, chat));
}

fn key(page: Page, event: &web_sys::KeyboardEvent) {
    // What writes a character, and what answers the dialog, means nothing else.
    let composing = event.is_composing() || event.key_code() == 229;
    if composing || event.default_prevented() || page.deleting.with_untracked(Option::is_some) {
        return;
    }
    if page.choosing.get_untracked() {
        return;
    }
    let command = event.meta_key() || event.ctrl_key();
    if command && !event.shift_key() && !event.alt_key() && event.key().eq_ignore_ascii_case("k") {
        event.prevent_default();
        begin_chat(page);
    } else if event.key() == "Escape" && !in_a_field(event) {
        if page.drawer.get_untracked() {
            close_drawer(page);
        } else {
            actions::stop(page, page.current.get_untracked());
        }
    }
}

fn begin_chat(page: Page) {
    // The drawer's own entry of the history makes room.
    let replace = page.drawer.get_untracked();
    page.drawer.set(false);
    page.destination.set(Some(("/".into(), replace)));
    focus("message");
}

/// Whether the chats stand beside the conversation. The width is that of the style sheets.
fn is_wide() -> bool {
    matches("(width >= 48rem)")
}

/// Whether the finger is what points: then a field that takes the focus brings a keyboard with it,
/// which covers half of the page.
fn is_touched() -> bool {
    matches("(pointer: coarse)")
}

fn matches(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|list| list.matches())
}

/// In a field of one line Escape means that field.
fn in_a_field(event: &web_sys::KeyboardEvent) -> bool {
    event.target().is_some_and(|target| target.has_type::<web_sys::HtmlInputElement>())
}

/// Moves the clock on while somebody looks at seconds.
fn tick(page: Page) {
    let current = page.current.get_untracked();
    let counting = current.turn.with_untracked(Option::is_some)
        || matches!(*current.link.read_untracked(), Link::Reconnecting { .. });
    if counting && !hidden() {
        page.clock.set(actions::now());
    }
}

fn hidden() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Hidden
}

/// How many frames an element may take to be there and to be shown: as long as the drawer moves.
const FOCUS_FRAMES: u32 = 30;

/// Puts the focus on the element with this id, once it is there.
pub fn focus(id: &str) {
    focus_first(format!("#{id}"), FOCUS_FRAMES);
}

/// Puts the focus on the row of a chat.
pub fn focus_chat(id: &str) {
    focus_first(format!(".chat-row > a[href=\"/chat/{id}\"]"), FOCUS_FRAMES);
}

/// Whether the focus is on the element with this id.
pub fn has_focus(id: &str) -> bool {
    document().active_element().is_some_and(|active| active.id() == id)
}

/// Puts the focus where the conversation goes on: into the message's field, or, where that would
/// bring up a keyboard, on the conversation.
pub fn focus_conversation() {
    focus(if is_touched() { "conversation" } else { "message" });
}

/// Puts the focus on something new that asks the person, who is at nothing else.
pub fn offer_focus(card: &web_sys::HtmlElement) {
    let Some(at) = document().active_element() else { return };
    let field = at.dyn_ref::<web_sys::HtmlTextAreaElement>();
    let writing = field.is_none_or(|field| field.id() != "message" || !field.value().is_empty());
    if !is_touched() && (at.tag_name() == "BODY" || !writing) {
        card.focus().ok();
    }
}

/// Takes the focus from a card that has nothing more to fill in.
pub fn leave_card() {
    let at = document().active_element();
    let inside = |at: web_sys::Element| at.closest(".ask").ok().flatten().is_some();
    if at.is_none_or(|at| at.tag_name() == "BODY" || inside(at)) {
        focus_conversation();
    }
}

fn focus_first(selector: String, frames: u32) {
    request_animation_frame(move || {
        let element = document().query_selector(&selector).ok().flatten();
        let element = element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok());
        let focused = element.is_some_and(|element| {
            // An element that can't be focused yet stays as it is.
            element.focus().ok();
            document().active_element().is_some_and(|active| active == *element)
        });
        if !focused && frames > 0 {
            focus_first(selector, frames - 1);
        }
    });
}

/// Opens the drawer. The entry in the history is what "back" takes away.
pub fn open_drawer(page: Page) {
    if let Ok(history) = window().history() {
        history.push_state(&leptos::wasm_bindgen::JsValue::NULL, "").ok();
    }
    page.drawer.set(true);
    focus("close-menu");
}

/// Closes the drawer the way "back" does.
pub fn close_drawer(page: Page) {
    if page.drawer.get_untracked() {
        page.drawer.set(false);
        if let Ok(history) = window().history() {
            history.back().ok();
        }
        focus(if is_wide() { "message" } else { "open-menu" });
    }
}

/// A link among the chats was followed. The drawer closes, be it that the link leads to where one is.
pub fn follow_link(page: Page, event: &web_sys::MouseEvent) {
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let link = target.and_then(|target| target.closest("a[href]").ok().flatten());
    let Some(link) = link.filter(|_| !opens_elsewhere(event)) else { return };
    let href = link.get_attribute("href").unwrap_or_default();
    let then = if href == "/" { "message" } else { "open-menu" };
    if !page.drawer.get_untracked() {
        if href == "/" {
            focus(then);
        }
    } else if window().location().pathname().is_ok_and(|here| here == href) {
        event.prevent_default();
        close_drawer(page);
    } else {
        // The router, which comes after us, replaces the drawer's entry of the history.
        set_timeout(move || page.drawer.set(false), Duration::ZERO);
        focus(then);
    }
}

/// In another tab or window: this page stays as it is.
fn opens_elsewhere(event: &web_sys::MouseEvent) -> bool {
    event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key()
}

/// In the browser's own way: the tables that it takes are not part of the module.
pub fn lowercase(text: &str) -> String {
    js_sys::JsString::from(text).to_lower_case().into()
}

/// Copies a text, and says so.
pub fn copy(page: Page, text: &str) {
    let navigator = window().navigator();
    // Browsers hide the clipboard from pages that came over an open connection.
    let clipboard = js_sys::Reflect::get(&navigator, &"clipboard".into());
    if clipboard.is_ok_and(|clipboard| clipboard.is_undefined()) {
        return page.announce("The browser does not allow copying here.");
    }
    let done = navigator.clipboard().write_text(text);
    leptos::task::spawn_local(async move {
        let copied = wasm_bindgen_futures::JsFuture::from(done).await.is_ok();
        page.announce(if copied { "Copied." } else { "The browser does not allow copying here." });
    });
}

/// How the page's shortcuts are written on this computer's keys.
pub fn command_key() -> &'static str {
    let platform = window().navigator().platform().unwrap_or_default();
    if platform.starts_with("Mac") || platform.starts_with("iP") { "⌘ K" } else { "Ctrl K" }
}
