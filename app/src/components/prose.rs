//! The agent's words. While they are written, finished blocks become part of the page once, and only
//! what is still open is rendered again.

use leptos::html;
use leptos::prelude::*;

use super::rendered::Rendered;
use crate::markdown::{LiveMarkdown, Step};
use crate::state::Prose;

/// What is on the page of a text.
struct Written {
    markdown: LiveMarkdown,
    /// Bytes of the text that went into it.
    seen: usize,
    generation: u32,
    element: web_sys::Element,
    tail: web_sys::Element,
}

#[component]
pub fn ProseView(prose: Prose, live: Memo<bool>, current: Signal<bool>) -> impl IntoView {
    let element = NodeRef::<html::Div>::new();
    let text = prose.text;
    // A text that is being written begins empty; the effect writes it.
    let settled = !live.get_untracked();
    let whole = if settled { text.with_untracked(|text| text.text.clone()) } else { String::new() };
    Effect::new(move |written: Option<Option<Written>>| {
        let element = element.get()?;
        let mut written = written.flatten();
        let live = live.get();
        text.with(|text| {
            if written.as_ref().is_some_and(|known| known.generation != text.generation) {
                written = None;
                element.set_inner_html("");
            }
            if written.is_none() && settled && text.generation == 0 {
                return None;
            }
            let mut now = match written.take() {
                Some(written) => written,
                None => Written::begin(&element, text.generation)?,
            };
            now.write(&text.text);
            if !live {
                now.finish();
            }
            Some(now)
        })
    });
    view! { <div node_ref=element class="prose" class:writing=current inner_html=Rendered::Markdown(whole)></div> }
}

impl Written {
    fn begin(element: &web_sys::Element, generation: u32) -> Option<Self> {
        let tail = document().create_element("div").ok()?;
        tail.set_class_name("tail");
        element.append_child(&tail).ok()?;
        let element = element.clone();
        Some(Self { markdown: LiveMarkdown::default(), seen: 0, generation, element, tail })
    }

    fn write(&mut self, text: &str) {
        if let Some(more) = text.get(self.seen..).filter(|more| !more.is_empty()) {
            if self.tail.parent_element().is_none() {
                self.element.append_child(&self.tail).ok();
            }
            self.markdown.push(more);
            self.seen = text.len();
            for step in self.markdown.steps() {
                self.apply(step);
            }
        }
    }

    /// Nothing is open any more: the page is as if it had come so from the server.
    fn finish(&mut self) {
        let step = self.markdown.finish();
        if self.tail.parent_element().is_some() {
            self.apply(step);
            self.tail.remove();
        }
    }

    fn apply(&self, step: Step) {
        match step {
            Step::Finish(html) => {
                self.tail.set_inner_html("");
                if !html.is_empty() {
                    // The tail is part of the page, so there is a place before it.
                    self.tail.insert_adjacent_html("beforebegin", &html).ok();
                }
            }
            Step::Tail(html) => self.tail.set_inner_html(&html),
            Step::Grow(text) => {
                let code = self.tail.query_selector("code").ok().flatten();
                let Some(code) = code else { return };
                match code.first_child().and_then(as_text) {
                    Some(node) => drop(node.append_data(&text)),
                    None => code.set_text_content(Some(&text)),
                }
            }
        }
    }
}

fn as_text(node: web_sys::Node) -> Option<web_sys::CharacterData> {
    use leptos::wasm_bindgen::JsCast;
    node.dyn_into().ok()
}
