//! One row of the tables: a method of a path.

use super::shape::{Shape, text};

pub(super) const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";
pub(super) const BYTES: &str = "application/octet-stream";
pub(super) const GZIP: &str = "application/gzip";
pub(super) const FORM: &str = "multipart/form-data";

/// Who may ask. Of a sandbox's surface the guard's own table says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    Product,
    /// A read token of the session gateway.
    ReadToken,
    Nobody,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// As the router spells it; of a sandbox's surface, below the sandbox.
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    /// At most twelve words.
    pub(super) summary: &'static str,
    pub(super) opens: Opens,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) parameters: Vec<Parameter>,
}

#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) media: &'static str,
    pub(super) shape: Option<Shape>,
    pub(super) required: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media: &'static str,
    /// `None`: bytes or events, of which a schema says nothing.
    pub(super) shape: Option<Shape>,
}

/// A parameter of the query or a header. None has to be there.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

pub(super) fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("GET", path, summary)
}

pub(super) fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("POST", path, summary)
}

pub(super) fn put(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("PUT", path, summary)
}

pub(super) fn patch(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("PATCH", path, summary)
}

pub(super) fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("DELETE", path, summary)
}

/// Operations that belong together.
pub(super) fn tagged<const N: usize>(
    tag: &'static str,
    operations: [Operation; N],
) -> impl Iterator<Item = Operation> {
    operations.into_iter().map(move |operation| Operation { tag, ..operation })
}

impl Operation {
    fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            tag: "",
            summary,
            opens: Opens::Product,
            body: None,
            answers: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The same at another path.
    pub(super) fn at(&self, path: &'static str) -> Self {
        Self { path, ..self.clone() }
    }

    pub(super) fn opened_by(self, opens: Opens) -> Self {
        Self { opens, ..self }
    }

    /// Takes a JSON object.
    pub(super) fn takes(self, shape: Shape) -> Self {
        Self { body: Some(Body { media: JSON, shape: Some(shape), required: true }), ..self }
    }

    /// Takes a JSON object, or no body.
    pub(super) fn may_take(self, shape: Shape) -> Self {
        Self { body: Some(Body { media: JSON, shape: Some(shape), required: false }), ..self }
    }

    /// Takes something that is no JSON.
    pub(super) fn takes_media(self, media: &'static str, shape: Option<Shape>) -> Self {
        Self { body: Some(Body { media, shape, required: true }), ..self }
    }

    /// Answers with a JSON object.
    pub(super) fn gives(mut self, status: u16, shape: Shape) -> Self {
        self.answers.push(Answer { status, media: JSON, shape: Some(shape) });
        self
    }

    /// Answers with something that is no JSON.
    pub(super) fn gives_media(mut self, status: u16, media: &'static str) -> Self {
        self.answers.push(Answer { status, media, shape: None });
        self
    }

    /// Server-sent events.
    pub(super) fn streams(self) -> Self {
        self.gives_media(200, EVENTS)
    }

    /// An upgrade to a WebSocket.
    pub(super) fn upgrades(self) -> Self {
        self.gives_media(101, "")
    }

    pub(super) fn query(self, name: &'static str, shape: Shape) -> Self {
        self.parameter("query", name, shape)
    }

    pub(super) fn header(self, name: &'static str) -> Self {
        self.parameter("header", name, text())
    }

    fn parameter(mut self, place: &'static str, name: &'static str, shape: Shape) -> Self {
        self.parameters.push(Parameter { place, name, shape });
        self
    }
}
