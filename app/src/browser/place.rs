//! Where the reader is in the conversation, kept while something comes before it.

use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use web_sys::Element;

/// The answer that the reader has before him, and where it stands in the log.
pub struct Place {
    log: Element,
    answer: Element,
    top: f64,
}

impl Place {
    /// Where the reader is now; none where there is no answer. A question would be no good mark: one
    /// that was asked again goes when the first one is there.
    pub fn now() -> Option<Self> {
        let log = document().get_element_by_id("conversation")?;
        let begin = log.get_bounding_client_rect().top();
        let answers = log.query_selector_all(".message.agent").ok()?;
        let mut answers = (0..answers.length()).filter_map(|at| answers.item(at)?.dyn_into().ok());
        let answer =
            answers.find(|answer: &Element| answer.get_bounding_client_rect().bottom() > begin)?;
        let top = answer.get_bounding_client_rect().top();
        Some(Self { log, answer, top })
    }

    /// Brings the reader back.
    pub fn keep(self) {
        let moved = self.answer.get_bounding_client_rect().top() - self.top;
        self.log.scroll_by_with_x_and_y(0.0, moved);
    }
}
