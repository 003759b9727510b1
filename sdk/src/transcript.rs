//! Puts an agent's message together from its events.
//!
//! One accumulator for the orchestrator (the durable record of a turn) and for the page (what the
//! person watches), so that both always show the same message.

use crate::types::{
    Extra, InteractionAsked, InteractionCancelled, InteractionResolved, InteractionStatus, Part,
    PartBody, PartUpdated, ToolState,
};

/// The parts of one message, in the order in which they first came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    parts: Vec<Part>,
    /// Ends of interactions that came before their beginnings.
    early: Vec<Settled>,
}

/// How an interaction ended.
#[derive(Clone, Debug, PartialEq)]
struct Settled {
    id: String,
    status: InteractionStatus,
    answer: Option<Extra>,
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
    /// The parts so far. An index, once given, stays with its part.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts, for good.
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

    /// Takes one update. A delta appends; a snapshot replaces; a tool call only moves forward.
    pub fn apply(&mut self, update: PartUpdated) -> Change {
        let change = self.preview(&update);
        let PartUpdated { mut part, delta, .. } = update;
        match change {
            Change::Added(_) => {
                // A first update may carry the text in the part, in the delta, or (snapshot and
                // increment together) in both; the longer one is the whole.
                if let (Some(delta), Some(text)) = (delta, text_mut(&mut part.body))
                    && text.len() < delta.len()
                {
                    *text = delta;
                }
                self.parts.push(part);
            }
            Change::Grew(index) => {
                if let (Some(delta), Some(text)) = (delta, text_mut(&mut self.parts[index].body)) {
                    text.push_str(&delta);
                }
            }
            Change::Replaced(index) => self.parts[index].body = part.body,
            Change::None => {}
        }
        change
    }

    /// What [`apply`](Self::apply) would do, for those who have to know before.
    pub fn preview(&self, update: &PartUpdated) -> Change {
        let PartUpdated { part, delta, .. } = update;
        let Some(index) = self.position(part) else { return Change::Added(self.parts.len()) };
        let known = &self.parts[index].body;
        let grows = delta.as_ref().is_some_and(|delta| !delta.is_empty());
        if grows && text(known).is_some() {
            return Change::Grew(index);
        }
        // An empty delta beside an empty text says nothing; it is no snapshot of an empty part.
        let empty = delta.is_some() && text(&part.body).is_some_and(str::is_empty);
        if empty || goes_back(known, &part.body) || *known == part.body {
            return Change::None;
        }
        Change::Replaced(index)
    }

    /// Takes a request to a person: a part that waits. The same again changes nothing.
    pub fn ask(&mut self, asked: InteractionAsked) -> Change {
        let mut part = asked.into_part();
        if let PartBody::Interaction(interaction) = &mut part.body
            && let Some(at) = self.early.iter().position(|end| end.id == part.id)
        {
            let Settled { status, answer, .. } = self.early.swap_remove(at);
            (interaction.status, interaction.answer) = (status, answer);
        }
        self.apply(PartUpdated { part, delta: None, extra: Extra::new() })
    }

    /// Takes a person's answer. An interaction ends once; whatever comes later changes nothing.
    pub fn resolve(&mut self, resolved: InteractionResolved) -> Change {
        let InteractionResolved { id, status, answer, .. } = resolved;
        self.settle(Settled { id, status, answer })
    }

    /// Takes the end of a request that nobody answered.
    pub fn cancel(&mut self, cancelled: InteractionCancelled) -> Change {
        let status = cancelled.status();
        self.settle(Settled { id: cancelled.id, status, answer: None })
    }

    fn settle(&mut self, end: Settled) -> Change {
        if !end.status.is_final() {
            return Change::None;
        }
        let known = self.parts.iter_mut().enumerate().find_map(|(at, part)| match &mut part.body {
            PartBody::Interaction(interaction) if part.id == end.id => Some((at, interaction)),
            _ => None,
        });
        match known {
            Some((at, interaction)) if !interaction.status.is_final() => {
                (interaction.status, interaction.answer) = (end.status, end.answer);
                Change::Replaced(at)
            }
            None if self.early.iter().all(|early| early.id != end.id) => {
                self.early.push(end);
                Change::None
            }
            _ => Change::None,
        }
    }

    /// Where the part stands already. A part without an id goes on for as long as nothing else comes; a
    /// tool call without one is known by its call id.
    fn position(&self, part: &Part) -> Option<usize> {
        if !part.id.is_empty() {
            return self.parts.iter().rposition(|known| known.id == part.id);
        }
        if let PartBody::Tool(tool) = &part.body
            && !tool.call_id.is_empty()
        {
            return self.parts.iter().rposition(|known| match &known.body {
                PartBody::Tool(known) => known.call_id == tool.call_id,
                _ => false,
            });
        }
        let last = self.parts.last()?;
        let goes_on = match (&last.body, &part.body) {
            (PartBody::Tool(old), PartBody::Tool(new)) => {
                old.tool == new.tool && !old.state.is_settled()
            }
            (PartBody::Other(_) | PartBody::Interaction(_), _) => false,
            (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
        };
        (last.id.is_empty() && goes_on).then_some(self.parts.len() - 1)
    }

    /// Ends what was left open when the turn ended. Only for the durable record, never in between.
    pub fn close_open_parts(&mut self, reason: &str, now_ms: i64) {
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
                PartBody::Interaction(interaction) if !interaction.status.is_final() => {
                    interaction.status = InteractionStatus::Cancelled;
                }
                _ => {}
            }
        }
    }
}

/// Whether a tool call or an interaction would move back: an update that was overtaken.
fn goes_back(old: &PartBody, new: &PartBody) -> bool {
    let stage = |state: &ToolState| match state {
        ToolState::Pending { .. } => 0,
        ToolState::Running { .. } => 1,
        ToolState::Completed { .. } | ToolState::Error { .. } => 2,
    };
    match (old, new) {
        (PartBody::Tool(old), PartBody::Tool(new)) => stage(&new.state) < stage(&old.state),
        (PartBody::Interaction(old), PartBody::Interaction(_)) => old.status.is_final(),
        _ => false,
    }
}

fn text(body: &PartBody) -> Option<&str> {
    match body {
        PartBody::Text(part) => Some(&part.text),
        PartBody::Reasoning(part) => Some(&part.text),
        _ => None,
    }
}

fn text_mut(body: &mut PartBody) -> Option<&mut String> {
    match body {
        PartBody::Text(part) => Some(&mut part.text),
        PartBody::Reasoning(part) => Some(&mut part.text),
        _ => None,
    }
}
