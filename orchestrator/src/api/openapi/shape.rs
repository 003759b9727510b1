//! What a body, an answer or a parameter is made of.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The form of a JSON value.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A type, by its own schema.
    Type(fn(&mut SchemaGenerator) -> Schema),
    /// A schema without references.
    Plain(Value),
    /// An object. What else stands in it is not said.
    Fields(Vec<Field>),
    List(Box<Self>),
    /// An object with names that nobody can know.
    Named(Box<Self>),
    OrNull(Box<Self>),
    /// One of several forms.
    Either(Vec<Self>),
    /// Two forms at once.
    Both(Box<[Self; 2]>),
    /// With words about it.
    Told(Box<Self>, &'static str),
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(super) struct Field {
    name: &'static str,
    shape: Shape,
    required: bool,
}

pub(super) fn of<T: JsonSchema>() -> Shape {
    Shape::Type(SchemaGenerator::subschema_for::<T>)
}

/// An object of which no more is said.
pub(super) fn object() -> Shape {
    Shape::Plain(json!({"type": "object"}))
}

pub(super) fn text() -> Shape {
    Shape::Plain(json!({"type": "string"}))
}

/// A date in ISO 8601.
pub(super) fn date() -> Shape {
    Shape::Plain(json!({"type": "string", "format": "date-time"}))
}

/// A whole number that is not negative.
pub(super) fn whole() -> Shape {
    Shape::Plain(json!({"type": "integer", "minimum": 0}))
}

pub(super) fn integer() -> Shape {
    Shape::Plain(json!({"type": "integer"}))
}

pub(super) fn number() -> Shape {
    Shape::Plain(json!({"type": "number"}))
}

pub(super) fn flag() -> Shape {
    Shape::Plain(json!({"type": "boolean"}))
}

/// One of some words.
pub(super) fn word<const N: usize>(words: [&str; N]) -> Shape {
    Shape::Plain(json!({"type": "string", "enum": words.as_slice()}))
}

pub(super) fn list(of: Shape) -> Shape {
    Shape::List(Box::new(of))
}

pub(super) fn named(values: Shape) -> Shape {
    Shape::Named(Box::new(values))
}

pub(super) fn or_null(shape: Shape) -> Shape {
    Shape::OrNull(Box::new(shape))
}

pub(super) fn either<const N: usize>(forms: [Shape; N]) -> Shape {
    Shape::Either(forms.into())
}

pub(super) fn both(one: Shape, other: Shape) -> Shape {
    Shape::Both(Box::new([one, other]))
}

pub(super) fn told(shape: Shape, words: &'static str) -> Shape {
    Shape::Told(Box::new(shape), words)
}

pub(super) fn fields<const N: usize>(fields: [Field; N]) -> Shape {
    Shape::Fields(fields.into())
}

/// A field that is always there.
pub(super) fn always(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true }
}

/// A field that may be missing.
pub(super) fn maybe(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false }
}

/// `{success: true}` and no more.
pub(super) fn done() -> Shape {
    fields([always("success", flag())])
}

/// The same, with what of the request was passed over, if anything was.
pub(super) fn warned(shape: Shape) -> Shape {
    both(shape, fields([maybe("warnings", list(text()))]))
}

/// `{success: true, data}`.
pub(super) fn data(shape: Shape) -> Shape {
    fields([always("success", flag()), always("data", shape)])
}

impl Shape {
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        match self {
            Self::Type(schema) => schema(generator).to_value(),
            Self::Plain(schema) => schema.clone(),
            Self::List(of) => json!({"type": "array", "items": of.schema(generator)}),
            Self::Named(of) => {
                json!({"type": "object", "additionalProperties": of.schema(generator)})
            }
            Self::OrNull(shape) => {
                json!({"anyOf": [shape.schema(generator), {"type": "null"}]})
            }
            Self::Either(forms) => {
                let forms: Vec<_> = forms.iter().map(|form| form.schema(generator)).collect();
                json!({"anyOf": forms})
            }
            Self::Both(forms) => {
                let forms: Vec<_> = forms.iter().map(|form| form.schema(generator)).collect();
                json!({"allOf": forms})
            }
            Self::Told(shape, words) => {
                let mut schema = shape.schema(generator);
                if let Value::Object(keywords) = &mut schema {
                    keywords.insert("description".to_owned(), (*words).into());
                }
                schema
            }
            Self::Fields(fields) => {
                let properties = fields
                    .iter()
                    .map(|field| (field.name.to_owned(), field.shape.schema(generator)))
                    .collect::<Map<_, _>>();
                let required = fields.iter().filter(|field| field.required);
                let required: Vec<_> = required.map(|field| field.name).collect();
                json!({"type": "object", "properties": properties, "required": required})
            }
        }
    }
}
