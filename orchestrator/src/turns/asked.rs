//! What a person asks of a turn: the text for its agent, and the files that come with it.
//!
//! An agent reads text. A file that the client sends along is put into the sandbox before the agent
//! starts, one that lies there already stays where it is, and the text names both.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use sandbox_sdk::types::{Extra, InputPart, WriteFile};
use serde_json::Value;

use super::{TurnError, posture::Posture};
use crate::sidecar::{WORKSPACE, resolve_path};

/// Files that one turn names.
const MAX_FILES: usize = 64;
/// What is kept of the name of a file that is sent along, in characters: its end.
const MAX_NAME: usize = 50;
/// Longest media type that is told, in bytes.
const MAX_MEDIA: usize = 100;

/// What is asked, ready for the sandbox.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) prompt: String,
    /// To be written before the agent starts.
    pub(super) files: Vec<WriteFile>,
    /// What nobody is asked.
    pub(super) posture: Posture,
}

/// Where a file lies in the sandbox, or will lie.
struct Named {
    path: String,
    media: Option<String>,
    /// What is to be written there.
    bytes: Option<Vec<u8>>,
}

impl Asked {
    /// Refuses what no agent can be asked here.
    pub(super) fn read(turn_id: &str, parts: &[InputPart]) -> Result<Self, TurnError> {
        let (mut texts, mut list, mut files) = (Vec::new(), String::new(), Vec::new());
        let mut count = 0;
        for part in parts {
            let fields = match part {
                InputPart::Text { text } => {
                    texts.push(text.as_str());
                    continue;
                }
                InputPart::Other(fields) => fields,
            };
            count += 1;
            if count > MAX_FILES {
                return invalid(format!("parts must name no more than {MAX_FILES} files"));
            }
            let Named { path, media, bytes } = named(turn_id, count, fields)?;
            list.push_str("\n- ");
            list.push_str(&path);
            if let Some(media) = media {
                list.push_str(&format!(" ({media})"));
            }
            if let Some(bytes) = bytes {
                let content = BASE64_STANDARD.encode(bytes);
                let encoding = Some("base64".to_owned());
                files.push(WriteFile { path, content, encoding, mode: None });
            }
        }
        let text = texts.join("\n\n");
        let prompt = match (text.trim().is_empty(), list.is_empty()) {
            (true, true) => return invalid("parts must hold some text or a file"),
            (false, true) => text,
            (true, false) => format!("Files that come with this message:{list}"),
            (false, false) => format!("{text}\n\nFiles that come with this message:{list}"),
        };
        Ok(Self { prompt, files, posture: Posture::default() })
    }
}

fn named(turn_id: &str, number: usize, fields: &Extra) -> Result<Named, TurnError> {
    let field = |name: &str| fields.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    let Some(kind @ ("file" | "image")) = field("type") else {
        return invalid("parts must be of type text, file or image");
    };
    if fields.get("content").is_some_and(|content| !content.is_null()) {
        return invalid("content is not taken: a part brings its bytes in a data: URL");
    }
    let media = field("mediaType").filter(|media| is_media(media)).map(str::to_owned);
    let there = |path: String| Ok(Named { path, media: media.clone(), bytes: None });
    let url = match (field("url"), field("path")) {
        (Some(url), None) => url,
        (None, Some(path)) => return there(own(path)?),
        _ => return invalid("a part of type file or image needs a url or a path, and not both"),
    };
    match url.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("data") => {
            let (said, bytes) = data(rest)?;
            let media = media.or(said);
            let name = field("filename").map(plain).filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| unnamed(kind, media.as_deref()));
            let path = format!("{WORKSPACE}/attachments/{turn_id}/{number}-{name}");
            Ok(Named { path, media, bytes: Some(bytes) })
        }
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let path = percent_decode_str(path).decode_utf8().ok();
            match path.filter(|path| path.starts_with('/')) {
                Some(path) => there(own(&path)?),
                None => invalid("a file: URL must hold an absolute path of the sandbox"),
            }
        }
        _ => invalid("url must be a data: URL, or a file: URL of the sandbox"),
    }
}

/// A path of a folder that the sandbox owns, in full.
fn own(path: &str) -> Result<String, TurnError> {
    if path.chars().any(char::is_control) {
        return invalid("a path must not hold control characters");
    }
    match resolve_path(path) {
        Ok(path) => Ok(path.to_string_lossy().into_owned()),
        Err(problem) => invalid(problem.message),
    }
}

/// The media type and the bytes of a `data:` URL, without its scheme.
fn data(url: &str) -> Result<(Option<String>, Vec<u8>), TurnError> {
    let Some((head, data)) = url.split_once(',') else {
        return invalid("a data: URL needs a comma before its data");
    };
    let in_base64 =
        head.rsplit_once(';').is_some_and(|(_, last)| last.trim().eq_ignore_ascii_case("base64"));
    // As in any URL, also where base64 is below.
    let mut bytes: Vec<u8> = percent_decode_str(data).collect();
    if in_base64 {
        bytes = match BASE64_STANDARD.decode(&bytes) {
            Ok(bytes) => bytes,
            Err(_) => return invalid("the data of a data: URL is not valid base64"),
        };
    }
    let media = head.split(';').next().filter(|media| is_media(media));
    Ok((media.map(str::to_owned), bytes))
}

fn is_media(media: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-._".contains(&byte);
    media.contains('/') && media.len() <= MAX_MEDIA && media.bytes().all(plain)
}

/// The last part of a name, in one line.
fn plain(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let letters = last.chars().map(|letter| if letter.is_control() { '_' } else { letter });
    letters.skip(last.chars().count().saturating_sub(MAX_NAME)).collect()
}

/// A name for what has none.
fn unnamed(kind: &str, media: Option<&str>) -> String {
    let ending = media.and_then(|media| media.split_once('/')).map(|(_, ending)| ending);
    let is_plain = |ending: &&str| {
        ending.len() <= 8 && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match ending.filter(is_plain) {
        Some(ending) => format!("{kind}.{ending}"),
        None => kind.to_owned(),
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, TurnError> {
    Err(TurnError::Invalid(message.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(parts: Value) -> Result<Asked, TurnError> {
        let parts: Vec<InputPart> = serde_json::from_value(parts).unwrap();
        Asked::read("t1", &parts)
    }

    #[test]
    fn texts_are_parted_by_a_blank_line() {
        let asked = read(json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]));
        let asked = asked.unwrap();
        assert_eq!((asked.prompt.as_str(), asked.files.len()), ("a\n\nb", 0));
    }

    #[test]
    fn what_is_sent_along_is_written_and_what_lies_there_is_named() {
        let asked = read(json!([
            {"type": "text", "text": "look"},
            {"type": "image", "filename": "../a b.png", "url": "data:image/png;base64,AAEC"},
            {"type": "file", "filename": "n.txt", "mediaType": "text/plain",
             "url": "data:,hello%20you"},
            {"type": "file", "filename": "c.csv", "url": "file:///workspace/c%20d.csv"},
            {"type": "image", "path": "/home/agent/e.png"},
            {"type": "image", "filename": "x/ ", "url": "DATA:image/webp;base64,"},
            {"type": "file", "url": "data:;base64,AA%3D%3D"},
        ]));
        let asked = asked.unwrap();
        let folder = "/workspace/attachments/t1";
        assert_eq!(
            asked.prompt,
            format!(
                "look\n\nFiles that come with this message:\n- {folder}/1-a b.png (image/png)\n- \
                 {folder}/2-n.txt (text/plain)\n- /workspace/c d.csv\n- /home/agent/e.png\n- \
                 {folder}/5-image.webp (image/webp)\n- {folder}/6-file"
            )
        );
        let written: Vec<_> = asked
            .files
            .iter()
            .map(|file| (file.path.as_str(), BASE64_STANDARD.decode(&file.content).unwrap()))
            .collect();
        assert_eq!(
            written,
            [
                (format!("{folder}/1-a b.png").as_str(), vec![0, 1, 2]),
                (format!("{folder}/2-n.txt").as_str(), b"hello you".to_vec()),
                (format!("{folder}/5-image.webp").as_str(), Vec::new()),
                (format!("{folder}/6-file").as_str(), vec![0]),
            ]
        );
        assert!(asked.files.iter().all(|file| file.encoding.as_deref() == Some("base64")));
    }

    #[test]
    fn what_can_not_be_handed_to_an_agent_is_refused() {
        for part in [
            json!({"type": "text", "text": " "}),
            json!({"type": "audio", "url": "data:,x"}),
            json!({"type": "file"}),
            json!({"type": "file", "content": "x"}),
            json!({"type": "file", "url": "data:,x", "content": "x"}),
            json!({"type": "file", "url": "data:,x", "path": "/workspace/x"}),
            json!({"type": "image", "url": "https://example.com/a.png"}),
            json!({"type": "image", "url": "data:image/png;base64"}),
            json!({"type": "image", "url": "data:image/png;base64,%%"}),
            json!({"type": "file", "url": "file://host/workspace/x"}),
            json!({"type": "file", "url": "file:///etc/passwd"}),
            json!({"type": "file", "path": "/workspace/../etc/passwd"}),
            json!({"type": "file", "path": "/workspace/a\nb"}),
            json!({"type": "file", "url": 7}),
        ] {
            let words = part.to_string();
            assert!(matches!(read(json!([part])), Err(TurnError::Invalid(_))), "{words}");
        }
        let many = vec![json!({"type": "file", "path": "a"}); MAX_FILES + 1];
        assert!(read(json!(many)).is_err());
        assert!(read(json!(many[1..])).is_ok());
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_folder_of_its_turn(name in any::<String>()) {
            let url = "data:,x";
            let asked = read(json!([{"type": "file", "filename": name, "url": url}])).unwrap();
            let path = &asked.files[0].path;
            let name = path.strip_prefix("/workspace/attachments/t1/1-").unwrap();
            prop_assert!(!name.contains('/') && !name.chars().any(char::is_control));
            prop_assert!(name.len() <= 250);
            let resolved = resolve_path(path).unwrap();
            prop_assert_eq!(resolved.to_str(), Some(path.as_str()));
        }
    }
}
