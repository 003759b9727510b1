//! From the parts of a message to the pieces that show them.
//!
//! A piece stays for as long as its part stands where it stood. What is asked stays wherever it comes
//! to stand, known by its id: somebody may be in the middle of an answer.

use std::sync::{MutexGuard, PoisonError};

use leptos::prelude::*;
use sandbox_sdk::types::{InteractionPart, Part, PartBody};

use super::{AgentMessage, Ask, Ending, GrowingText, Prose, Run, Segment, Step, StepKind};

/// What shows the parts so far.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In the order of the parts.
    shown: Vec<Piece>,
    /// How many requests stand behind these, as no part has come for them yet.
    ahead: usize,
}

/// What shows a part.
#[derive(Debug)]
struct Piece {
    /// The part's.
    id: String,
    view: View,
}

#[derive(Debug)]
enum View {
    Prose(ArcRwSignal<GrowingText>),
    Step(StepKind),
    Ask(ArcRwSignal<InteractionPart>),
    /// Nothing to see, or nothing that changes.
    None,
}

impl AgentMessage {
    /// Shows what the server says that the agent waits for. The stream comes to it in its turn, after
    /// all that was before it.
    pub fn show_waiting(&self, parts: &[Part]) {
        let mut pieces = self.lock();
        for part in parts {
            if let PartBody::Interaction(asked) = &part.body {
                self.put(Segment::Ask(Ask::new(part.id.clone(), asked)), 0);
                pieces.ahead += 1;
            }
        }
    }

    /// Id of the first request that no part has come for yet. What comes now is put before it.
    pub fn first_ahead(&self) -> Option<String> {
        let ahead = self.lock().ahead;
        self.segments.with_untracked(|segments| {
            let first = segments.len().saturating_sub(ahead);
            segments.get(first).map(|segment| segment.id().to_owned())
        })
    }

    /// Shows the parts: changes what differs, adds what is new.
    pub fn show(&self, parts: &[Part]) {
        let mut pieces = self.lock();
        let same = pieces.shown.len() <= parts.len()
            && pieces.shown.iter().zip(parts).all(|(known, part)| known.fits(part));
        if !same {
            pieces.shown.clear();
            pieces.ahead = self.keep_what_is_asked();
        }
        for (known, part) in pieces.shown.iter().zip(parts) {
            known.update(part);
        }
        for (at, part) in parts.iter().enumerate().skip(pieces.shown.len()) {
            let piece = self.add(part, at, &mut pieces.ahead);
            pieces.shown.push(piece);
        }
    }

    /// Shows the parts of a message that has ended. What no part has come for was not asked.
    pub(super) fn show_all(&self, parts: &[Part]) {
        self.show(parts);
        let ahead = std::mem::take(&mut self.lock().ahead);
        if ahead > 0 {
            self.segments.update(|segments| {
                let left = segments.len().saturating_sub(ahead);
                segments.truncate(left);
            });
        }
    }

    /// Shows the parts at these places again. All before them are shown already. What the stream
    /// brings late changes nothing: a settled message is as it is kept.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "called by the stream only"))]
    pub fn update(&self, parts: &[Part], changed: impl Iterator<Item = usize>) {
        if *self.ending.read_untracked() != Ending::Live {
            return;
        }
        let mut pieces = self.lock();
        for at in changed {
            let Some(part) = parts.get(at) else { continue };
            match pieces.shown.get(at) {
                Some(known) if known.fits(part) => known.update(part),
                None if at == pieces.shown.len() => {
                    let piece = self.add(part, at, &mut pieces.ahead);
                    pieces.shown.push(piece);
                }
                _ => {
                    drop(pieces);
                    return self.show(parts);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything away but what is asked. Answers how many requests that leaves.
    fn keep_what_is_asked(&self) -> usize {
        let is_ask = |segment: &Segment| matches!(segment, Segment::Ask(_));
        self.segments.update(|segments| segments.retain(is_ask));
        self.segments.with_untracked(Vec::len)
    }

    fn add(&self, part: &Part, at: usize, ahead: &mut usize) -> Piece {
        let id = if part.id.is_empty() { format!("part-{at}") } else { part.id.clone() };
        let view = match &part.body {
            PartBody::Text(text) => {
                let text = GrowingText { text: text.text.clone(), generation: 0 };
                let text = ArcRwSignal::new(text);
                self.put(Segment::Prose(Prose { id, text: text.clone() }), *ahead);
                View::Prose(text)
            }
            PartBody::Reasoning(thought) => {
                let text = GrowingText { text: thought.text.clone(), generation: 0 };
                let time = ArcRwSignal::new(thought.time);
                let kind = StepKind::Thought { text: ArcRwSignal::new(text), time };
                self.add_step(Step { id, kind: kind.clone() }, *ahead);
                View::Step(kind)
            }
            PartBody::Tool(tool) => {
                let kind = StepKind::Tool(ArcRwSignal::new(tool.clone()));
                self.add_step(Step { id, kind: kind.clone() }, *ahead);
                View::Step(kind)
            }
            PartBody::File(file) => {
                self.put(Segment::File { id, file: file.clone() }, *ahead);
                View::None
            }
            PartBody::Interaction(asked) => View::Ask(self.add_ask(id, asked, ahead)),
            PartBody::StepStart(_) | PartBody::StepFinish(_) | PartBody::Other(_) => View::None,
        };
        Piece { id: part.id.clone(), view }
    }

    /// Puts a segment before the last few.
    fn put(&self, segment: Segment, ahead: usize) {
        self.segments.update(|segments| {
            let place = segments.len().saturating_sub(ahead);
            segments.insert(place, segment);
        });
    }

    /// A step joins the run before it. Thinking stands alone unless a tool came before.
    fn add_step(&self, step: Step, ahead: usize) {
        let run = self.segments.with_untracked(|segments| match segments.iter().nth_back(ahead) {
            Some(Segment::Run(run)) => Some(run.steps.clone()),
            _ => None,
        });
        if let Some(steps) = run {
            return steps.update(|steps| steps.push(step));
        }
        let segment = match &step.kind {
            StepKind::Thought { .. } => Segment::Thought(step),
            StepKind::Tool(_) => {
                let id = format!("run-{}", step.id);
                Segment::Run(Run { id, steps: ArcRwSignal::new(vec![step]) })
            }
        };
        self.put(segment, ahead);
    }

    /// A request that stands ahead of its part stays the one it is, with all that was filled in.
    fn add_ask(
        &self,
        id: String,
        asked: &InteractionPart,
        ahead: &mut usize,
    ) -> ArcRwSignal<InteractionPart> {
        let known = self.segments.with_untracked(|segments| {
            let first = segments.len().saturating_sub(*ahead);
            segments.iter().enumerate().skip(first).find_map(|(at, segment)| match segment {
                Segment::Ask(ask) if ask.id == id => Some((first, at, ask.part.clone())),
                _ => None,
            })
        });
        let Some((first, at, part)) = known else {
            let ask = Ask::new(id, asked);
            let part = ask.part.clone();
            self.put(Segment::Ask(ask), *ahead);
            return part;
        };
        *ahead = ahead.saturating_sub(1);
        if at > first {
            self.segments.update(|segments| segments[first..=at].rotate_right(1));
        }
        set_asked(&part, asked);
        part
    }
}

impl Piece {
    fn fits(&self, part: &Part) -> bool {
        self.id == part.id
            && match (&self.view, &part.body) {
                (View::Prose(_), PartBody::Text(_))
                | (View::Ask(_), PartBody::Interaction(_))
                | (View::Step(StepKind::Thought { .. }), PartBody::Reasoning(_))
                | (View::Step(StepKind::Tool(_)), PartBody::Tool(_)) => true,
                (View::None, body) => !matches!(
                    body,
                    PartBody::Text(_)
                        | PartBody::Reasoning(_)
                        | PartBody::Tool(_)
                        | PartBody::Interaction(_)
                ),
                _ => false,
            }
    }

    fn update(&self, part: &Part) {
        match (&self.view, &part.body) {
            (View::Prose(text), PartBody::Text(part)) => GrowingText::set(text, &part.text),
            (View::Step(StepKind::Thought { text, time }), PartBody::Reasoning(part)) => {
                GrowingText::set(text, &part.text);
                if *time.read_untracked() != part.time {
                    time.set(part.time);
                }
            }
            (View::Step(StepKind::Tool(tool)), PartBody::Tool(part))
                if *tool.read_untracked() != *part =>
            {
                tool.set(part.clone());
            }
            (View::Ask(asked), PartBody::Interaction(part)) => set_asked(asked, part),
            _ => {}
        }
    }
}

fn set_asked(signal: &ArcRwSignal<InteractionPart>, asked: &InteractionPart) {
    if *signal.read_untracked() != *asked {
        signal.set(asked.clone());
    }
}
