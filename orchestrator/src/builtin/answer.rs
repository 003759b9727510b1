//! Puts an answer together while it streams.

use super::{
    conversation::{Block, Conversation, WRITTEN},
    model::{Piece, Stop},
    voice::{CallId, Voice},
    written_calls,
};

/// Calls in one answer that are heard; a model that wants more is out of its mind.
pub(super) const MAX_CALLS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Answer {
    blocks: Vec<Growing>,
    stop: Option<Stop>,
    /// Tokens that the model read for it, if it was told.
    pub(super) read: Option<u64>,
}

#[derive(Debug)]
enum Growing {
    Whole(Block),
    Call(WantedCall),
}

/// A call as the model wrote it.
#[derive(Clone, Debug)]
pub(super) struct WantedCall {
    index: u64,
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, if all is well.
    pub(super) arguments: String,
    pub(super) shown: CallId,
}

/// An answer at its end. Its calls come after all blocks.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) blocks: Vec<Block>,
    pub(super) calls: Vec<WantedCall>,
    pub(super) stop: Stop,
}

impl Answer {
    /// Takes the next piece, and says it aloud.
    pub(super) async fn take(&mut self, piece: Piece, voice: &mut Voice) {
        match piece {
            Piece::Text(text) => {
                voice.say(&text).await;
                match self.blocks.last_mut() {
                    Some(Growing::Whole(Block::Text { text: said })) => said.push_str(&text),
                    _ => self.blocks.push(Growing::Whole(Block::Text { text })),
                }
            }
            Piece::Thinking(text, field) => {
                voice.think(&text).await;
                self.think(text, field);
            }
            Piece::Signature(more) => {
                if let Some(Growing::Whole(Block::Thinking { signature, .. })) =
                    self.blocks.last_mut()
                {
                    signature.get_or_insert_default().push_str(&more);
                }
            }
            Piece::Redacted(data) => self.blocks.push(Growing::Whole(Block::Redacted { data })),
            Piece::Call { index, id, name, arguments } => {
                self.call(index, id, name, arguments, voice).await;
            }
            Piece::Read(tokens) => self.read = Some(tokens),
            // The first reason is the real one.
            Piece::Stop(stop) => drop(self.stop.get_or_insert(stop)),
            Piece::End => {}
        }
    }

    fn think(&mut self, text: String, field: &str) {
        // A signed thought is closed.
        if let Some(Growing::Whole(Block::Thinking { text: thought, signature: None, .. })) =
            self.blocks.last_mut()
        {
            thought.push_str(&text);
        } else {
            let thought = Block::Thinking { text, signature: None, field: field.to_owned() };
            self.blocks.push(Growing::Whole(thought));
        }
    }

    async fn call(
        &mut self,
        index: u64,
        id: String,
        name: String,
        arguments: String,
        voice: &mut Voice,
    ) {
        let known = self.blocks.iter_mut().find_map(|block| match block {
            Growing::Call(call) if call.index == index => Some(call),
            _ => None,
        });
        if let Some(call) = known {
            call.arguments.push_str(&arguments);
        } else if !name.is_empty() {
            let shown = voice.call(&name).await;
            self.blocks.push(Growing::Call(WantedCall { index, id, name, arguments, shown }));
        }
    }

    /// Hears the calls that a model wrote into its text, if it made none otherwise.
    pub(super) async fn hear_written_calls(&mut self, voice: &mut Voice) {
        if self.blocks.iter().any(|block| matches!(block, Growing::Call(_))) {
            return;
        }
        let Some(Growing::Whole(Block::Text { text })) = self.blocks.last_mut() else { return };
        let Some((rest, calls)) = written_calls::find(text) else { return };
        voice.replace_text(&rest).await;
        *text = rest;
        for (index, (name, arguments)) in (0..).zip(calls) {
            let id = format!("{WRITTEN}{}", uuid::Uuid::now_v7().simple());
            self.call(index, id, name, arguments, voice).await;
        }
    }

    /// What it says so far.
    pub(super) fn text(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| match block {
            Growing::Whole(Block::Text { text }) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// The whole answer. Its calls get names that no other call of the conversation has.
    pub(super) fn finish(self, conversation: &Conversation) -> Answered {
        let (mut blocks, mut calls) = (Vec::new(), Vec::<WantedCall>::new());
        for block in self.blocks {
            match block {
                Growing::Whole(block) => blocks.push(block),
                Growing::Call(mut call) => {
                    if !is_usable(&call.id)
                        || calls.iter().any(|other| other.id == call.id)
                        || conversation.has_call(&call.id)
                    {
                        call.id = uuid::Uuid::now_v7().simple().to_string();
                    }
                    calls.push(call);
                }
            }
        }
        Answered { blocks, calls, stop: self.stop.unwrap_or_default() }
    }
}

/// Providers are asked to take it back as it was.
fn is_usable(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    (1..=128).contains(&id.len()) && id.chars().all(allowed)
}
