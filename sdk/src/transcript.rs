//! Puts an agent's message together from its events.
//!
//! One accumulator for the orchestrator (the durable record of a turn) and for the page (what the
//! person watches), so that both always show the same message.

use crate::types::{Part, PartBody, PartUpdated, ToolState};

/// The parts of one message, in the order in which they first came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    parts: Vec<Part>,
}

/// What an update did, for a view that repaints only what changed. Indices are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new part stands at the index.
    Added(usize),
    /// The text of the part at the index grew at its end by the update's delta.
    Grew(usize),
    /// The part at the index is another now.
    Replaced(usize),
    /// Nothing to repaint.
    None,
}

impl Transcript {
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// The text of the whole message: its text parts, parted by blank lines.
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match &part.body {
            PartBody::Text(text) if !text.text.is_empty() => Some(text.text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// Takes one update. A delta appends; a snapshot replaces; a settled tool never runs again.
    pub fn apply(&mut self, update: PartUpdated) -> Change {
        let PartUpdated { mut part, delta, .. } = update;
        let Some(index) = self.parts.iter().position(|known| known.id == part.id) else {
            // A first update may carry the text in the part, in the delta, or (snapshot and
            // increment together) in both; the longer one is the whole.
            if let (Some(delta), Some(text)) = (delta, text_mut(&mut part.body))
                && text.len() < delta.len()
            {
                *text = delta;
            }
            self.parts.push(part);
            return Change::Added(self.parts.len() - 1);
        };
        let known = &mut self.parts[index].body;
        if let (Some(delta), Some(text)) = (&delta, text_mut(known)) {
            text.push_str(delta);
            return Change::Grew(index);
        }
        let runs_again = match (&*known, &part.body) {
            (PartBody::Tool(old), PartBody::Tool(new)) => {
                old.state.is_settled() && !new.state.is_settled()
            }
            _ => false,
        };
        if runs_again || *known == part.body {
            return Change::None;
        }
        *known = part.body;
        Change::Replaced(index)
    }

    /// Ends what was left open when the turn ended. Only for the durable record, never in between.
    pub fn close_open_tools(&mut self, reason: &str, now_ms: i64) {
        for part in &mut self.parts {
            match &mut part.body {
                PartBody::Tool(tool) if !tool.state.is_settled() => {
                    let (input, mut time) = match &tool.state {
                        ToolState::Running { input, time, .. } => (input.clone(), *time),
                        state => (state.input().clone(), Default::default()),
                    };
                    time.end = Some(now_ms);
                    tool.state = ToolState::Error {
                        input,
                        error: Some(reason.to_owned()),
                        output: serde_json::Value::Null,
                        time,
                    };
                }
                PartBody::Reasoning(reasoning) => {
                    if let Some(time) = &mut reasoning.time
                        && time.end.is_none()
                    {
                        time.end = Some(now_ms);
                    }
                }
                _ => {}
            }
        }
    }
}

fn text_mut(body: &mut PartBody) -> Option<&mut String> {
    match body {
        PartBody::Text(part) => Some(&mut part.text),
        PartBody::Reasoning(part) => Some(&mut part.text),
        _ => None,
    }
}
