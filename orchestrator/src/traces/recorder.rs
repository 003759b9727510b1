//! Takes spans as they are made and left, and passes on those that are over.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::mpsc;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::context::{Sampler, SpanContext};

/// Attributes of a span; those that are made here have fewer.
const MOST_ATTRIBUTES: usize = 16;
/// Longest text of an attribute, in bytes.
const MAX_TEXT: usize = 256;
/// Says that a span did not come to what it was for. It becomes the span's status.
const FAILED: &str = "failed";
/// The caller's own span. It becomes the parent, also when it is told before anything is below.
const TRACEPARENT: &str = "traceparent";

/// A span, open or over.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) name: &'static str,
    pub(super) context: SpanContext,
    /// The span above it.
    pub(super) parent: Option<[u8; 8]>,
    pub(super) started: SystemTime,
    pub(super) ended: Option<SystemTime>,
    pub(super) failed: bool,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// The layer. It never waits: what there is no room for is dropped.
#[derive(Debug)]
pub(super) struct Recorder {
    sampler: Sampler,
    finished: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
}

/// Reads the fields of a span.
struct Fields<'a> {
    failed: &'a mut bool,
    attributes: &'a mut Vec<(&'static str, Value)>,
    caller: Option<SpanContext>,
}

impl Recorder {
    pub(super) fn new(
        sampler: Sampler,
        finished: mpsc::Sender<Span>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self { sampler, finished, dropped }
    }
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, made: &Attributes<'_>, id: &Id, all: Context<'_, S>) {
        let Some(span) = all.span(id) else { return };
        let (mut failed, mut attributes) = (false, Vec::new());
        let mut fields = Fields { failed: &mut failed, attributes: &mut attributes, caller: None };
        made.record(&mut fields);
        let caller = fields.caller;
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<Span>().map(|span| span.context)
        });
        let parent = above.or(caller);
        let open = Span {
            name: made.metadata().name(),
            context: SpanContext::below(parent, self.sampler),
            parent: parent.map(|parent| parent.span),
            started: SystemTime::now(),
            ended: None,
            failed,
            attributes,
        };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, all: Context<'_, S>) {
        let Some(span) = all.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Span>() else { return };
        let Span { failed, attributes, .. } = open;
        let mut fields = Fields { failed, attributes, caller: None };
        values.record(&mut fields);
        if let Some(caller) = fields.caller
            && open.parent.is_none()
        {
            open.parent = Some(caller.span);
            open.context = SpanContext { span: open.context.span, ..caller };
        }
    }

    /// A span is open for as long as those below it. It was over when it was left for the last time.
    fn on_exit(&self, id: &Id, all: Context<'_, S>) {
        let Some(span) = all.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Span>() {
            open.ended = Some(SystemTime::now());
        }
    }

    fn on_close(&self, id: Id, all: Context<'_, S>) {
        let Some(span) = all.span(&id) else { return };
        let Some(mut over) = span.extensions_mut().remove::<Span>() else { return };
        over.ended.get_or_insert_with(SystemTime::now);
        if over.context.sampled && self.finished.try_send(over).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: Value) {
        if self.attributes.len() < MOST_ATTRIBUTES {
            self.attributes.push((field.name(), value));
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        let end = text.floor_char_boundary(MAX_TEXT);
        self.add(field, Value::Text(text[..end].to_owned()));
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TRACEPARENT {
            self.caller = SpanContext::parse(value);
        } else {
            self.text(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == FAILED {
            *self.failed = value;
        } else {
            self.add(field, Value::Flag(value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Number(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}
