//! Asks the model until it gives a whole answer.

use std::time::Duration;

use sandbox_sdk::types::TurnError;
use tokio::time::sleep;

use super::Turn;
use crate::builtin::{
    answer::{Answer, Answered},
    model::{Failure, Request},
    prompt,
    toolbox::Spec,
};

/// Pauses before a request is sent again. The gateway refuses one that comes too often.
const PAUSES: [Duration; 2] = [Duration::from_millis(800), Duration::from_secs(4)];
/// Longest pause that a provider may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl Turn {
    /// Gets one whole answer, however often it has to be asked for.
    pub(super) async fn ask(&mut self, may_call: bool) -> Result<Answered, TurnError> {
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
}
