//! The lines of files that fit a regular expression.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

use regex::bytes::{Regex, RegexBuilder};
use sandbox_sdk::types::{SearchMatch, SearchResults};

use super::{super::api::Problem, Watch};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1000;
/// Bytes of a pattern made ready. `\w{1000}` needs more, and would take long on every line.
const MAX_READY: usize = 1 << 20;
/// Brackets within brackets.
const MAX_NESTED: u32 = 50;
/// Bytes of a line that are looked at; minified files have very long ones.
const MAX_LINE: usize = 16 * 1024;
/// Characters of a line that are told.
const MAX_TEXT: usize = 500;
/// Bytes of a file that are looked at.
const MAX_FILE: u64 = 64 << 20;
/// Bytes of text and of paths that are told together, roughly.
const MAX_TOLD: usize = 4 << 20;

/// A search for lines, and what it has found.
#[derive(Debug)]
pub(super) struct Lines {
    regex: Regex,
    context: usize,
    /// Matches that are told.
    most: usize,
    found: SearchResults,
    told: usize,
}

impl Lines {
    pub(super) fn new(
        pattern: &str,
        ignore_case: bool,
        context: usize,
        most: usize,
    ) -> Result<Self, Problem> {
        if pattern.len() > MAX_PATTERN {
            return Err(Problem::invalid(format!("pattern is longer than {MAX_PATTERN} bytes")));
        }
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .nest_limit(MAX_NESTED)
            .size_limit(MAX_READY)
            .dfa_size_limit(MAX_READY)
            .build()
            .map_err(|error| Problem::invalid(format!("pattern cannot be used: {error}")))?;
        Ok(Self { regex, context, most, found: SearchResults::default(), told: 0 })
    }

    /// What was found; `whole`: all files were looked at.
    pub(super) fn found(self, whole: bool) -> SearchResults {
        SearchResults { truncated: self.found.truncated || !whole, ..self.found }
    }

    /// Searches one file. Whether to go on with others.
    pub(super) fn search(&mut self, path: &str, file: File, watch: &Watch) -> bool {
        let size = file.metadata().map_or(0, |data| data.len());
        self.found.truncated |= size > MAX_FILE;
        // What can't be read to its end was read as far as it can.
        self.read(path, BufReader::new(file.take(MAX_FILE)), watch).unwrap_or(true)
    }

    fn read(&mut self, path: &str, mut file: impl BufRead, watch: &Watch) -> io::Result<bool> {
        // A file with zero bytes is no text.
        if file.fill_buf()?.contains(&0) {
            return Ok(true);
        }
        let (mut line, mut number) = (Vec::new(), 0_u64);
        let mut before: VecDeque<String> = VecDeque::new();
        // Matches of this file from here on want more lines after them.
        let mut open = self.found.matches.len();
        let mut full = false;
        while next_line(&mut file, &mut line)? {
            number += 1;
            if watch.is_over() {
                self.found.truncated = true;
                return Ok(false);
            }
            if line.contains(&0) {
                break;
            }
            let fits = if full { None } else { self.regex.find(&line) };
            open = self.tell_after(open, &line);
            if let Some(fits) = fits {
                if self.found.matches.len() >= self.most || self.told >= MAX_TOLD {
                    self.found.truncated = true;
                    full = true;
                } else {
                    let start = line.get(..fits.start()).unwrap_or_default();
                    let column = String::from_utf8_lossy(start).chars().count() as u64 + 1;
                    let before: Vec<String> = before.iter().cloned().collect();
                    let (text, after) = (shown(&line), Vec::new());
                    let around = before.iter().map(String::len).sum::<usize>();
                    self.told += path.len() + text.len() + around;
                    let path = path.to_owned();
                    let found = SearchMatch { path, line: number, column, text, before, after };
                    self.found.matches.push(found);
                }
            }
            if full && open == self.found.matches.len() {
                return Ok(false);
            }
            if self.context > 0 {
                if before.len() >= self.context {
                    before.pop_front();
                }
                before.push_back(shown(&line));
            }
        }
        Ok(!full)
    }

    /// Gives a line to the matches before it that want more. Returns the first that still does.
    fn tell_after(&mut self, open: usize, line: &[u8]) -> usize {
        if self.context == 0 {
            return self.found.matches.len();
        }
        let waiting = self.found.matches.get_mut(open..).unwrap_or_default();
        let mut satisfied = 0;
        if !waiting.is_empty() {
            let text = shown(line);
            for found in waiting {
                found.after.push(text.clone());
                self.told += text.len();
                satisfied += usize::from(found.after.len() >= self.context);
            }
        }
        open + satisfied
    }
}

/// The next line without its end, as much of it as is looked at. Whether there was one.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut begun = false;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        begun = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let fitting = part.len().min(MAX_LINE - line.len());
        line.extend_from_slice(part.get(..fitting).unwrap_or_default());
        let used = part.len() + usize::from(end.is_some());
        file.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(begun)
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn search(pattern: &str, text: &[u8], context: usize, most: usize) -> SearchResults {
        let deadline = Instant::now() + Duration::from_secs(600);
        let watch = Watch { given_up: CancellationToken::new(), deadline };
        let mut lines = Lines::new(pattern, false, context, most).unwrap();
        lines.read("a.txt", BufReader::with_capacity(7, text), &watch).unwrap();
        lines.found(true)
    }

    #[test]
    fn a_line_is_told_with_its_place_and_what_is_around_it() {
        let text = "one\r\ntwo\näx needle\nfour\nneedle\nsix\n".as_bytes();
        let found = search("needle|no", text, 1, 9);
        let [first, second] = &found.matches[..] else { panic!("{found:?}") };
        assert_eq!((first.line, first.column, first.text.as_str()), (3, 4, "äx needle"));
        assert_eq!(first.before, ["two"]);
        assert_eq!(first.after, ["four"]);
        assert_eq!((second.line, second.column), (5, 1));
        assert_eq!(second.after, ["six"]);
        assert!(!found.truncated);
    }

    #[test]
    fn results_beyond_the_limit_are_said_to_be_missing_and_the_last_keeps_its_lines() {
        let found = search("x", b"x1\nx2\nx3\nx4\n", 2, 1);
        assert!(found.truncated);
        assert_eq!(found.matches.len(), 1);
        assert_eq!(found.matches[0].after, ["x2", "x3"]);
        assert!(!search("x", b"x1\nx2\n", 0, 2).truncated);
    }

    #[test]
    fn the_path_of_a_match_counts_as_well() {
        let deadline = Instant::now() + Duration::from_secs(600);
        let watch = Watch { given_up: CancellationToken::new(), deadline };
        let mut lines = Lines::new("x", false, 0, 1000).unwrap();
        let path = "d/".repeat(8 << 10);
        lines.read(&path, "x\n".repeat(1000).as_bytes(), &watch).unwrap();
        let found = lines.found(true);
        assert!(found.truncated && found.matches.len() < 300, "{}", found.matches.len());
    }

    #[test]
    fn what_is_no_text_is_passed_over_and_long_lines_are_cut() {
        assert!(search("x", b"x\0x\n", 0, 9).matches.is_empty());
        let long = ["y".repeat(1000), "x".repeat(MAX_LINE), "needle".into()].concat();
        let found = search("x|needle", long.as_bytes(), 0, 9);
        assert_eq!(found.matches.len(), 1);
        assert_eq!(found.matches[0].text.chars().count(), MAX_TEXT + 1);
        assert!(search("needle", long.as_bytes(), 0, 9).matches.is_empty());
    }

    #[test]
    fn patterns_that_are_bombs_are_refused_or_fast() {
        let refused = [
            r"(\w{1000}){1000}".to_owned(),
            "(".repeat(2000),
            "((((a{50}){50}){50}){50})".to_owned(),
            "(".into(),
            "x".repeat(MAX_PATTERN + 1),
            format!("{}a{}", "(?:".repeat(200), ")".repeat(200)),
            r"(a)\1".into(),
            "(?=a)".into(),
        ];
        for pattern in refused {
            assert!(Lines::new(&pattern, false, 0, 1).is_err(), "{pattern}");
        }
        let text = "a".repeat(100_000);
        for pattern in ["(a+)+$b", "(a|aa)+$b", "(.*)*(.*)*(.*)*b", "(a?){30}a{30}b"] {
            assert!(search(pattern, text.as_bytes(), 0, 1).matches.is_empty(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(text in "[a-c\n]{0,60}") {
            let found = search("^", text.as_bytes(), 0, 1000);
            let told: Vec<_> = found.matches.iter().map(|found| found.text.as_str()).collect();
            prop_assert_eq!(told, text.lines().collect::<Vec<_>>());
        }
    }
}
