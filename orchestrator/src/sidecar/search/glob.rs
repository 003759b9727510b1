//! Patterns for file names: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for any folders.

/// Longest pattern, in bytes.
const MAX_LENGTH: usize = 256;
/// Choices of braces; a pattern that has more makes no sense.
const MAX_CHOICES: usize = 64;

/// A pattern that can be compared with many paths.
#[derive(Debug)]
pub(super) struct Glob {
    /// The pattern once for each choice of its braces.
    choices: Vec<String>,
    /// It is about a file's own name.
    name_only: bool,
}

impl Glob {
    /// # Errors
    /// What is wrong with the pattern, in words.
    pub(super) fn new(pattern: &str) -> Result<Self, &'static str> {
        const TOO_MUCH: &str = "glob is too long or has too many choices";
        let pattern = pattern.trim_start_matches("./");
        let choices = (pattern.len() <= MAX_LENGTH).then(|| choices(pattern)).flatten();
        let choices = choices.ok_or(TOO_MUCH)?;
        if choices.iter().any(|choice| has_open_set(choice.as_bytes())) {
            return Err("glob has a [ without its ]");
        }
        Ok(Self { choices, name_only: !pattern.contains('/') })
    }

    /// Whether a path fits.
    pub(super) fn matches(&self, path: &str) -> bool {
        let name = || path.rsplit('/').next().unwrap_or_default();
        let subject = if self.name_only { name() } else { path };
        self.choices.iter().any(|pattern| fits(pattern.as_bytes(), subject.as_bytes()))
    }
}

fn choices(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let braces = pattern.find('{').and_then(|start| {
            let length = pattern[start..].find('}')?;
            Some((start, start + length))
        });
        if let Some((start, end)) = braces {
            let (before, after) = (&pattern[..start], &pattern[end + 1..]);
            let choices = pattern[start + 1..end].split(',');
            open.extend(choices.map(|choice| format!("{before}{choice}{after}")));
        } else {
            done.push(pattern);
        }
        if open.len() + done.len() > MAX_CHOICES {
            return None;
        }
    }
    Some(done)
}

/// Goes back only to the last star of each kind, so that no pattern takes long.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // Where to go on when it does not fit: after a `*`, which stays within a folder, or a `**`.
    let (mut star, mut stars) = (None::<(usize, usize)>, None::<(usize, usize)>);
    while seen < path.len() {
        let rest = pattern.get(at..).unwrap_or_default();
        if rest.starts_with(b"**") {
            let skip = if rest.starts_with(b"**/") { 3 } else { 2 };
            stars = Some((at + skip, seen));
            star = None;
            at += skip;
        } else if rest.starts_with(b"*") {
            star = Some((at + 1, seen));
            at += 1;
        } else if let Some(length) = one(rest, path[seen]) {
            at += length;
            seen += 1;
        } else if let Some((after, from)) = star.filter(|(_, from)| path[*from] != b'/') {
            star = Some((after, from + 1));
            (at, seen) = (after, from + 1);
        } else if let Some((after, from)) = stars {
            // Whole folders only, if a slash follows.
            let folders = pattern[..after].ends_with(b"/");
            let step =
                if folders { path[from..].iter().position(|byte| *byte == b'/') } else { Some(0) };
            let Some(step) = step else { return false };
            stars = Some((after, from + step + 1));
            star = None;
            (at, seen) = (after, from + step + 1);
        } else {
            return false;
        }
    }
    pattern[at.min(pattern.len())..].iter().all(|byte| *byte == b'*')
}

/// Whether a `[` has no end, so that nothing could ever fit.
fn has_open_set(mut pattern: &[u8]) -> bool {
    while let [first, rest @ ..] = pattern {
        pattern = if *first == b'[' {
            let Some(end) = set_end(pattern) else { return true };
            &pattern[end + 1..]
        } else {
            rest
        };
    }
    false
}

/// Where the set ends that the pattern begins with. A `]` that comes first in it is one of it.
fn set_end(pattern: &[u8]) -> Option<usize> {
    Some(pattern.iter().skip(2).position(|byte| *byte == b']')? + 2)
}

/// Bytes of the pattern that stand for this one byte of the path.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => (byte != b'/').then_some(1),
        b'[' => {
            let end = set_end(pattern)?;
            let (not, set) = match &pattern[1..end] {
                [b'!' | b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            let mut inside = set.contains(&byte);
            for range in set.windows(3).filter(|range| range[1] == b'-') {
                inside |= (range[0]..=range[2]).contains(&byte);
            }
            (inside != not).then_some(end + 1)
        }
        literal => (literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::Glob;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn patterns_fit_what_they_fit_in_a_shell() {
        let fitting = [
            ("*.rs", "src/deep/main.rs"),
            ("src/*.rs", "src/main.rs"),
            ("**/*.rs", "main.rs"),
            ("**/*.rs", "a/b/main.rs"),
            ("src/**/*.rs", "src/main.rs"),
            ("src/**/*.rs", "src/a/b/main.rs"),
            ("src/**", "src/a/b"),
            ("*.{ts,tsx}", "x/app.tsx"),
            ("?ain.[a-r]s", "main.rs"),
            ("[!a]*", "main.rs"),
            ("a/**/b/*.c", "a/b/x/b/y.c"),
        ];
        for (pattern, path) in fitting {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_do_not_fit_what_they_do_not() {
        let others = [
            ("*.rs", "main.rst"),
            ("src/*.rs", "src/a/main.rs"),
            ("src/**/*.rs", "other/main.rs"),
            ("**/b.rs", "ab.rs"),
            ("*.{ts,tsx}", "app.js"),
            ("?.rs", "ab.rs"),
            ("", "a"),
        ];
        for (pattern, path) in others {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_set_that_has_no_end_is_none() {
        for open in ["[", "[]", "a[b", "[a]/[", "{a,[}", "*[!"] {
            assert!(Glob::new(open).is_err(), "{open}");
        }
        for (closed, path) in [("[[]", "["), ("[]]", "]"), ("a]", "a]"), ("{[a],b}", "b")] {
            assert!(matches(closed, path), "{closed}");
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let (pattern, path) = ("*a".repeat(40) + "b", "a".repeat(10_000));
        assert!(!matches(&pattern, &path));
        assert!(!matches(&format!("**/{pattern}"), &path));
    }

    #[test]
    fn a_pattern_that_is_a_bomb_is_none() {
        let started = Instant::now();
        for bomb in ["{a,b}".repeat(40), "{,,,,,,,,}".repeat(20), "x".repeat(257)] {
            assert!(Glob::new(&bomb).is_err(), "{bomb}");
        }
        assert!(matches(&"{".repeat(200), &"{".repeat(200)), "they have no end");
        let most = "{a,b}".repeat(6);
        assert!(matches(&most, "ababab") && !matches(&most, "ababac"));
        assert!(started.elapsed().as_secs() < 30);
    }

    proptest! {
        #[test]
        fn no_pattern_breaks_it(pattern in ".{0,40}", path in ".{0,40}") {
            if let Ok(glob) = Glob::new(&pattern) {
                glob.matches(&path);
            }
        }

        #[test]
        fn a_plain_name_fits_itself(name in "[a-z0-9_.]{1,20}") {
            let below = format!("some/folder/{name}");
            prop_assert!(matches(&name, &below));
        }
    }
}
