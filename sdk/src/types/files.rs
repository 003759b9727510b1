//! Files and folders of a sandbox.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// What may be done with a file: the nine permission bits. On the wire octal text (`"0755"`), or the
/// number itself (493).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// `None` for anything beyond the nine bits: what runs as somebody else has no place here.
    pub fn new(bits: u32) -> Option<Self> {
        (bits <= 0o777).then_some(Self(bits))
    }

    /// Reads octal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_octal = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let bits = is_octal.then(|| u32::from_str_radix(text, 8).ok())?;
        Self::new(bits?)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let mode = match Written::deserialize(deserializer) {
            Ok(Written::Number(bits)) => Self::new(bits),
            Ok(Written::Text(text)) => Self::parse(&text),
            Err(_) => None,
        };
        mode.ok_or_else(|| {
            D::Error::custom("mode must be octal text up to \"0777\", or its number")
        })
    }
}

/// Body of `POST …/files/read-batch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadFiles {
    pub paths: Vec<String>,
    /// `utf8` (default) or `base64`, for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// Answer of `POST …/files/read-batch`: every path is in one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FilesRead {
    pub files: Vec<FileRead>,
    pub errors: Vec<FileNotRead>,
}

/// A file of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileRead {
    /// As it was asked for.
    pub path: String,
    pub content: String,
    pub encoding: String,
    /// Bytes of the file, not of its encoding.
    pub size: u64,
}

/// A file of a batch that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileNotRead {
    /// As it was asked for.
    pub path: String,
    pub error: String,
    /// One of the API's codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// Something in a folder. A link is told as a link, not as what it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsEntry {
    pub name: String,
    /// Absolute inside the sandbox.
    pub path: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    pub is_dir: bool,
    #[serde(default)]
    pub is_file: bool,
    #[serde(default)]
    pub is_symlink: bool,
    /// The twelve bits of its mode, as a number: 420 is `0o644`.
    #[serde(default)]
    pub permissions: u32,
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub group: String,
    /// ISO 8601.
    #[serde(default)]
    pub mod_time: String,
    /// ISO 8601.
    #[serde(default)]
    pub access_time: String,
    /// The name is not UTF-8: what stands here only looks like it and opens nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub name_is_not_utf8: bool,
}

/// Answer of `GET …/fs/list/…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FolderListing {
    pub entries: Vec<FsEntry>,
    /// There is more in the folder than is listed.
    #[serde(default)]
    pub truncated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_text_or_numbers_of_nine_bits() {
        let read = |json: &str| serde_json::from_str::<FileMode>(json).ok().map(FileMode::bits);
        for (json, bits) in [
            (r#""0644""#, Some(0o644)),
            (r#""755""#, Some(0o755)),
            ("493", Some(0o755)),
            ("0", Some(0)),
            ("755", None),
            (r#""4755""#, None),
            (r#""0x1ff""#, None),
            (r#""+644""#, None),
            (r#""8""#, None),
            (r#""""#, None),
            ("-1", None),
            ("null", None),
            ("[]", None),
        ] {
            assert_eq!(read(json), bits, "{json}");
        }
        assert_eq!(serde_json::to_string(&FileMode(0o75)).unwrap(), r#""0075""#);
    }
}
