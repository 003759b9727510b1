//! One turn: the model answers, its calls are done, until an answer has no more of them.

use std::time::Duration;

use futures::StreamExt;
use sandbox_sdk::types::{TurnError, TurnState};
use tokio::time::sleep;

use super::{
    MAX_THINKING_TOKENS,
    answer::{Answer, Answered, MAX_CALLS, WantedCall},
    conversation::{Block, Call, Conversation, Message, ToolResult},
    model::{Failure, Model, Request, Stop},
    prompt,
    room::Room,
    toolbox::{self, Invocation, Outcome, Spec},
    voice::Voice,
};
use crate::{
    interactions::Asker,
    profile::{Permission, Profile},
    sidecar::{AgentRun, ModelAccess},
    tools::Tools,
};

/// Answers of one turn. The last one may call no more tools, so that a turn ends in words.
const MAX_ANSWERS: usize = 50;
/// Calls that run at the same time.
const PARALLEL: usize = 8;
/// Pauses before a request is sent again. The gateway refuses one that comes too often.
const PAUSES: [Duration; 2] = [Duration::from_millis(800), Duration::from_secs(4)];
/// Longest pause that a provider may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The same calls with the same results, so often in a row: the model is told.
const REPEATS_TOLD: usize = 3;
/// And so often: it may call no more.
const REPEATS_ENDED: usize = 6;

/// What the agent works with.
pub(super) struct Hands {
    pub(super) tools: Tools,
    pub(super) asker: Asker,
}

pub(super) struct Turn {
    tools: Tools,
    asker: Asker,
    model: Model,
    profile: Profile,
    /// Tokens that the model may think for before it answers.
    thinking: Option<u64>,
    guide: Option<String>,
    specs: Vec<Spec>,
    room: Room,
    conversation: Conversation,
    voice: Voice,
    /// The answer that streams.
    answer: Answer,
    repeats: Repeats,
}

/// How often the same calls gave the same results.
#[derive(Debug, Default)]
struct Repeats {
    last: String,
    count: usize,
}

impl Turn {
    pub(super) async fn begin(
        run: &AgentRun,
        access: ModelAccess,
        profile: Profile,
        gateway_url: String,
        hands: Hands,
        voice: Voice,
    ) -> Self {
        let Hands { tools, asker } = hands;
        let (mut conversation, lost) = Conversation::load(&tools, &run.session_id).await;
        if lost {
            voice.warn("MEMORY_LOST", "What was said before can't be read any more.").await;
        }
        if !profile.mcp.is_empty() {
            voice.warn("NO_MCP", "The built-in agent doesn't use MCP servers.").await;
        }
        conversation.begin_turn(&run.message);
        conversation.save(&tools).await;
        let room = Room::of(&access);
        Self {
            guide: prompt::guide(&tools, room.output()).await,
            specs: toolbox::specs(&profile),
            model: Model::new(gateway_url, access),
            tools,
            asker,
            profile,
            thinking: thinking(run),
            room,
            conversation,
            voice,
            answer: Answer::default(),
            repeats: Repeats::default(),
        }
    }

    /// Works until there is nothing more to do. May be dropped at any time; [`end`](Self::end) then
    /// says what has come of it.
    pub(super) async fn drive(&mut self) -> Result<(), TurnError> {
        for number in 1..=MAX_ANSWERS {
            let may_call = number < MAX_ANSWERS && self.repeats.count < REPEATS_ENDED;
            let answered = self.ask(may_call).await?;
            if answered.calls.is_empty() || !may_call {
                self.conclude(answered).await;
                break;
            }
            self.do_calls(answered).await;
            self.conversation.save(&self.tools).await;
        }
        Ok(())
    }

    /// Ends the turn as it went. None: it was stopped.
    pub(super) async fn end(mut self, driven: Option<Result<(), TurnError>>) {
        let partial = Some(self.answer.text());
        let outcome = match driven {
            None => {
                self.conversation.cut_off(partial, "The user stopped this turn.");
                TurnState::Aborted
            }
            Some(Err(error)) => {
                self.conversation.cut_off(partial, &format!("This turn failed: {}", error.message));
                self.voice.fail(&error).await;
                TurnState::Failed
            }
            Some(Ok(())) => TurnState::Completed,
        };
        self.conversation.save(&self.tools).await;
        self.voice.finish(outcome).await;
    }

    /// Gets one whole answer, however often it has to be asked for.
    async fn ask(&mut self, may_call: bool) -> Result<Answered, TurnError> {
        let mut tries = 0;
        let mut shrunk = 0;
        loop {
            self.make_room(false).await;
            let failure = match self.attempt(may_call).await {
                Ok(()) => {
                    let mut answer = std::mem::take(&mut self.answer);
                    // Of a model that can call properly, what looks like a call is an example.
                    if may_call
                        && !self.specs.is_empty()
                        && self.model.may_write_calls()
                        && !self.conversation.has_proper_call()
                    {
                        answer.hear_written_calls(&mut self.voice).await;
                    }
                    self.voice.keep_answer().await;
                    return Ok(answer.finish(&self.conversation));
                }
                Err(failure) => failure,
            };
            if failure.is_about_length() && shrunk < 3 {
                shrunk += 1;
                self.room.shrink();
                self.make_room(true).await;
            } else if !self.adapt(&failure).await {
                let pause = PAUSES.get(tries).filter(|_| failure.is_passing());
                let Some(pause) = pause else { return Err(failure.into_error()) };
                let pause = failure.retry_after().unwrap_or(*pause).min(MAX_PAUSE);
                tries += 1;
                let detail = format!(
                    "{}. Trying again in {} s ({tries} of {}).",
                    failure.in_short(),
                    pause.as_secs().max(1),
                    PAUSES.len()
                );
                self.voice.status("retrying", detail).await;
                sleep(pause).await;
            }
            self.voice.withdraw_answer();
            self.answer = Answer::default();
        }
    }

    async fn attempt(&mut self, may_call: bool) -> Result<(), Failure> {
        let system = self.system();
        let bytes = self.conversation.size() + system.len() + self.specs_size();
        let request = Request {
            system: &system,
            messages: &self.conversation.messages,
            turn_start: self.conversation.turn_start,
            tools: &self.specs,
            may_call,
            max_tokens: self.room.answer,
            thinking: self.thinking,
        };
        let mut answering = self.model.ask(&request).await?;
        while let Some(piece) = answering.next().await? {
            self.answer.take(piece, &mut self.voice).await;
        }
        if let Some(tokens) = self.answer.read {
            self.room.learn(bytes, tokens);
        }
        Ok(())
    }

    /// Does without what the model can't do. Whether that is worth another try.
    async fn adapt(&mut self, failure: &Failure) -> bool {
        let turn = self.conversation.messages.get(self.conversation.turn_start..);
        let called =
            turn.unwrap_or_default().iter().any(|message| message.calls().next().is_some());
        if failure.is_about_tools() && !self.specs.is_empty() && !called {
            self.specs.clear();
            let message = "This model can't use tools: it answers, but it can't run commands or \
                work with files.";
            self.voice.warn("NO_TOOLS", message).await;
            return true;
        }
        if failure.is_about_thinking() && self.thinking.take().is_some() {
            return true;
        }
        failure.is_about_max_tokens() && self.room.ask_for_less()
    }

    fn system(&self) -> String {
        prompt::system(&self.profile, !self.specs.is_empty(), self.guide.as_deref())
    }

    fn specs_size(&self) -> usize {
        let size = |spec: &Spec| spec.description.len() + spec.parameters.to_string().len() + 40;
        self.specs.iter().map(size).sum()
    }

    /// Shortens the conversation when it is too long. Rather far, since every shortening makes the
    /// provider read all of it anew.
    async fn make_room(&mut self, told: bool) {
        let room = self.room.bytes(self.system().len() + self.specs_size());
        if !told && self.conversation.size() <= room {
            return;
        }
        self.conversation.shorten(room * 3 / 5);
        let detail = "Earlier parts of the conversation were shortened to make room.".to_owned();
        self.voice.status("compacting", detail).await;
    }

    /// The last answer of the turn.
    async fn conclude(&mut self, answered: Answered) {
        for call in &answered.calls {
            let outcome = Outcome::failed("This turn has used all its steps.");
            self.voice.settle(call.shown, &outcome).await;
        }
        let said = |block: &Block| matches!(block, Block::Text { text } if !text.trim().is_empty());
        let warning = match (answered.stop, answered.blocks.iter().any(said)) {
            (Stop::Length, _) => {
                Some(("ANSWER_CUT", "The answer was cut off: it reached the model's limit."))
            }
            (Stop::Refused, _) => Some(("ANSWER_REFUSED", "The model would not answer this.")),
            (Stop::Done, false) => Some(("ANSWER_EMPTY", "The model gave an empty answer.")),
            (Stop::Done, true) => None,
        };
        if let Some((code, message)) = warning {
            self.voice.warn(code, message).await;
        }
        self.conversation.messages.push(Message::Assistant { blocks: answered.blocks });
    }

    /// Does what an answer calls for, and tells the model what came of it.
    async fn do_calls(&mut self, answered: Answered) {
        let Answered { mut blocks, calls, stop } = answered;
        let last = calls.len() - 1;
        let mut wanted = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            let cut = stop == Stop::Length && index == last;
            wanted.push(self.understand(call, index, cut));
        }
        for (call, wanted) in calls.iter().zip(&wanted) {
            let input = wanted.as_ref().map_or_else(|_| serde_json::json!({}), Invocation::input);
            let name = toolbox::canonical(&call.name).unwrap_or("unknown").to_owned();
            blocks.push(Block::Call(Call { id: call.id.clone(), name, input }));
        }
        // Before they run: what stops the turn now must not make them undone.
        self.conversation.messages.push(Message::Assistant { blocks });
        let outcomes = self.perform(&calls, wanted).await;
        let mut results: Vec<ToolResult> = calls
            .into_iter()
            .zip(outcomes)
            .map(|(call, outcome)| ToolResult {
                call_id: call.id,
                text: outcome.text,
                is_error: outcome.error.is_some(),
            })
            .collect();
        self.repeats.note(&self.conversation.messages, &mut results);
        self.conversation.messages.push(Message::Tools { results });
    }

    fn understand(&self, call: &WantedCall, index: usize, cut: bool) -> Result<Invocation, String> {
        if index >= MAX_CALLS {
            return Err(format!("Only {MAX_CALLS} calls at once."));
        }
        if cut {
            return Err("This call was cut off: it was too long. Write less at once.".into());
        }
        let tool = toolbox::canonical(&call.name).ok_or_else(|| toolbox::unknown(&call.name))?;
        match toolbox::permission(tool, &self.profile) {
            Permission::Allow | Permission::Ask => Invocation::read(tool, &call.arguments),
            Permission::Deny => Err(format!("Denied: {tool} is not allowed in this turn.")),
        }
    }

    /// Does calls at the same time, except those that want to be alone. Outcomes in their order.
    async fn perform(
        &mut self,
        calls: &[WantedCall],
        wanted: Vec<Result<Invocation, String>>,
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; calls.len()];
        let mut together: Vec<(usize, Invocation)> = Vec::new();
        for (index, wanted) in wanted.into_iter().enumerate() {
            match wanted {
                Ok(invocation) if invocation.is_alone() => {
                    let before = std::mem::take(&mut together);
                    self.run(calls, before, &mut outcomes).await;
                    self.run(calls, vec![(index, invocation)], &mut outcomes).await;
                }
                Ok(invocation) => together.push((index, invocation)),
                Err(message) => {
                    let outcome = Outcome::failed(message);
                    self.voice.settle(calls[index].shown, &outcome).await;
                    outcomes[index] = Some(outcome);
                }
            }
        }
        self.run(calls, together, &mut outcomes).await;
        outcomes.into_iter().flatten().collect()
    }

    async fn run(
        &mut self,
        calls: &[WantedCall],
        invocations: Vec<(usize, Invocation)>,
        outcomes: &mut [Option<Outcome>],
    ) {
        let invocations = self.permitted(calls, invocations, outcomes).await;
        for (index, invocation) in &invocations {
            let call = &calls[*index];
            let tool = toolbox::canonical(&call.name).unwrap_or_default();
            self.voice.work(call.shown, tool, invocation.input(), invocation.title()).await;
        }
        let (tools, asker, most) = (&self.tools, &self.asker, self.room.output());
        let running = invocations.into_iter().map(|(index, invocation)| async move {
            (index, invocation.perform(tools, asker, most).await)
        });
        let mut running = futures::stream::iter(running).buffer_unordered(PARALLEL);
        while let Some((index, outcome)) = running.next().await {
            self.voice.settle(calls[index].shown, &outcome).await;
            outcomes[index] = Some(outcome);
        }
    }

    /// What may be done, once the person was asked for all of it that needs it. The rest is settled.
    async fn permitted(
        &mut self,
        calls: &[WantedCall],
        invocations: Vec<(usize, Invocation)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<(usize, Invocation)> {
        let (asker, profile) = (&self.asker, &self.profile);
        let asked = invocations.into_iter().map(|(index, invocation)| async move {
            let wanted = invocation.wanted().filter(|_| {
                let tool = toolbox::canonical(&calls[index].name).unwrap_or_default();
                toolbox::permission(tool, profile) == Permission::Ask
            });
            let decided = match wanted {
                Some(wanted) => asker.permit(wanted).await,
                None => Ok(()),
            };
            (index, invocation, decided)
        });
        let mut permitted = Vec::new();
        for (index, invocation, decided) in futures::future::join_all(asked).await {
            match decided {
                Ok(()) => permitted.push((index, invocation)),
                Err(words) => {
                    let outcome = Outcome::failed(words);
                    self.voice.settle(calls[index].shown, &outcome).await;
                    outcomes[index] = Some(outcome);
                }
            }
        }
        permitted
    }
}

/// How long the turn asks its model to think.
fn thinking(run: &AgentRun) -> Option<u64> {
    run.backend.as_ref()?.model.as_ref()?.extra.get(MAX_THINKING_TOKENS)?.as_u64()
}

impl Repeats {
    /// Looks at the newest calls and what they gave. A model that goes in circles is told.
    fn note(&mut self, messages: &[Message], results: &mut [ToolResult]) {
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
