//! Enums that are stored as words.

/// Makes an enum with the word each variant is stored as.
macro_rules! stored_as_words {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word it is stored and sent as.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            pub(crate) fn from_word(word: &str) -> Result<Self, crate::Error> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(crate::Error::broken(format!(
                        concat!("no ", stringify!($name), " is stored as {:?}"), other
                    ))),
                }
            }
        }
    };
}

pub(crate) use stored_as_words;
