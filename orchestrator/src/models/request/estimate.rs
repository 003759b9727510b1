//! How many tokens a request comes to, before its provider has counted them.
//!
//! What is set aside for a request is the most that it can reasonably come to. Of text that is not a
//! bound, for a token may be a single byte; of pictures and documents it is what the providers' own
//! rules come to at most.

#[cfg(test)]
use std::sync::Arc;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    iter,
    sync::LazyLock,
};

/// Bytes of text to a token: the newest tokenisers need one for three letters of code.
const ASCII_PER_TOKEN: u64 = 3;
/// The same for text that is not English: most of it has two or three bytes to a letter.
const OTHER_PER_TOKEN: u64 = 2;
const USUAL_PER_TOKEN: u64 = 4;

/// Anthropic makes pictures smaller until they have 4784 patches of 28 pixels square.
const ANTHROPIC_IMAGE: u64 = 4_800;
/// OpenAI's models come to 14 400 tokens for a camera's picture. The most of open models is Qwen's
/// 16 384.
const IMAGE: u64 = 16_384;
/// The one model that is far from all others: so much, and so much again for each of eight tiles.
const GPT_4O_MINI_IMAGE: u64 = 2_833 + 8 * 5_667;
const USUAL_IMAGE: u64 = 1_500;
/// A page is read as text, which Anthropic says is 3000 tokens at most, and as a picture.
const PAGE: u64 = 3_000 + ANTHROPIC_IMAGE;
const USUAL_PAGE: u64 = 2_500;
/// Bytes of a page with nothing but words, and of a usual one.
const PAGE_BYTES: u64 = 8 * 1024;
const USUAL_PAGE_BYTES: u64 = 32 * 1024;
/// No provider takes more.
const MAX_PAGES: u64 = 600;
/// Gemini counts 32 tokens a second, others less; the worst sound there is has a kilobyte a second.
const AUDIO_BYTES_PER_TOKEN: u64 = 1024 / 32;
/// Tokens that a model reads at once, where nobody tells.
const WINDOW: u64 = 200_000;
/// Parts that are told apart. Longer conversations than agents have.
const MAX_PARTS: usize = 4096;

/// Whoever knew the keys of the hashes could make parts that pass for others, which cost less.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What holds for the model that a request is for.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::models) struct Rules {
    /// Most tokens of a picture.
    image: u64,
    /// Most tokens of all that is no text: a model reads no more than its window at once.
    window: u64,
}

impl Rules {
    pub(in crate::models) fn of(anthropic: bool, model: &str, window: Option<u64>) -> Self {
        let image = match () {
            () if anthropic => ANTHROPIC_IMAGE,
            () if model.contains("gpt-4o-mini") => GPT_4O_MINI_IMAGE,
            () => IMAGE,
        };
        Self { image, window: window.unwrap_or(WINDOW) }
    }
}

/// Tokens that somebody has yet to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tokens {
    most: u64,
    usual: u64,
}

impl Tokens {
    fn add(&mut self, other: Self) {
        self.most = self.most.saturating_add(other.most);
        self.usual = self.usual.saturating_add(other.usual);
    }
}

/// What is encoded in a piece of JSON and read as something else than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Audio,
    /// Taken for text.
    Other,
}

impl Kind {
    /// By its media type.
    pub(super) fn of(media_type: &str) -> Self {
        let media_type = media_type.trim_start().to_ascii_lowercase();
        if media_type.starts_with("image/") {
            Self::Image
        } else if media_type.starts_with("application/pdf") {
            Self::Document
        } else if media_type.starts_with("audio/") {
            Self::Audio
        } else {
            Self::Other
        }
    }
}

/// What was found in a piece of JSON besides text.
#[derive(Debug)]
pub(super) struct Media {
    rules: Rules,
    /// Bytes of the JSON that are no text.
    encoded: u64,
    tokens: Tokens,
}

impl Media {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, encoded: 0, tokens: Tokens::default() }
    }

    /// Takes note of something that is encoded in so many characters of base64.
    pub(super) fn take(&mut self, kind: Kind, characters: usize) {
        let characters = characters as u64;
        let bytes = characters / 4 * 3;
        let tokens = match kind {
            Kind::Image => Tokens { most: self.rules.image, usual: USUAL_IMAGE },
            Kind::Document => {
                let pages = |page: u64| bytes.div_ceil(page).clamp(1, MAX_PAGES);
                Tokens {
                    most: pages(PAGE_BYTES) * PAGE,
                    usual: pages(USUAL_PAGE_BYTES) * USUAL_PAGE,
                }
            }
            Kind::Audio => {
                let most = bytes.div_ceil(AUDIO_BYTES_PER_TOKEN);
                Tokens { most, usual: most / 4 }
            }
            Kind::Other => return,
        };
        self.encoded += characters;
        self.tokens.add(tokens);
    }
}

/// What a request consists of, in the order in which its model reads it, and what it comes to. Later
/// requests of a turn repeat earlier ones and add to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::models) struct Outline {
    /// The hash of all up to the end of a part, and the most tokens of that part.
    parts: Vec<(u64, u64)>,
    text: Tokens,
    media: Tokens,
    /// The rest, which may stand in between.
    besides: u64,
    bytes: u64,
}

impl Outline {
    /// An outline of nothing but text.
    #[cfg(test)]
    pub(in crate::models) fn of(parts: &[String]) -> Arc<Self> {
        let mut outline = Self::default();
        parts.iter().for_each(|part| outline.push(part, &Media::new(Rules::default())));
        Arc::new(outline)
    }

    pub(super) fn push(&mut self, json: &str, media: &Media) {
        let text = text_tokens(json, media.encoded);
        self.text.add(text);
        self.media.add(media.tokens);
        self.bytes += json.len() as u64;
        let most = text.most.saturating_add(media.tokens.most);
        if self.parts.len() < MAX_PARTS {
            let mut hasher = KEYS.build_hasher();
            hasher.write_u64(self.parts.last().map_or(0, |(hash, _)| *hash));
            hasher.write(json.as_bytes());
            self.parts.push((hasher.finish(), most));
        } else {
            self.besides = self.besides.saturating_add(most);
        }
    }

    /// Takes the rest of a request for text.
    pub(super) fn finish(&mut self, body: &str) {
        let rest = (body.len() as u64).saturating_sub(self.bytes);
        let text =
            Tokens { most: rest.div_ceil(ASCII_PER_TOKEN), usual: rest.div_ceil(USUAL_PER_TOKEN) };
        self.text.add(text);
        self.besides = self.besides.saturating_add(text.most);
    }

    /// The most that all of it comes to.
    pub(in crate::models) fn most(&self, rules: Rules) -> u64 {
        self.text.most.saturating_add(self.media.most.min(rules.window))
    }

    /// What requests like this one usually come to.
    pub(in crate::models) fn usual(&self, rules: Rules) -> u64 {
        self.text.usual.saturating_add(self.media.usual.min(rules.window))
    }

    /// The most of what both begin with, and of the rest of this one.
    pub(in crate::models) fn compare(&self, earlier: &Self) -> (u64, u64) {
        let alike = iter::zip(&self.parts, &earlier.parts);
        let alike = alike.take_while(|(mine, its)| mine == its).count();
        let sum = |parts: &[(u64, u64)]| {
            parts.iter().fold(0_u64, |sum, (_, most)| sum.saturating_add(*most))
        };
        let (alike, rest) = self.parts.split_at(alike);
        (sum(alike), sum(rest).saturating_add(self.besides))
    }
}

fn text_tokens(json: &str, encoded: u64) -> Tokens {
    let bytes = (json.len() as u64).saturating_sub(encoded);
    let other = json.bytes().filter(|byte| !byte.is_ascii()).count() as u64;
    let ascii = bytes.saturating_sub(other);
    Tokens {
        most: ascii.div_ceil(ASCII_PER_TOKEN) + other.div_ceil(OTHER_PER_TOKEN),
        usual: bytes.div_ceil(USUAL_PER_TOKEN),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    #[test]
    fn what_passes_for_a_part_cannot_be_worked_out_elsewhere() {
        let parts = ["[]".to_owned()];
        let outline = Outline::of(&parts);
        let mut elsewhere = DefaultHasher::new();
        elsewhere.write_u64(0);
        elsewhere.write(parts[0].as_bytes());
        assert_ne!(outline.parts[0].0, elsewhere.finish());
        // It is the same for all requests of this process.
        assert_eq!(outline, Outline::of(&parts));
    }
}
