//! Why a token was refused, and why a key cannot be used.

use crate::types::close_code;

/// Why a token was refused. None of them repeats anything of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There was no token.
    #[error("no token was given")]
    Missing,
    /// The token is not what an issuer makes; the text says in what.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// The token was good until `exp`.
    #[error("the token has expired")]
    Expired,
    /// A token of this product, but made for something else.
    #[error("the token is of another type")]
    WrongType,
    /// No product of this verifier has the token's `pid`.
    #[error("the token names an unknown product")]
    ProductNotFound,
    /// The product exists, but may not be used now.
    #[error("the product is suspended")]
    ProductSuspended,
    /// Neither the current nor a still valid previous secret made the signature.
    #[error("the token's signature does not match")]
    SignatureInvalid,
}

impl TokenError {
    /// Stable code, sent on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "TOKEN_MISSING",
            Self::Invalid(_) => "TOKEN_INVALID",
            Self::Expired => "TOKEN_EXPIRED",
            Self::WrongType => "TOKEN_WRONG_TYPE",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::ProductSuspended => "PRODUCT_SUSPENDED",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
        }
    }

    /// Code to close a gateway connection with: 4403 where another token would not help, else 4401.
    pub fn close_code(self) -> u16 {
        match self {
            Self::ProductSuspended => close_code::FORBIDDEN,
            _ => close_code::TOKEN,
        }
    }
}

/// Why an issuer or a verifier could not be made, or a token not be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A signing secret is too short to protect anything.
    #[error("a signing secret needs at least {min} bytes", min = super::MIN_SECRET_BYTES)]
    SecretTooShort,
    /// The product id is empty or too long.
    #[error("a product id needs 1 to {max} characters", max = super::MAX_PRODUCT_ID_CHARS)]
    ProductId,
    /// A claim the token needs is empty.
    #[error("{0} must not be empty")]
    EmptyClaim(&'static str),
    /// The cryptography refused to sign.
    #[error("signing failed")]
    Signing,
}
