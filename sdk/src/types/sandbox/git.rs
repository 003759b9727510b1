//! The repository that a new sandbox begins with.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use super::super::Extra;

/// A repository that is cloned into the workspace of a new sandbox, before anybody uses it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GitSource {
    /// Where it is: `https`, without credentials. The sandbox's network has to reach the host.
    pub url: String,
    /// A branch, a tag, or the whole id of a commit. Absent: the repository's own branch.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Commits of its history that come along. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u64>,
    /// Folders that are checked out, relative to the repository's top. Empty: all there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse: Vec<String>,
    /// What opens it, if not everybody may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<GitAuth>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Without what else came: it may be secret.
impl fmt::Debug for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It should have no credentials; before an @ there may be some even so.
        let url = if self.url.contains('@') { "[redacted]" } else { self.url.as_str() };
        f.debug_struct("GitSource")
            .field("url", &url)
            .field("ref", &self.revision)
            .field("depth", &self.depth)
            .field("sparse", &self.sparse)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// Opens a repository for the one clone. It enters no file of the sandbox and no log, and is forgotten
/// once the repository is there.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GitAuth {
    /// As the host gives it to read repositories over `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Without what is secret.
impl fmt::Debug for GitAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "[redacted]");
        f.debug_struct("GitAuth").field("token", &token).finish_non_exhaustive()
    }
}

/// The repository that is asked for. What asks for nothing, such as `{}` or `false`, is none.
pub(super) fn asked<'de, D: Deserializer<'de>>(source: D) -> Result<Option<GitSource>, D::Error> {
    let value = Value::deserialize(source)?;
    let is_nothing = match &value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    if is_nothing {
        return Ok(None);
    }
    // The parser's own words may quote the token.
    let read = serde_json::from_value(value).map(Some);
    read.map_err(|_| {
        D::Error::custom("git must be {url}, and may have ref, depth, sparse and auth: {token}")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::CreateSandbox;
    use super::*;

    fn read(git: Value) -> serde_json::Result<CreateSandbox> {
        serde_json::from_value(json!({ "git": git }))
    }

    #[test]
    fn a_repository_is_written_as_it_is_read() {
        let git = json!({
            "url": "https://a.example/b.git", "ref": "main", "depth": 3, "sparse": ["src"],
            "auth": {"token": "t"}, "flavour": "sweet",
        });
        let request = read(git.clone()).unwrap();
        assert_eq!(serde_json::to_value(&request).unwrap(), json!({ "git": git }));
        assert!(request.extra.is_empty());
    }

    #[test]
    fn what_asks_for_no_repository_is_none() {
        for nothing in [json!(null), json!(false), json!(""), json!([]), json!({})] {
            assert_eq!(read(nothing.clone()).unwrap(), CreateSandbox::default(), "{nothing}");
        }
    }

    #[test]
    fn the_token_is_in_no_word_about_it() {
        let git =
            json!({"url": "u", "auth": {"token": "hunter2", "more": "hunter2"}, "x": "hunter2"});
        let git = read(git).unwrap().git;
        assert!(!format!("{git:?}").contains("hunter2"), "{git:?}");
        let git = read(json!({"url": "https://me:hunter2@a.example/b.git"})).unwrap().git;
        assert!(!format!("{git:?}").contains("hunter2"), "{git:?}");
        for wrong in [
            json!("hunter2"),
            json!({"auth": {"token": "hunter2"}}),
            json!({"url": "u", "auth": "hunter2"}),
            json!({"url": "u", "auth": {"token": ["hunter2"]}}),
            json!({"url": ["hunter2"]}),
        ] {
            let refused = read(wrong).unwrap_err().to_string();
            assert!(refused.contains("git must be") && !refused.contains("hunter2"), "{refused}");
        }
    }
}
