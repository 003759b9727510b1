//! How much of a conversation the model can read.

use sandbox_sdk::types::WireFormat;

use crate::sidecar::ModelAccess;

/// Tokens of a window that nobody told the size of.
const LOCAL_WINDOW: u64 = 8 * 1024;
const HOSTED_WINDOW: u64 = 128 * 1024;
const ANTHROPIC_WINDOW: u64 = 200_000;
/// A window smaller than this holds no work.
const LEAST_WINDOW: u64 = 2 * 1024;
/// Tokens that an answer is given.
const MAX_ANSWER: u64 = 16 * 1024;
/// Fewer bytes a token than nearly all texts have, until the provider has counted.
const CAUTIOUS: f64 = 3.0;

#[derive(Clone, Debug)]
pub(super) struct Room {
    window: u64,
    /// Tokens that an answer may have.
    pub(super) answer: u64,
    bytes_per_token: f64,
}

impl Room {
    pub(super) fn of(access: &ModelAccess) -> Self {
        let usual = match (access.provider.as_str(), access.format) {
            ("ollama" | "llama.cpp", _) => LOCAL_WINDOW,
            (_, WireFormat::Messages) => ANTHROPIC_WINDOW,
            _ => HOSTED_WINDOW,
        };
        let window = access.context_tokens.unwrap_or(usual);
        let window = window.max(LEAST_WINDOW);
        Self { window, answer: MAX_ANSWER.min(window / 4), bytes_per_token: CAUTIOUS }
    }

    /// Bytes that a conversation may have beside what always comes with it.
    pub(super) fn bytes(&self, beside: usize) -> usize {
        let tokens = self.window.saturating_sub(self.window.min(4 * MAX_ANSWER) / 4);
        let bytes = (tokens as f64 * self.bytes_per_token) as usize;
        bytes.saturating_sub(beside).max(2_000)
    }

    /// Characters of one tool's output that the model may read: several must fit.
    pub(super) fn output(&self) -> usize {
        usize::try_from(self.window * 3 / 8).unwrap_or(usize::MAX).clamp(2_000, 30_000)
    }

    /// Learns from what the provider counted for a request of so many bytes.
    pub(super) fn learn(&mut self, bytes: usize, tokens: u64) {
        if tokens > 0 {
            self.bytes_per_token = (bytes as f64 / tokens as f64).clamp(2.0, 4.5);
        }
    }

    /// The model could not read as much as was thought.
    pub(super) fn shrink(&mut self) {
        self.window = (self.window / 2).max(LEAST_WINDOW);
    }

    /// The model can't write as much as it was allowed to. Whether less is worth a try.
    pub(super) fn ask_for_less(&mut self) -> bool {
        self.answer /= 2;
        self.answer >= 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(provider: &str, context_tokens: Option<u64>) -> Room {
        Room::of(&ModelAccess {
            token: String::new(),
            provider: provider.into(),
            model: "m".into(),
            format: WireFormat::ChatCompletions,
            context_tokens,
        })
    }

    #[test]
    fn an_answer_has_room_beside_what_was_said() {
        for window in [4_096, 32_768, 1_000_000] {
            let room = room("custom", Some(window));
            assert!(room.bytes(0) as u64 / 3 + room.answer <= window, "{window}");
        }
        assert!(room("ollama", None).bytes(0) < room("custom", None).bytes(0));
    }

    #[test]
    fn it_learns_how_long_tokens_are() {
        let mut room = room("custom", Some(10_000));
        let before = room.bytes(0);
        room.learn(4_000, 1_000);
        assert!(room.bytes(0) > before);
        room.learn(4_000, 4_000);
        assert!(room.bytes(0) < before);
        room.shrink();
        assert!(room.bytes(0) < before / 2);
    }
}
