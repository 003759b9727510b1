//! Tells what the agent does, as events of the turn's message.

use std::collections::VecDeque;

use sandbox_sdk::types::{
    Event, Part, PartBody, PartUpdated, ReasoningPart, StatusUpdate, TextPart, TimeSpan, ToolPart,
    ToolState, TurnError, TurnState, event_type,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::toolbox::Outcome;
use crate::{
    clock::now_ms,
    sidecar::{AGENT_FINISHED, AgentFinished, AgentRun},
};

/// Longest thought whose end is told, in bytes: that takes the whole thought once more.
const MAX_RETOLD: usize = 48 * 1024;

/// Nothing is lost when nobody listens: the turn is stopped then.
pub(super) struct Voice {
    session_id: String,
    turn_id: String,
    events: mpsc::Sender<Event>,
    parts: usize,
    growing: Option<Growing>,
    calls: Vec<ShownCall>,
    /// Parts of the answer that streams.
    said: Vec<(Kind, String)>,
    /// Parts of an answer that broke off. The next try speaks in their place.
    withdrawn: VecDeque<(Kind, String)>,
}

/// Names a shown call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallId(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Call(CallId),
}

impl Kind {
    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// The text or the thought that the next piece belongs to.
struct Growing {
    kind: Kind,
    id: String,
    /// What was thought so far.
    thought: String,
    start: i64,
}

struct ShownCall {
    part: String,
    tool: String,
    input: Value,
    title: String,
    time: TimeSpan,
    settled: bool,
}

impl Voice {
    pub(super) fn new(run: &AgentRun, events: mpsc::Sender<Event>) -> Self {
        Self {
            session_id: run.session_id.clone(),
            turn_id: run.turn_id.clone(),
            events,
            parts: 0,
            growing: None,
            calls: Vec::new(),
            said: Vec::new(),
            withdrawn: VecDeque::new(),
        }
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.grow(Kind::Text, text).await;
    }

    pub(super) async fn think(&mut self, text: &str) {
        self.grow(Kind::Reasoning, text).await;
    }

    async fn grow(&mut self, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        let goes_on = self.growing.as_ref().is_some_and(|growing| growing.kind == kind);
        let mut replaces = false;
        if !goes_on {
            self.pause().await;
            let id;
            (id, replaces) = self.place(kind);
            self.growing = Some(Growing { kind, id, thought: String::new(), start: now_ms() });
        }
        let Some(growing) = &mut self.growing else { return };
        if kind == Kind::Reasoning && growing.thought.len() <= MAX_RETOLD {
            growing.thought.push_str(text);
        }
        let (id, start) = (growing.id.clone(), growing.start);
        let (whole, delta) = if replaces { (text, None) } else { ("", Some(text)) };
        self.update(&id, spoken(kind, whole, start, None), delta).await;
    }

    /// Ends the text or the thought that was growing.
    pub(super) async fn pause(&mut self) {
        let Some(Growing { kind, id, thought, start }) = self.growing.take() else { return };
        if kind == Kind::Reasoning && thought.len() <= MAX_RETOLD {
            self.update(&id, spoken(kind, &thought, start, Some(now_ms())), None).await;
        }
    }

    /// The model begins to call a tool.
    pub(super) async fn call(&mut self, tool: &str) -> CallId {
        self.pause().await;
        let (part, _) = self.place(Kind::Call(CallId(self.calls.len())));
        let known = self.calls.iter().position(|call| call.part == part);
        let call = ShownCall {
            part,
            tool: tool.to_owned(),
            input: json!({}),
            title: String::new(),
            time: TimeSpan::default(),
            settled: false,
        };
        let id = CallId(known.unwrap_or(self.calls.len()));
        match known.and_then(|index| self.calls.get_mut(index)) {
            Some(known) => *known = call,
            None => self.calls.push(call),
        }
        self.show(id, |call| ToolState::Pending { input: call.input.clone() }).await;
        id
    }

    /// The tool starts to work.
    pub(super) async fn work(&mut self, id: CallId, tool: &str, input: Value, title: String) {
        if let Some(call) = self.calls.get_mut(id.0) {
            call.tool = tool.to_owned();
            call.input = input;
            call.title = title;
            call.time.start = now_ms();
        }
        let running = |call: &ShownCall| ToolState::Running {
            input: call.input.clone(),
            title: Some(call.title.clone()),
            time: call.time,
        };
        self.show(id, running).await;
    }

    /// The tool has done its work, or failed.
    pub(super) async fn settle(&mut self, id: CallId, outcome: &Outcome) {
        let Some(call) = self.calls.get_mut(id.0).filter(|call| !call.settled) else { return };
        call.settled = true;
        let now = now_ms();
        if call.time.start == 0 {
            call.time.start = now;
        }
        call.time.end = Some(now);
        let output = outcome.output.clone();
        self.show(id, |call| {
            let (input, time) = (call.input.clone(), call.time);
            match &outcome.error {
                None => {
                    ToolState::Completed { input, output, title: Some(call.title.clone()), time }
                }
                Some(error) => ToolState::Error { input, error: Some(error.clone()), output, time },
            }
        })
        .await;
    }

    async fn show(&mut self, id: CallId, state: impl FnOnce(&ShownCall) -> ToolState) {
        let Some(call) = self.calls.get(id.0) else { return };
        let part = call.part.clone();
        let body = PartBody::Tool(ToolPart {
            call_id: format!("call_{}_{}", self.turn_id, id.0 + 1),
            tool: call.tool.clone(),
            state: state(call),
            metadata: None,
            extra: Default::default(),
        });
        self.update(&part, body, None).await;
    }

    /// The answer is whole: what it said stands.
    pub(super) async fn keep_answer(&mut self) {
        self.pause().await;
        self.said.clear();
        for (kind, id) in std::mem::take(&mut self.withdrawn) {
            match kind {
                Kind::Call(call) => {
                    self.settle(call, &Outcome::failed("The model's answer broke off here.")).await;
                }
                _ => self.update(&id, spoken(kind, "", now_ms(), Some(now_ms())), None).await,
            }
        }
    }

    /// The answer broke off. It is tried again, and then said in the same place.
    pub(super) fn withdraw_answer(&mut self) {
        self.growing = None;
        // What an earlier try said and this one did not come to, comes later.
        for part in std::mem::take(&mut self.said).into_iter().rev() {
            self.withdrawn.push_front(part);
        }
    }

    /// The text that grew last is this instead.
    pub(super) async fn replace_text(&mut self, text: &str) {
        self.growing = None;
        let last = self.said.iter().rev().find(|(kind, _)| *kind == Kind::Text);
        if let Some((kind, id)) = last.cloned() {
            self.update(&id, spoken(kind, text, now_ms(), None), None).await;
        }
    }

    /// A part's id, and whether something stands there already.
    fn place(&mut self, kind: Kind) -> (String, bool) {
        let free = self.withdrawn.iter().position(|(other, _)| other.is_like(kind));
        let (place, id, replaces) = match free.and_then(|index| self.withdrawn.remove(index)) {
            Some((place, id)) => (place, id, true),
            None => {
                self.parts += 1;
                (kind, format!("prt_{}_{}", self.turn_id, self.parts), false)
            }
        };
        self.said.push((place, id.clone()));
        (id, replaces)
    }

    /// Progress in words.
    pub(super) async fn status(&self, status: &str, detail: String) {
        let update = StatusUpdate {
            status: status.to_owned(),
            detail: Some(detail),
            extra: Default::default(),
        };
        self.send(Event::new(event_type::STATUS, &update)).await;
    }

    /// Something to know that stops nothing.
    pub(super) async fn warn(&self, code: &str, message: &str) {
        let data = json!({ "code": code, "message": message });
        self.send(Event::new(event_type::WARNING, &data)).await;
    }

    pub(super) async fn fail(&self, error: &TurnError) {
        self.send(Event::new(event_type::ERROR, error)).await;
    }

    /// The turn is over. What is still open was stopped with it.
    pub(super) async fn finish(mut self, outcome: TurnState) {
        self.pause().await;
        for index in 0..self.calls.len() {
            self.settle(CallId(index), &Outcome::failed("Stopped")).await;
        }
        self.send(Event::new(AGENT_FINISHED, &AgentFinished { outcome })).await;
    }

    async fn update(&self, id: &str, body: PartBody, delta: Option<&str>) {
        let part = Part {
            id: id.to_owned(),
            session_id: self.session_id.clone(),
            message_id: format!("msg_{}", self.turn_id),
            body,
        };
        let delta = delta.map(str::to_owned);
        let update = PartUpdated { part, delta, extra: Default::default() };
        self.send(Event::new(event_type::PART_UPDATED, &update)).await;
    }

    async fn send(&self, event: serde_json::Result<Event>) {
        if let Ok(event) = event {
            self.events.send(event).await.ok();
        }
    }
}

fn spoken(kind: Kind, text: &str, start: i64, end: Option<i64>) -> PartBody {
    let text = text.to_owned();
    if kind == Kind::Text {
        return PartBody::Text(TextPart { text, ..TextPart::default() });
    }
    let time = Some(TimeSpan { start, end });
    PartBody::Reasoning(ReasoningPart { text, time, ..ReasoningPart::default() })
}

#[cfg(test)]
mod tests {
    use sandbox_sdk::{transcript::Transcript, types::EventBody};

    use super::*;

    fn voice() -> (Voice, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(100);
        (Voice::new(&AgentRun::unasked(), sender), receiver)
    }

    fn heard(mut events: mpsc::Receiver<Event>) -> Transcript {
        let mut transcript = Transcript::default();
        while let Ok(event) = events.try_recv() {
            if let EventBody::PartUpdated(update) = event.body() {
                transcript.apply(*update);
            }
        }
        transcript
    }

    fn shapes(transcript: &Transcript) -> Vec<String> {
        let shape = |part: &Part| match &part.body {
            PartBody::Text(part) => format!("text {}", part.text),
            PartBody::Reasoning(part) => format!("thought {}", part.text),
            PartBody::Tool(part) => match &part.state {
                ToolState::Pending { .. } => format!("{} pending", part.tool),
                ToolState::Running { .. } => format!("{} running", part.tool),
                ToolState::Completed { .. } => format!("{} done", part.tool),
                ToolState::Error { error, .. } => {
                    format!("{} {}", part.tool, error.clone().unwrap_or_default())
                }
            },
            other => panic!("{other:?}"),
        };
        transcript.parts().iter().map(shape).collect()
    }

    #[tokio::test]
    async fn an_answer_that_is_tried_again_takes_the_place_of_the_first_try() {
        let (mut voice, events) = voice();
        voice.think("hm").await;
        voice.say("Hello from").await;
        voice.call("bash").await;
        voice.withdraw_answer();
        voice.say("Hel").await;
        voice.withdraw_answer();
        voice.say("Hello").await;
        voice.say(" world").await;
        voice.keep_answer().await;
        voice.say("!").await;
        voice.finish(TurnState::Completed).await;
        let transcript = heard(events);
        assert_eq!(
            shapes(&transcript),
            ["thought ", "text Hello world", "bash The model's answer broke off here.", "text !"]
        );
        assert_eq!(transcript.text(), "Hello world\n\n!");
    }

    #[tokio::test]
    async fn a_call_that_is_tried_again_is_one_call() {
        let (mut voice, events) = voice();
        voice.call("read").await;
        voice.withdraw_answer();
        let call = voice.call("bash").await;
        voice.keep_answer().await;
        voice.work(call, "bash", json!({"command": "ls"}), "ls".into()).await;
        voice.settle(call, &Outcome::done("a file".into())).await;
        voice.finish(TurnState::Completed).await;
        assert_eq!(shapes(&heard(events)), ["bash done"]);
    }

    #[tokio::test]
    async fn what_is_open_at_the_end_was_stopped() {
        let (mut voice, events) = voice();
        voice.think("so").await;
        let call = voice.call("bash").await;
        voice.work(call, "bash", json!({}), String::new()).await;
        voice.finish(TurnState::Aborted).await;
        let transcript = heard(events);
        assert_eq!(shapes(&transcript), ["thought so", "bash Stopped"]);
        let PartBody::Reasoning(thought) = &transcript.parts()[0].body else { panic!() };
        assert!(thought.time.unwrap().end.is_some());
    }
}
