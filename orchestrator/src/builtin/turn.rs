//! One turn: the model answers, its calls are done, until an answer has no more of them.

mod calls;
mod repeats;
mod requests;

use sandbox_sdk::types::{TurnError, TurnState};

use super::{
    MAX_THINKING_TOKENS,
    answer::{Answer, Answered},
    conversation::{Block, Conversation, Message},
    model::{Model, Stop},
    prompt,
    room::Room,
    toolbox::{self, Outcome, Spec},
    voice::Voice,
};
use crate::{
    interactions::Asker,
    profile::Profile,
    sidecar::{AgentRun, ModelAccess},
    tools::Tools,
};
use repeats::{REPEATS_ENDED, Repeats};

/// Answers of one turn. The last one may call no more tools, so that a turn ends in words.
const MAX_ANSWERS: usize = 50;

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
}

/// How long the turn asks its model to think.
fn thinking(run: &AgentRun) -> Option<u64> {
    run.backend.as_ref()?.model.as_ref()?.extra.get(MAX_THINKING_TOKENS)?.as_u64()
}
