//! Notices a model that goes in circles.

use crate::builtin::conversation::{Message, ToolResult};

/// The same calls with the same results, so often in a row: the model is told.
const REPEATS_TOLD: usize = 3;
/// And so often: it may call no more.
pub(super) const REPEATS_ENDED: usize = 6;

/// How often the same calls gave the same results.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    last: String,
    pub(super) count: usize,
}

impl Repeats {
    /// Looks at the newest calls and what they gave. A model that goes in circles is told.
    pub(super) fn note(&mut self, messages: &[Message], results: &mut [ToolResult]) {
        let calls = messages.iter().next_back().into_iter().flat_map(Message::calls);
        let mut now: String = calls.map(|call| format!("{} {}\n", call.name, call.input)).collect();
        results.iter().for_each(|result| now.push_str(&result.text));
        self.count = if now == self.last { self.count + 1 } else { 1 };
        self.last = now;
        if self.count >= REPEATS_TOLD
            && let Some(result) = results.last_mut()
        {
            let count = self.count;
            result.text.push_str(&format!(
                "\n[You did the very same {count} times now, with the same result. Try something \
                 else, or tell the user what you found.]"
            ));
        }
    }
}
