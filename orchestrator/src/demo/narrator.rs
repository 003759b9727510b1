//! Turns what the agent does into events, at a pace that can be read along.

use std::time::Duration;

use sandbox_sdk::types::{
    Event, Part, PartBody, PartUpdated, ReasoningPart, TextPart, TimeSpan, ToolPart, ToolState,
    TurnError, TurnState, event_type,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::tools::{Outcome, ToolCall};
use crate::{
    clock::now_ms,
    interactions::{Asker, Power, Question},
    profile::{Permission, Permissions},
    sidecar::{AGENT_FINISHED, AgentFinished, AgentRun},
    tools::Tools,
};

/// The person stopped the turn, or nobody listens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Characters that come at once: a few words.
const PIECE: usize = 14;

pub(super) struct Narrator {
    session_id: String,
    turn_id: String,
    tools: Tools,
    asker: Asker,
    permissions: Permissions,
    pace: Duration,
    stopped: CancellationToken,
    events: mpsc::Sender<Event>,
    parts: usize,
    /// Id of the text part that further prose belongs to.
    prose: Option<String>,
}

impl Narrator {
    pub(super) fn new(
        run: &AgentRun,
        tools: Tools,
        asker: Asker,
        pace: Duration,
        stopped: CancellationToken,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            session_id: run.session_id.clone(),
            turn_id: run.turn_id.clone(),
            tools,
            asker,
            permissions: Permissions::default(),
            pace,
            stopped,
            events,
            parts: 0,
            prose: None,
        }
    }

    /// Does from now on only what is allowed, and asks where it has to.
    pub(super) fn keep_to(&mut self, permissions: Permissions) {
        self.permissions = permissions;
    }

    /// Whether it may do this without asking.
    pub(super) fn is_free(&self, power: &Power) -> bool {
        self.permission(power).is_allowed()
    }

    fn permission(&self, power: &Power) -> Permission {
        match power {
            Power::Command => self.permissions.bash,
            Power::Edit => self.permissions.edit,
            Power::Network | Power::Tool(_) => self.permissions.network,
        }
    }

    /// Asks the person. Words where nobody answered, or wanted to.
    pub(super) async fn ask(
        &mut self,
        question: Question,
    ) -> Result<Result<Vec<String>, String>, Stopped> {
        self.prose = None;
        self.pause().await?;
        let questions = [question];
        let answers = self.unless_stopped(self.asker.question(&questions)).await?;
        Ok(answers.map(|answers| answers.into_iter().flatten().collect()))
    }

    /// Thinks aloud: a reasoning part of its own.
    pub(super) async fn think(&mut self, text: &str) -> Result<(), Stopped> {
        self.prose = None;
        let id = self.next_id();
        let start = now_ms();
        let reasoning = |text: &str, end| {
            PartBody::Reasoning(ReasoningPart {
                text: text.to_owned(),
                time: Some(TimeSpan { start, end }),
                ..ReasoningPart::default()
            })
        };
        for piece in pieces(text) {
            self.pause().await?;
            self.emit(&id, reasoning("", None), Some(piece)).await?;
        }
        self.emit(&id, reasoning(text, Some(now_ms())), None).await
    }

    /// Says something in markdown. What is said without anything in between is one text part, and
    /// each piece a paragraph of it.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), Stopped> {
        let (id, text) = match self.prose.take() {
            Some(id) => (id, format!("\n\n{text}")),
            None => (self.next_id(), text.to_owned()),
        };
        self.prose = Some(id.clone());
        for piece in pieces(&text) {
            self.pause().await?;
            self.emit(&id, PartBody::Text(TextPart::default()), Some(piece)).await?;
        }
        Ok(())
    }

    /// Uses a tool, visibly.
    pub(super) async fn call(&mut self, call: ToolCall) -> Result<Outcome, Stopped> {
        self.prose = None;
        let id = self.next_id();
        let (input, title) = (call.input(), call.title());
        let call_id = format!("call_{}_{}", self.turn_id, self.parts);
        let part = |state| {
            let tool = call.name().to_owned();
            let call_id = call_id.clone();
            PartBody::Tool(ToolPart {
                call_id,
                tool,
                state,
                metadata: None,
                extra: Default::default(),
            })
        };
        self.pause().await?;
        self.emit(&id, part(ToolState::Pending { input: input.clone() }), None).await?;
        let permitted = self.permit(&call).await;
        let mut time = TimeSpan { start: now_ms(), end: None };
        let refusal = match &permitted {
            Ok(Ok(())) => None,
            Ok(Err(words)) => Some(words.clone()),
            Err(Stopped) => Some("Stopped".to_owned()),
        };
        if let Some(words) = refusal {
            time.end = Some(time.start);
            let error = Some(words.clone());
            let state = ToolState::Error { input, error, output: Default::default(), time };
            self.emit(&id, part(state), None).await?;
            return permitted.map(|_| Outcome::denied(words));
        }
        let state = ToolState::Running { input: input.clone(), title: Some(title.clone()), time };
        self.emit(&id, part(state), None).await?;
        let outcome = self.unless_stopped(call.perform(&self.tools)).await;
        time.end = Some(now_ms());
        let Ok(outcome) = outcome else {
            let error = Some("Stopped".to_owned());
            let state = ToolState::Error { input, error, output: Default::default(), time };
            self.emit(&id, part(state), None).await?;
            return Err(Stopped);
        };
        let output = outcome.output.clone();
        let state = match &outcome.error {
            None => ToolState::Completed { input, output, title: Some(title), time },
            Some(error) => ToolState::Error { input, error: Some(error.clone()), output, time },
        };
        self.emit(&id, part(state), None).await?;
        Ok(outcome)
    }

    /// Whether the call may be made; if not, why.
    async fn permit(&self, call: &ToolCall) -> Result<Result<(), String>, Stopped> {
        let Some(wanted) = call.wanted() else { return Ok(Ok(())) };
        match self.permission(&wanted.power) {
            Permission::Allow => Ok(Ok(())),
            Permission::Deny => Ok(Err("This is not allowed in this turn.".to_owned())),
            Permission::Ask => self.unless_stopped(self.asker.permit(wanted)).await,
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.stopped.cancelled() => Err(Stopped),
            () = self.events.closed() => Err(Stopped),
            done = work => Ok(done),
        }
    }

    /// Runs a command in the sandbox's shell.
    pub(super) async fn bash(&mut self, command: impl Into<String>) -> Result<Outcome, Stopped> {
        self.call(ToolCall::Bash { command: command.into() }).await
    }

    /// Says why the turn can't be done, and that it is over.
    pub(super) async fn fail(self, error: &TurnError) {
        if let Ok(event) = Event::new(event_type::ERROR, error) {
            self.events.send(event).await.ok();
        }
        self.finish(TurnState::Failed).await;
    }

    /// Says that the turn is over.
    pub(super) async fn finish(self, outcome: TurnState) {
        if let Ok(event) = Event::new(AGENT_FINISHED, &AgentFinished { outcome }) {
            // Nobody may be there to hear it.
            self.events.send(event).await.ok();
        }
    }

    async fn emit(&self, id: &str, body: PartBody, delta: Option<&str>) -> Result<(), Stopped> {
        let part = Part {
            id: id.to_owned(),
            session_id: self.session_id.clone(),
            message_id: format!("msg_{}", self.turn_id),
            body,
        };
        let update =
            PartUpdated { part, delta: delta.map(str::to_owned), extra: Default::default() };
        let event = Event::new(event_type::PART_UPDATED, &update).map_err(|_| Stopped)?;
        self.events.send(event).await.map_err(|_| Stopped)
    }

    /// Every step begins with this, so that a stop takes effect between any two.
    async fn pause(&self) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.stopped.cancelled() => Err(Stopped),
            () = sleep(self.pace), if !self.pace.is_zero() => Ok(()),
            // Others run on this thread, too.
            () = tokio::task::yield_now(), if self.pace.is_zero() => Ok(()),
        }
    }

    fn next_id(&mut self) -> String {
        self.parts += 1;
        format!("prt_{}_{}", self.turn_id, self.parts)
    }
}

/// Cuts a text after white space, or anywhere in a long stretch without any.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        for (number, (at, character)) in rest.char_indices().enumerate() {
            let after = at + character.len_utf8();
            let gap = character.is_whitespace() && !rest[after..].starts_with(char::is_whitespace);
            if number >= 4 * PIECE || (number + 1 >= PIECE && gap) {
                end = after;
                break;
            }
        }
        let (piece, remaining) = rest.split_at(end);
        rest = remaining;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_text() {
        let texts = [
            "",
            "a",
            "one two three four five six\n\n  seven",
            &"x".repeat(500),
            "ä ö ü — ß ".repeat(9).as_str(),
        ]
        .map(str::to_owned);
        for text in texts {
            assert_eq!(pieces(&text).collect::<String>(), text);
            assert!(pieces(&text).all(|piece| piece.chars().count() <= 4 * PIECE + 1));
        }
    }

    #[test]
    fn words_are_not_torn() {
        let text = "The quick brown fox jumps over the lazy dog and runs away from it.";
        let all: Vec<_> = pieces(text).collect();
        assert!(all.len() > 3);
        assert!(all[..all.len() - 1].iter().all(|piece| piece.ends_with(' ')));
    }
}
