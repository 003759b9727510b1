//! Text out of bytes that come in pieces, which may end in the middle of a character.

/// Puts characters together again. What is not UTF-8 becomes replacement characters, as it would if
/// all of the bytes came at once.
#[derive(Debug, Default)]
pub(super) struct Characters {
    /// The beginning of a character: three bytes at most.
    begun: Vec<u8>,
}

impl Characters {
    /// The characters that are whole with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            if chunks.peek().is_none() && is_begun(chunk.invalid()) {
                self.begun = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// What is left when no more bytes come: nothing, or the sign for a character that never ended.
    pub(super) fn finish(&mut self) -> String {
        let begun = std::mem::take(&mut self.begun);
        String::from_utf8_lossy(&begun).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut characters = Characters::default();
        let mut text = String::new();
        for piece in pieces {
            text.push_str(&characters.push(piece));
            assert!(characters.begun.len() <= 3);
        }
        text + &characters.finish()
    }

    #[test]
    fn a_character_that_comes_in_two_pieces_is_one() {
        let mut characters = Characters::default();
        assert_eq!(characters.push(b"a\xe2\x82"), "a");
        assert_eq!(characters.push(b"\xacb"), "€b");
        assert_eq!(characters.push(b"\xf0\x9f"), "");
        assert_eq!(characters.finish(), "\u{fffd}");
        assert_eq!(characters.finish(), "");
    }

    proptest! {
        #[test]
        fn wherever_text_is_cut_it_stays_the_same(text in ".{0,40}", size in 1_usize..6) {
            prop_assert_eq!(in_pieces(text.as_bytes().chunks(size)), text);
        }

        #[test]
        fn wherever_bytes_are_cut_they_read_as_if_they_came_at_once(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            size in 1_usize..6,
        ) {
            let whole = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(in_pieces(bytes.chunks(size)), whole.as_ref());
        }
    }
}
