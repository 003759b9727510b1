//! What is wrong with what somebody sent: which field, and what it must be, in words that need no
//! knowledge of the parser. No values: they may be secret.

use std::{error::Error, fmt};

use sandbox_sdk::types::Extra;
use serde::de::{DeserializeOwned, value};
use serde_path_to_error::{Error as Found, Path};

/// Characters of a field's path that are told.
const MAX_FIELD: usize = 200;
/// Characters of what is said of it.
const MAX_WORDS: usize = 500;
/// Characters of a part of a path.
const MAX_PART: usize = 64;
/// With what the words begin that go on after a field's name.
const VERBS: [&str; 3] = ["must ", "is ", "has "];

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// By its path, such as `resources.cpuCores`; `None`: no field alone is to blame.
    field: Option<String>,
    /// What comes after the field's name, such as `must be a number`.
    words: String,
}

/// `resources.cpuCores must be a number`.
impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) if VERBS.iter().any(|verb| self.words.starts_with(verb)) => {
                write!(f, "{field} {}", self.words)
            }
            Some(field) => write!(f, "{field}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl Flaw {
    /// `words` go on after the field's name.
    pub(crate) fn new(field: &str, words: &str) -> Self {
        Self {
            field: (!field.is_empty()).then(|| field.chars().take(MAX_FIELD).collect()),
            words: words.chars().take(MAX_WORDS).collect(),
        }
    }

    /// Reads JSON, all of it.
    pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Self> {
        let mut json = serde_json::Deserializer::from_slice(json);
        let read = serde_path_to_error::deserialize(&mut json);
        let read = read.map_err(|found| Self::of_json(&found))?;
        json.end().map_err(|error| Self::new("", &error.to_string()))?;
        Ok(read)
    }

    /// What the parser of a body found.
    pub(crate) fn of_json(found: &Found<serde_json::Error>) -> Self {
        let error = found.inner();
        let words = error.to_string();
        if !error.is_data() {
            // It is no JSON: where it ceases to be is what there is to say.
            return Self::new("", &words);
        }
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self::at(found.path(), words.strip_suffix(place.as_str()).unwrap_or(&words))
    }

    /// What an extractor found.
    pub(crate) fn of(rejection: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(rejection);
        let mut last = rejection;
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Found<serde_json::Error>>() {
                return Self::of_json(found);
            }
            if let Some(found) = error.downcast_ref::<Found<value::Error>>() {
                return Self::at(found.path(), &found.inner().to_string());
            }
            last = error;
            cause = error.source();
        }
        Self::new("", &last.to_string())
    }

    /// A part of a path that is not what it should be.
    pub(crate) fn of_path(part: &str, expected: &str) -> Self {
        let part: String = part.chars().take(MAX_PART).collect();
        Self::new("", &format!("{part:?} must be {}", wanted(expected)))
    }

    /// For the envelope: the field's name and what is wrong with it.
    pub(crate) fn fields(&self) -> Option<Extra> {
        let field = self.field.clone()?;
        Some(Extra::from_iter([(field, self.words.clone().into())]))
    }

    fn at(path: &Path, words: &str) -> Self {
        let mut field = path.iter().next().map(|_| path.to_string()).unwrap_or_default();
        let named = |start: &str| words.strip_prefix(start)?.split('`').nth(1);
        let (name, told) = match (named("missing field "), named("duplicate field ")) {
            (Some(name), _) => (name, "is missing".to_owned()),
            (_, Some(name)) => (name, "is given twice, or in two spellings".to_owned()),
            _ => ("", told(words)),
        };
        if !name.is_empty() {
            let dot = if field.is_empty() { "" } else { "." };
            field = format!("{field}{dot}{name}");
        }
        Self::new(&field, &told)
    }
}

/// The parser's words in those of the API.
fn told(words: &str) -> String {
    let of_a_type = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if of_a_type.iter().any(|start| words.starts_with(start))
        && let Some((_, expected)) = words.rsplit_once(", expected ")
    {
        return format!("must be {}", wanted(expected));
    }
    let told = match words {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number"
        }
        "number too large to fit in target type" => "is too large a number",
        "number too small to fit in target type" => "is too small a number",
        "invalid float literal" | "cannot parse float from empty string" => "must be a number",
        "provided string was not `true` or `false`" => "must be true or false",
        _ if words.starts_with("data did not match any variant") => {
            "has none of the forms that it may have"
        }
        words => words,
    };
    told.to_owned()
}

/// What the parser expected.
fn wanted(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a string" | "a borrowed string" | "a formatted string" | "string or map" => "a text",
        "a boolean" | "`true` or `false`" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged enum ") => {
            "an object"
        }
        _ if expected.starts_with("enum ") || expected.starts_with("variant ") => "a known word",
        expected => expected,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sandbox_sdk::types::{CreateSandbox, Exec, SpawnProcess};
    use serde::Deserialize;

    use super::*;

    fn flaw<T: DeserializeOwned>(body: &str) -> String {
        Flaw::read::<T>(body.as_bytes()).err().unwrap().to_string()
    }

    #[test]
    fn a_field_is_named_by_its_path_and_by_what_it_must_be() {
        for (body, words) in [
            (r#"{"name": 3}"#, "name must be a text"),
            (r#"{"resources": {"cpu": "hunter2"}}"#, "resources.cpu must be a number"),
            (r#"{"resources": "hunter2"}"#, "resources must be an object"),
            (r#"{"secrets": ["A", 2]}"#, "secrets[1] must be a text"),
            (r#"{"env": {"TOKEN": ["hunter2"]}}"#, "env.TOKEN must be a text"),
            (r#"{"resources": {"strict": 1}}"#, "resources.strict must be true or false"),
            (r#"{"backend": {"type": 5}}"#, "backend: type must be a text"),
            (r#"{"backend": "demo"}"#, "backend must be an object"),
        ] {
            assert_eq!(flaw::<CreateSandbox>(body), words, "{body}");
        }
        assert_eq!(flaw::<Exec>("{}"), "command is missing");
        let twice = r#"{"command": "a", "command": "b"}"#;
        assert_eq!(flaw::<Exec>(twice), "command is given twice, or in two spellings");
        let process = flaw::<SpawnProcess>(r#"{"timeoutMs": 1.5}"#);
        assert_eq!(process, "timeoutMs must be a whole number, 0 or more");
        let git = flaw::<CreateSandbox>(r#"{"git": {"url": ["hunter2"]}}"#);
        assert!(git.starts_with("git: ") && !git.contains("hunter2"), "{git}");
    }

    #[test]
    fn what_is_no_json_is_told_with_the_place() {
        let words = flaw::<CreateSandbox>(r#"{"name": }"#);
        assert!(words.contains(" at line 1 column "), "{words}");
        let more = flaw::<CreateSandbox>("{} {}");
        assert!(more.contains(" at line 1 column "), "{more}");
    }

    #[derive(Debug, Deserialize)]
    struct Asked {
        #[serde(rename = "limit")]
        _limit: u16,
    }

    #[test]
    fn a_query_is_told_of_in_the_same_way() {
        for (query, words) in [
            ("limit=x", "limit must be a whole number"),
            ("limit=70000", "limit is too large a number"),
            ("", "limit is missing"),
        ] {
            let uri = format!("/?{query}").parse().unwrap();
            let refused = axum::extract::Query::<Asked>::try_from_uri(&uri).unwrap_err();
            assert_eq!(Flaw::of(&refused).to_string(), words, "{query}");
        }
    }

    #[test]
    fn a_part_of_a_path_is_told_with_what_it_must_be() {
        assert_eq!(Flaw::of_path("abc", "i32").to_string(), "\"abc\" must be a whole number");
        assert!(Flaw::of_path(&"x".repeat(5000), "u16").to_string().len() < 200);
    }

    #[test]
    fn what_is_told_has_an_end() {
        let key = "x".repeat(10_000);
        let words = flaw::<BTreeMap<String, u64>>(&format!("{{\"{key}\": true}}"));
        assert!(words.len() < MAX_FIELD + MAX_WORDS, "{}", words.len());
        assert!(Flaw::new("", "no").fields().is_none());
        let fields = Flaw::new("name", "must be a text").fields().unwrap();
        assert_eq!(fields["name"], "must be a text");
    }
}
