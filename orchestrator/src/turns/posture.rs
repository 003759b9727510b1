//! What nobody is asked in a turn: `interactions: {question: false}`.
//!
//! A product that runs a turn without a person says so, and its agent hears at once that nobody will
//! answer, instead of waiting for it.

use sandbox_sdk::types::{Extra, InteractionKind};
use serde_json::Value;

use super::TurnError;

/// The field of a request for a turn that tells it.
pub(crate) const FIELD: &str = "interactions";
/// The kinds that have a name of their own. Others have a dot in theirs.
const KINDS: [&str; 3] = ["question", "permission", "plan"];
const MAX_KINDS: usize = 32;
const MAX_KIND: usize = 64;

/// Kinds of requests that no person gets to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Posture {
    off: Vec<String>,
}

impl Posture {
    /// Of a request for a turn. What it does not name is asked as ever.
    pub(super) fn read(asked: &Extra) -> Result<Self, TurnError> {
        let invalid = |words: &str| Err(TurnError::Invalid(format!("{FIELD} {words}")));
        let kinds = match asked.get(FIELD) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(kinds)) if kinds.len() <= MAX_KINDS => kinds,
            Some(_) => return invalid("must be an object of at most 32 kinds, each true or false"),
        };
        let mut off = Vec::new();
        for (kind, is_asked) in kinds {
            if !is_kind(kind) {
                return invalid(
                    "knows question, permission and plan, and kinds of others by names with a dot",
                );
            }
            match is_asked {
                Value::Bool(true) => {}
                Value::Bool(false) => off.push(kind.clone()),
                _ => return invalid("must say true or false of each kind"),
            }
        }
        Ok(Self { off })
    }

    /// Whether nobody is asked this.
    pub(super) fn is_off(&self, kind: &InteractionKind) -> bool {
        self.off.iter().any(|off| off == kind.as_str())
    }
}

fn is_kind(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_foreign = || name.contains('.') && name.len() <= MAX_KIND && name.bytes().all(plain);
    KINDS.contains(&name) || is_foreign()
}

/// What the agent hears, in place of an answer.
pub(super) fn words(kind: &InteractionKind) -> &'static str {
    match kind {
        InteractionKind::Question => {
            "Nobody answers questions in this turn. Decide by yourself, and say what you assumed."
        }
        InteractionKind::Permission => {
            "Nobody is asked for permissions in this turn. Go on without this."
        }
        InteractionKind::Plan => {
            "Nobody decides about plans in this turn. Give the plan as your answer."
        }
        InteractionKind::Other(_) => "Nobody answers this in this turn. Go on without it.",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(posture: Value) -> Result<Posture, TurnError> {
        Posture::read(&Extra::from_iter([(FIELD.to_owned(), posture)]))
    }

    #[test]
    fn only_what_is_switched_off_is_not_asked() {
        use InteractionKind::{Other, Permission, Plan, Question};
        let posture = read(json!({"question": false, "plan": true, "acme.vote": false})).unwrap();
        assert!(posture.is_off(&Question) && posture.is_off(&Other("acme.vote".to_owned())));
        for kind in [Permission, Plan, Other("acme.other".to_owned())] {
            assert!(!posture.is_off(&kind), "{kind:?}");
        }
        for nothing in [json!(null), json!({}), json!({"permission": true})] {
            assert_eq!(read(nothing).unwrap(), Posture::default());
        }
        assert_eq!(Posture::read(&Extra::new()).unwrap(), Posture::default());
    }

    #[test]
    fn a_posture_that_was_misspelt_is_refused() {
        for wrong in [
            json!(false),
            json!(["question"]),
            json!({"question": "no"}),
            json!({"question": null}),
            json!({"questions": false}),
            json!({"a b.c": false}),
            json!({("x.".repeat(MAX_KIND)): false}),
        ] {
            assert!(matches!(read(wrong.clone()), Err(TurnError::Invalid(_))), "{wrong}");
        }
        let many: Extra = (0..=MAX_KINDS).map(|n| (format!("a.{n}"), json!(true))).collect();
        assert!(read(many.into()).is_err());
    }
}
