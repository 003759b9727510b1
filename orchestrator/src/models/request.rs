//! A request for a model: what of it matters here, and the few changes it goes on with.
//!
//! A request comes from a place where anything may run. It is never taken apart as a whole, which
//! would cost many times its size; the few fields that matter are looked up, and changes are made
//! in the text itself, so that all the rest arrives as it was sent.

mod estimate;
mod inputs;
mod names;
mod tools;

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use sandbox_sdk::types::WireFormat;
use serde::Deserialize;
use serde_json::value::RawValue;

use estimate::Media;
pub(super) use estimate::{Outline, Rules};

/// Least output that a request may be left with. Providers refuse less.
const LEAST_OUTPUT: u64 = 16;

/// The fields that matter. One that stands there twice is an error: two readers would not agree on
/// which of them counts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow, deserialize_with = "present")]
    model: Option<&'a RawValue>,
    stream: Option<bool>,
    #[serde(borrow, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    messages: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    input: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    system: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    instructions: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    store: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    cache_control: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    max_output_tokens: Option<&'a RawValue>,
    thinking: Option<Thinking>,
    n: Option<u64>,
    background: Option<bool>,
    service_tier: Option<String>,
    speed: Option<String>,
    #[serde(borrow, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Thinking {
    budget_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: bool,
}

/// A request that was understood.
#[derive(Debug)]
pub(super) struct ModelRequest {
    body: Bytes,
    format: WireFormat,
    /// After the opening brace.
    start: usize,
    changes: Vec<(Range<usize>, String)>,
    inserted: String,
    /// Where limits of the output stand, and what they are.
    limits: Vec<(Range<usize>, u64)>,
    /// The least output that makes sense for it.
    pub(super) least_output: u64,
    /// Of the body as it came.
    pub(super) hash: [u8; 32],
    /// What its model will read.
    pub(super) outline: Arc<Outline>,
    /// It asks the provider to keep some of that, which may cost more than to read it.
    pub(super) caches: bool,
}

impl ModelRequest {
    /// Reads a request and makes it one for the given model.
    ///
    /// # Errors
    /// Words for the client, when the request can't be understood or asks for what can't be metered.
    pub(super) fn read(
        body: Bytes,
        format: WireFormat,
        model: &str,
        rules: Rules,
    ) -> Result<Self, String> {
        let text = std::str::from_utf8(&body).map_err(|_| "The body is not text.".to_owned())?;
        let start = text.len() - text.trim_ascii_start().len() + 1;
        // An array would be taken for the fields in their order.
        if text.as_bytes().get(start - 1) != Some(&b'{') {
            return Err("The body must be a JSON object.".to_owned());
        }
        names::check(text)?;
        let fields: Fields<'_> = serde_json::from_str(text)
            .map_err(|error| format!("The body is not valid: {error}."))?;
        let asked = if format == WireFormat::Responses { fields.input } else { fields.messages };
        if asked.is_none() {
            return Err("The body has nothing to say to a model.".to_owned());
        }
        refuse_unmetered(&fields)?;
        let outline = outline(text, &fields, rules)?;
        let mut request = Self {
            format,
            start,
            changes: Vec::new(),
            inserted: String::new(),
            limits: Vec::new(),
            least_output: LEAST_OUTPUT,
            hash: super::sha256(&body),
            outline: Arc::new(outline),
            caches: text.contains(r#""cache_control""#),
            body: Bytes::new(),
        };
        request.name_model(text, fields.model, model);
        request.ask_for_usage(text, &fields);
        request.keep_nothing(text, fields.store);
        request.find_limits(text, &fields)?;
        if let Some(tools) = fields.tools
            && let Some(kept) = tools::without_hosted(tools)?
        {
            request.changes.push((span(text, tools), kept));
        }
        request.body = body;
        Ok(request)
    }

    /// The most that may be written in answer, as the client has it.
    pub(super) fn max_output(&self) -> Option<u64> {
        self.limits.iter().map(|(_, most)| *most).max()
    }

    /// The request as it goes on, with the output limited to `most` tokens if there is a limit.
    /// `openai`: it goes to OpenAI itself, whose newer models know the newer name only.
    pub(super) fn into_body(mut self, most: Option<u64>, openai: bool) -> Bytes {
        if let Some(most) = most {
            let above = self.limits.iter().filter(|(_, limit)| *limit > most);
            self.changes.extend(above.map(|(span, _)| (span.clone(), most.to_string())));
            if self.limits.is_empty() {
                let name = match self.format {
                    WireFormat::Messages => "max_tokens",
                    WireFormat::Responses => "max_output_tokens",
                    WireFormat::ChatCompletions if openai => "max_completion_tokens",
                    WireFormat::ChatCompletions => "max_tokens",
                };
                self.inserted.push_str(&format!("\"{name}\":{most},"));
            }
        }
        if self.changes.is_empty() && self.inserted.is_empty() {
            return self.body;
        }
        self.changes.push((self.start..self.start, self.inserted));
        self.changes.sort_by_key(|(span, _)| (span.start, span.end));
        let mut edited = Vec::with_capacity(self.body.len() + 256);
        let mut at = 0;
        for (span, text) in self.changes {
            edited.extend_from_slice(&self.body[at..span.start]);
            edited.extend_from_slice(text.as_bytes());
            at = span.end;
        }
        edited.extend_from_slice(&self.body[at..]);
        edited.into()
    }

    /// The turn's model, whatever the client asks for: some ask for a smaller one for titles.
    fn name_model(&mut self, text: &str, asked: Option<&RawValue>, model: &str) {
        let name = serde_json::Value::from(model).to_string();
        match asked {
            Some(asked) if serde_json::from_str::<&str>(asked.get()).ok() == Some(model) => {}
            Some(asked) => self.changes.push((span(text, asked), name)),
            None => self.inserted.push_str(&format!("\"model\":{name},")),
        }
    }

    /// The other formats tell what a stream used by themselves.
    fn ask_for_usage(&mut self, text: &str, fields: &Fields<'_>) {
        if self.format != WireFormat::ChatCompletions || fields.stream != Some(true) {
            return;
        }
        let wanted = r#"{"include_usage":true}"#;
        match fields.stream_options {
            Some(options) => {
                let options_read = serde_json::from_str::<StreamOptions>(options.get());
                if !options_read.is_ok_and(|options| options.include_usage) {
                    self.changes.push((span(text, options), wanted.to_owned()));
                }
            }
            None => self.inserted.push_str(&format!("\"stream_options\":{wanted},")),
        }
    }

    /// What a provider keeps could be asked about later, by another turn.
    fn keep_nothing(&mut self, text: &str, store: Option<&RawValue>) {
        match store {
            Some(store) if store.get() == "false" => {}
            Some(store) => self.changes.push((span(text, store), "false".to_owned())),
            // Elsewhere nothing is kept unless it is asked for.
            None if self.format == WireFormat::Responses => {
                self.inserted.push_str("\"store\":false,");
            }
            None => {}
        }
    }

    fn find_limits(&mut self, text: &str, fields: &Fields<'_>) -> Result<(), String> {
        let named: &[_] = match self.format {
            WireFormat::Messages => &[fields.max_tokens],
            WireFormat::Responses => &[fields.max_output_tokens],
            WireFormat::ChatCompletions => &[fields.max_tokens, fields.max_completion_tokens],
        };
        for limit in named.iter().flatten() {
            let most = match limit.get() {
                // Absent in another spelling: to be replaced when there is a limit.
                "null" => u64::MAX,
                number => number
                    .parse()
                    .map_err(|_| "The limit of the output is not a whole number.".to_owned())?,
            };
            self.limits.push((span(text, limit), most));
        }
        if let Some(budget) = fields.thinking.as_ref().and_then(|thinking| thinking.budget_tokens) {
            self.least_output = self.least_output.max(budget.saturating_add(1));
        }
        Ok(())
    }
}

/// Looks through what the model reads, in the order in which providers put it before the model.
fn outline(text: &str, fields: &Fields<'_>, rules: Rules) -> Result<Outline, String> {
    let mut outline = Outline::default();
    if let Some(tools) = fields.tools {
        outline.push(tools.get(), &Media::new(rules));
    }
    let looked_through = [
        ("system", fields.system),
        ("instructions", fields.instructions),
        ("messages", fields.messages),
        ("input", fields.input),
    ];
    for (name, value) in looked_through {
        value.map_or(Ok(()), |value| inputs::read(name, value, rules, &mut outline))?;
    }
    fields.cache_control.map_or(Ok(()), |value| inputs::check("cache_control", value))?;
    outline.finish(text);
    Ok(outline)
}

/// What costs otherwise than by the token, or goes on when nobody listens.
fn refuse_unmetered(fields: &Fields<'_>) -> Result<(), String> {
    let tier = fields.service_tier.as_deref();
    let refused = if fields.background == Some(true) {
        "background"
    } else if fields.n.is_some_and(|n| n > 1) {
        "n"
    } else if tier
        .is_some_and(|tier| !matches!(tier, "auto" | "default" | "flex" | "standard_only"))
    {
        "service_tier"
    } else if fields.speed.as_deref().is_some_and(|speed| speed != "standard") {
        "speed"
    } else {
        return Ok(());
    };
    Err(format!("`{refused}` can't be used here: what it costs can't be metered."))
}

/// The value as it stands there, also when it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(source).map(Some)
}

/// Where in the text the value stands, of which it is a part.
fn span(text: &str, value: &RawValue) -> Range<usize> {
    let start = (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + value.get().len()
}

#[cfg(test)]
mod tests;
