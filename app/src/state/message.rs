//! A message as it is shown: its pieces, each with a signal of its own, so that a change repaints
//! that piece and nothing else.

use std::sync::{Arc, Mutex, PoisonError};

use leptos::prelude::*;
use sandbox_sdk::types::{
    FilePart, InteractionPart, InteractionStatus, Part, PartBody, TimeSpan, ToolPart,
};

use crate::model::{Message, MessageState, Receipt};

/// One entry of the conversation.
#[derive(Clone, Debug)]
pub enum Entry {
    Person {
        turn_id: String,
        text: String,
        /// The question before it, asked again.
        again: bool,
    },
    Agent(AgentMessage),
}

impl Entry {
    /// Stays the same while a message goes from sent to settled.
    pub fn key(&self) -> String {
        match self {
            Self::Person { turn_id, .. } => format!("person-{turn_id}"),
            Self::Agent(message) => format!("agent-{}", message.turn_id),
        }
    }
}

/// How the agent's message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is being written.
    Live,
    Settled {
        state: MessageState,
        error: Option<String>,
    },
}

/// The agent's message. Clones are the same message.
#[derive(Clone, Debug)]
pub struct AgentMessage {
    pub turn_id: String,
    pub segments: ArcRwSignal<Vec<Segment>>,
    pub ending: ArcRwSignal<Ending>,
    pub receipt: ArcRwSignal<Option<Receipt>>,
    /// What shows each part so far, in the order of the parts.
    shown: Arc<Mutex<Vec<Shown>>>,
}

/// A run of pieces that belong together.
#[derive(Clone, Debug)]
pub enum Segment {
    Prose(Prose),
    /// Thinking that no step came before.
    Thought(Step),
    Run(Run),
    Ask(Ask),
    File {
        id: String,
        file: FilePart,
    },
}

impl Segment {
    pub fn id(&self) -> &str {
        match self {
            Self::Prose(prose) => &prose.id,
            Self::Thought(step) => &step.id,
            Self::Run(run) => &run.id,
            Self::Ask(ask) => &ask.id,
            Self::File { id, .. } => id,
        }
    }
}

/// A piece of the answer itself.
#[derive(Clone, Debug)]
pub struct Prose {
    pub id: String,
    pub text: ArcRwSignal<GrowingText>,
}

/// A text that is mostly appended to. With another `generation` it is another text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrowingText {
    pub text: String,
    pub generation: u32,
}

impl GrowingText {
    fn set(signal: &ArcRwSignal<Self>, text: &str) {
        let appended = signal
            .with_untracked(|known| text.strip_prefix(known.text.as_str()).map(str::to_owned));
        match appended {
            Some(more) if more.is_empty() => {}
            Some(more) => signal.update(|known| known.text.push_str(&more)),
            None => signal.update(|known| {
                known.text = text.to_owned();
                known.generation += 1;
            }),
        }
    }
}

/// Steps without prose between them.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
    pub steps: ArcRwSignal<Vec<Step>>,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub id: String,
    pub kind: StepKind,
}

#[derive(Clone, Debug)]
pub enum StepKind {
    Thought { text: ArcRwSignal<GrowingText>, time: ArcRwSignal<Option<TimeSpan>> },
    Tool(ArcRwSignal<ToolPart>),
}

/// Something that the agent asks.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: String,
    pub part: ArcRwSignal<InteractionPart>,
    pub delivery: ArcRwSignal<Delivery>,
}

/// How far the person's answer is. That it has arrived says the part alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Not given, or not taken: then with the reason.
    #[default]
    None,
    Failed(String),
    Sending,
    Sent,
    /// The server says that nobody waits for it any more.
    TooLate,
}

impl Ask {
    /// Whether the person is to say something, in a turn that goes on.
    pub fn waits(&self) -> bool {
        self.part.with(|part| part.status == InteractionStatus::Pending)
            && self.delivery.with(|delivery| *delivery != Delivery::TooLate)
    }
}

/// What shows a part.
#[derive(Debug)]
struct Shown {
    id: String,
    view: View,
}

#[derive(Clone, Debug)]
enum View {
    Prose(ArcRwSignal<GrowingText>),
    Step(StepKind),
    Ask(ArcRwSignal<InteractionPart>),
    /// Nothing to see, or nothing that changes.
    None,
}

impl AgentMessage {
    /// A message that is yet to be written.
    pub fn live(turn_id: String) -> Self {
        Self {
            turn_id,
            segments: ArcRwSignal::new(Vec::new()),
            ending: ArcRwSignal::new(Ending::Live),
            receipt: ArcRwSignal::new(None),
            shown: Arc::default(),
        }
    }

    pub fn settled(message: Message) -> Self {
        let shown = Self::live(message.turn_id.clone());
        shown.settle(message);
        shown
    }

    /// Takes the message as it is kept. What was streamed and is the same stays as it is.
    pub fn settle(&self, message: Message) {
        self.show(&message.parts);
        let receipt = message.receipt;
        if *self.receipt.read_untracked() != receipt {
            self.receipt.set(receipt);
        }
        let ending = Ending::Settled { state: message.state, error: message.error };
        if *self.ending.read_untracked() != ending {
            self.ending.set(ending);
        }
    }

    /// Shows the parts: changes what differs, adds what is new.
    pub fn show(&self, parts: &[Part]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let same = shown.len() <= parts.len()
            && shown.iter().zip(parts).all(|(known, part)| known.fits(part));
        if !same {
            shown.clear();
            self.segments.set(Vec::new());
        }
        for (known, part) in shown.iter().zip(parts) {
            known.update(part);
        }
        let known = shown.len();
        let new = parts[known..].iter().enumerate();
        shown.extend(new.map(|(at, part)| self.add(part, known + at)));
    }

    /// Shows the parts at these places again. All before them are shown already. What the stream
    /// brings late changes nothing: a settled message is as it is kept.
    #[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "called by the stream only"))]
    pub fn update(&self, parts: &[Part], changed: impl Iterator<Item = usize>) {
        if *self.ending.read_untracked() != Ending::Live {
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for at in changed {
            let Some(part) = parts.get(at) else { continue };
            match shown.get(at) {
                Some(known) if known.fits(part) => known.update(part),
                None if at == shown.len() => shown.push(self.add(part, at)),
                _ => {
                    drop(shown);
                    return self.show(parts);
                }
            }
        }
    }

    /// Whether it went wrong and cost nothing: another answer may take its place.
    pub fn is_void(&self) -> bool {
        let wrong = |state| matches!(state, MessageState::Failed | MessageState::Interrupted);
        let charged = |receipt: &Receipt| receipt.charged.0 > 0;
        self.ending.with(|end| matches!(end, Ending::Settled { state, .. } if wrong(*state)))
            && !self.receipt.with(|receipt| receipt.as_ref().is_some_and(charged))
    }

    /// What the person is asked now.
    pub fn asks(&self) -> Option<String> {
        if self.ending.with(|ending| *ending != Ending::Live) {
            return None;
        }
        self.segments.with(|segments| {
            segments.iter().find_map(|segment| match segment {
                Segment::Ask(ask)
                    if ask.waits() && ask.delivery.with(|it| *it != Delivery::Sent) =>
                {
                    Some(ask.part.with(|part| crate::ask::title(&part.request)))
                }
                _ => None,
            })
        })
    }

    /// Text of the answer, as it is copied.
    pub fn text(&self) -> String {
        let segments = self.segments.read_untracked();
        let texts = segments.iter().filter_map(|segment| match segment {
            Segment::Prose(prose) => Some(prose.text.with_untracked(|text| text.text.clone())),
            _ => None,
        });
        texts.filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    fn add(&self, part: &Part, at: usize) -> Shown {
        let id = if part.id.is_empty() { format!("part-{at}") } else { part.id.clone() };
        let view = match &part.body {
            PartBody::Text(text) => {
                let text = GrowingText { text: text.text.clone(), generation: 0 };
                let text = ArcRwSignal::new(text);
                let prose = Prose { id, text: text.clone() };
                self.segments.update(|segments| segments.push(Segment::Prose(prose)));
                View::Prose(text)
            }
            PartBody::Reasoning(thought) => {
                let text = GrowingText { text: thought.text.clone(), generation: 0 };
                let time = ArcRwSignal::new(thought.time);
                let kind = StepKind::Thought { text: ArcRwSignal::new(text), time };
                self.add_step(Step { id, kind: kind.clone() });
                View::Step(kind)
            }
            PartBody::Tool(tool) => {
                let kind = StepKind::Tool(ArcRwSignal::new(tool.clone()));
                self.add_step(Step { id, kind: kind.clone() });
                View::Step(kind)
            }
            PartBody::File(file) => {
                let segment = Segment::File { id, file: file.clone() };
                self.segments.update(|segments| segments.push(segment));
                View::None
            }
            PartBody::Interaction(asked) => {
                let part = ArcRwSignal::new(InteractionPart::clone(asked));
                let ask = Ask { id, part: part.clone(), delivery: ArcRwSignal::default() };
                self.segments.update(|segments| segments.push(Segment::Ask(ask)));
                View::Ask(part)
            }
            PartBody::StepStart(_) | PartBody::StepFinish(_) | PartBody::Other(_) => View::None,
        };
        Shown { id: part.id.clone(), view }
    }

    /// A step joins the run before it. Thinking stands alone unless a tool came before.
    fn add_step(&self, step: Step) {
        let run = self.segments.with_untracked(|segments| match segments.last() {
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
        self.segments.update(|segments| segments.push(segment));
    }
}

impl Shown {
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
            (View::Ask(asked), PartBody::Interaction(part))
                if *asked.read_untracked() != **part =>
            {
                asked.set(InteractionPart::clone(part));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(id: &str, kind: &str, more: serde_json::Value) -> Part {
        let mut part = json!({"id": id, "type": kind});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(part).unwrap()
    }

    fn text(id: &str, text: &str) -> Part {
        part(id, "text", json!({"text": text}))
    }

    fn ask(id: &str, status: &str) -> Part {
        let request = json!({"id": id, "title": "Which one?"});
        part(id, "interaction", json!({"request": request, "status": status}))
    }

    fn tool(id: &str) -> Part {
        part(id, "tool", json!({"tool": "bash", "state": {"status": "running", "input": {}}}))
    }

    /// The segments in words, for example `thought run(2) prose`.
    fn shape(message: &AgentMessage) -> String {
        let segments = message.segments.get_untracked();
        let words = segments.iter().map(|segment| match segment {
            Segment::Prose(_) => "prose".to_owned(),
            Segment::Thought(_) => "thought".to_owned(),
            Segment::Run(run) => format!("run({})", run.steps.read_untracked().len()),
            Segment::Ask(_) => "ask".to_owned(),
            Segment::File { .. } => "file".to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn consecutive_steps_are_one_run_and_prose_parts_them() {
        let message = AgentMessage::live("t".into());
        message.show(&[
            part("1", "reasoning", json!({"text": "hm"})),
            part("2", "step-start", json!({})),
            tool("3"),
            part("4", "step-finish", json!({})),
            part("5", "reasoning", json!({"text": "so"})),
            tool("6"),
            text("7", "Done."),
            tool("8"),
        ]);
        assert_eq!(shape(&message), "thought run(3) prose run(1)");
    }

    #[test]
    fn a_text_that_grew_is_appended_to() {
        Owner::new().with(|| {
            let message = AgentMessage::live("t".into());
            message.show(&[text("1", "Hel")]);
            message.update(&[text("1", "Hello")], [0].into_iter());
            let segments = message.segments.get_untracked();
            let Segment::Prose(prose) = &segments[0] else { panic!() };
            let shown = prose.text.get_untracked();
            assert_eq!((shown.text.as_str(), shown.generation), ("Hello", 0));
            message.update(&[text("1", "Bye")], [0].into_iter());
            assert_eq!(prose.text.get_untracked().generation, 1);
        });
    }

    #[test]
    fn settling_keeps_the_pieces_that_are_the_same() {
        let message = AgentMessage::live("t".into());
        message.show(&[tool("1"), text("2", "Hi")]);
        let before = message.segments.get_untracked();
        message.settle(Message {
            id: "m".into(),
            turn_id: "t".into(),
            role: crate::model::Role::Assistant,
            parts: vec![tool("1"), text("2", "Hi there")],
            repeats: false,
            state: MessageState::Complete,
            error: None,
            receipt: None,
            created_at: 0,
        });
        let after = message.segments.get_untracked();
        let (Segment::Prose(before), Segment::Prose(after)) = (&before[1], &after[1]) else {
            panic!()
        };
        assert_eq!(after.text.get_untracked().text, "Hi there");
        assert_eq!(before.text.get_untracked(), after.text.get_untracked());
        assert_eq!(message.text(), "Hi there");
    }

    #[test]
    fn what_the_stream_brings_after_the_end_changes_nothing() {
        let message = AgentMessage::live("t".into());
        message.show(&[text("1", "Hel")]);
        message.settle(Message {
            id: "m".into(),
            turn_id: "t".into(),
            role: crate::model::Role::Assistant,
            parts: vec![text("1", "Hello.")],
            repeats: false,
            state: MessageState::Complete,
            error: None,
            receipt: None,
            created_at: 0,
        });
        message.update(&[text("1", "Hello"), text("2", "late")], [0, 1].into_iter());
        assert_eq!(message.text(), "Hello.");
    }

    #[test]
    fn what_the_agent_asks_stands_where_it_was_asked_and_waits_until_it_is_answered() {
        Owner::new().with(|| {
            let message = AgentMessage::live("t".into());
            message.show(&[tool("1"), ask("2", "pending"), tool("3")]);
            assert_eq!(shape(&message), "run(1) ask run(1)");
            assert_eq!(message.asks().as_deref(), Some("Which one?"));
            let segments = message.segments.get_untracked();
            let Segment::Ask(asked) = &segments[1] else { panic!() };
            asked.delivery.set(Delivery::Sent);
            assert_eq!(message.asks(), None, "the person has said it");
            asked.delivery.set(Delivery::None);
            message.update(&[tool("1"), ask("2", "accepted")], [1].into_iter());
            assert_eq!(asked.part.get_untracked().status, InteractionStatus::Accepted);
            assert_eq!(message.asks(), None);
            message.update(
                &[tool("1"), ask("2", "accepted"), tool("3"), ask("4", "pending")],
                [3].into_iter(),
            );
            assert!(message.asks().is_some());
            message.ending.set(Ending::Settled { state: MessageState::Stopped, error: None });
            assert_eq!(message.asks(), None, "nobody waits after the end");
        });
    }

    #[test]
    fn other_parts_take_the_place_of_what_was_shown() {
        let message = AgentMessage::live("t".into());
        message.show(&[text("1", "a"), text("2", "b")]);
        message.show(&[tool("9")]);
        assert_eq!(shape(&message), "run(1)");
    }

    #[test]
    fn a_gap_in_the_changes_shows_everything() {
        let message = AgentMessage::live("t".into());
        message.update(&[text("1", "a"), text("2", "b")], [1].into_iter());
        assert_eq!(shape(&message), "prose prose");
    }
}
