//! How a file's bytes stand in JSON.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::super::api::Problem;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Base64,
}

impl Encoding {
    pub(super) fn parse(name: Option<&str>) -> Result<Self, Problem> {
        match name {
            None | Some("utf8" | "utf-8") => Ok(Self::Utf8),
            Some("base64") => Ok(Self::Base64),
            Some(_) => Err(Problem::invalid("encoding must be utf8 or base64")),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Base64 => "base64",
        }
    }

    pub(super) fn encode(self, bytes: Vec<u8>) -> Result<String, Problem> {
        match self {
            Self::Utf8 => String::from_utf8(bytes)
                .map_err(|_| Problem::invalid("the file is not UTF-8 text; ask for base64")),
            Self::Base64 => Ok(BASE64_STANDARD.encode(bytes)),
        }
    }

    pub(super) fn decode(self, content: String) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Utf8 => Ok(content.into_bytes()),
            Self::Base64 => BASE64_STANDARD
                .decode(content)
                .map_err(|_| Problem::invalid("content is not valid base64")),
        }
    }
}
