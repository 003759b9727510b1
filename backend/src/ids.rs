//! Names of things: UUIDs in lower case with hyphens, one type for each kind of thing.

use std::fmt;

use uuid::Uuid;

use crate::Error;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $refused:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Reads any spelling of a UUID.
            ///
            /// # Errors
            /// When it is none. The error is what a caller with a made-up id is to be told.
            pub fn parse(text: &str) -> Result<Self, Error> {
                match Uuid::try_parse(text.trim()) {
                    Ok(uuid) if !uuid.is_nil() && !uuid.is_max() => Ok(Self(uuid.to_string())),
                    _ => Err($refused),
                }
            }

            /// The id in its one written form.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A new id; later ids sort after earlier ones.
            pub fn generate() -> Self {
                Self(Uuid::now_v7().to_string())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::parse(text)
            }
        }
    };
}

id!(
    /// Who pays and to whom chats belong.
    AccountId,
    Error::Unauthenticated
);
id!(
    /// A conversation. A malformed id is the id of no chat: `NotFound`.
    ChatId,
    Error::NotFound
);
id!(
    /// A question and its answer. Chosen by the browser, so that sending twice is asking once.
    TurnId,
    Error::invalid("turn_id", "The turn id must be a UUID.")
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_uuid_is_one_id() {
        let id = "018F3A5C-9B7E-7C3D-8E21-0A1B2C3D4E5F";
        let written = "018f3a5c-9b7e-7c3d-8e21-0a1b2c3d4e5f";
        for spelling in [
            id,
            written,
            "018f3a5c9b7e7c3d8e210a1b2c3d4e5f",
            " 018f3a5c-9b7e-7c3d-8e21-0a1b2c3d4e5f ",
        ] {
            assert_eq!(TurnId::parse(spelling).unwrap().as_str(), written);
        }
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in
            ["", "1", "../../etc/passwd", "00000000-0000-0000-0000-000000000000", "' OR 1=1"]
        {
            assert!(matches!(TurnId::parse(text), Err(Error::Invalid { field: "turn_id", .. })));
            assert!(matches!(ChatId::parse(text), Err(Error::NotFound)));
        }
    }
}
