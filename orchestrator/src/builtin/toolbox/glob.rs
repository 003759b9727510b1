//! Patterns for file names: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for any folders.

/// Whether a path fits. A pattern without a slash is about the file's own name.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches("./");
    let subject =
        if pattern.contains('/') { path } else { path.rsplit('/').next().unwrap_or_default() };
    alternatives(pattern).iter().any(|pattern| fits(pattern.as_bytes(), subject.as_bytes()))
}

/// The pattern once for each choice of its braces.
fn alternatives(pattern: &str) -> Vec<String> {
    /// Braces after that many choices are taken as they stand.
    const MOST: usize = 64;
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let braces = pattern.find('{').and_then(|start| {
            let length = pattern[start..].find('}')?;
            Some((start, start + length))
        });
        match braces {
            Some((start, end)) if open.len() + done.len() < MOST => {
                let (before, after) = (&pattern[..start], &pattern[end + 1..]);
                let choices = pattern[start + 1..end].split(',');
                open.extend(choices.map(|choice| format!("{before}{choice}{after}")));
            }
            _ => done.push(pattern),
        }
    }
    done
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

/// Bytes of the pattern that stand for this one byte of the path.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => (byte != b'/').then_some(1),
        b'[' => {
            let end = pattern.iter().skip(2).position(|byte| *byte == b']')? + 2;
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
    use super::matches;

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
    fn no_pattern_takes_long() {
        let (pattern, path) = ("*a".repeat(40) + "b", "a".repeat(10_000));
        assert!(!matches(&pattern, &path));
        assert!(!matches(&format!("**/{pattern}"), &path));
    }
}
