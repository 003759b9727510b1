//! A message as it is shown: its pieces, each with a signal of its own, so that a change repaints
//! that piece and nothing else.

mod pieces;

use std::sync::{Arc, Mutex};

use leptos::prelude::*;
use sandbox_sdk::types::{FilePart, InteractionPart, InteractionStatus, TimeSpan, ToolPart};

use pieces::Pieces;

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
    pub fn turn_id(&self) -> &str {
        match self {
            Self::Person { turn_id, .. } => turn_id,
            Self::Agent(message) => &message.turn_id,
        }
    }

    /// Whether it asks the question before it again.
    pub fn is_again(&self) -> bool {
        matches!(self, Self::Person { again: true, .. })
    }

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
    pieces: Arc<Mutex<Pieces>>,
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
    fn new(id: String, asked: &InteractionPart) -> Self {
        Self { id, part: ArcRwSignal::new(asked.clone()), delivery: ArcRwSignal::default() }
    }

    /// Whether the person is to say something, in a turn that goes on.
    pub fn waits(&self) -> bool {
        self.part.with(|part| part.status == InteractionStatus::Pending)
            && self.delivery.with(|delivery| *delivery != Delivery::TooLate)
    }
}

impl AgentMessage {
    /// A message that is yet to be written.
    pub fn live(turn_id: String) -> Self {
        Self {
            turn_id,
            segments: ArcRwSignal::new(Vec::new()),
            ending: ArcRwSignal::new(Ending::Live),
            receipt: ArcRwSignal::new(None),
            pieces: Arc::default(),
        }
    }

    pub fn settled(message: Message) -> Self {
        let shown = Self::live(message.turn_id.clone());
        shown.settle(message);
        shown
    }

    /// Takes the message as it is kept. What was streamed and is the same stays as it is.
    pub fn settle(&self, message: Message) {
        self.show_all(&message.parts);
        let receipt = message.receipt;
        if *self.receipt.read_untracked() != receipt {
            self.receipt.set(receipt);
        }
        let ending = Ending::Settled { state: message.state, error: message.error };
        if *self.ending.read_untracked() != ending {
            self.ending.set(ending);
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
}

#[cfg(test)]
mod tests;
