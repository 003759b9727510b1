//! Enums that are stored as words.

/// Makes an enum with the word each variant is stored as.
macro_rules! stored_as_words {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word it is stored and sent as.
            $vis fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

        }

        impl TryFrom<String> for $name {
            type Error = crate::Error;

            fn try_from(word: String) -> Result<Self, crate::Error> {
                match word.as_str() {
                    $($word => Ok(Self::$variant),)+
                    other => Err(crate::Error::broken(format!(
                        concat!("no ", stringify!($name), " is stored as {:?}"), other
                    ))),
                }
            }
        }

        impl From<$name> for crate::db::Value {
            fn from(value: $name) -> Self {
                Self::from(value.as_str())
            }
        }
    };
}

pub(crate) use stored_as_words;
