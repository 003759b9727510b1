//! What a model is asked about, looked through without being kept, and weighed.
//!
//! All of it has to stand in the request itself. What a provider would fetch from the network or from
//! its own store costs more than was set aside, and reaches the network for an agent that has none.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    estimate::{Kind, Media, Outline, Rules},
    tools,
};

/// What a value stands for, by the name of its field.
#[derive(Clone, Copy, Debug)]
enum Place {
    Any,
    /// The type of an item, which may be a reference.
    Type,
    /// An address, or an object with one.
    Address,
    /// A file's content. Some hosts take an address for it.
    Content,
    /// Something that the provider keeps.
    Kept,
    /// Where Anthropic finds a picture or a document.
    Source,
    SourceType,
    SourceMedia,
    SourceData,
    /// Where OpenAI finds sound.
    Audio,
    AudioData,
    Cache,
    CacheTtl,
    /// Tools that come in the course of a conversation.
    Tools,
    /// What a tool was called with: the model's own words.
    Arguments,
}

/// Refuses whatever of a value does not stand in it, and takes its parts into the outline. Nothing is
/// kept, and nothing may be so deep that it would cost a stack.
///
/// # Errors
/// Words for the client.
pub(super) fn read(
    name: &str,
    value: &RawValue,
    rules: Rules,
    outline: &mut Outline,
) -> Result<(), String> {
    let place = if name == "cache_control" { Place::Cache } else { Place::Any };
    let mut parts = Parts { place, rules, outline, failed: None };
    let read = if value.get().starts_with('[') {
        let mut list = serde_json::Deserializer::from_str(value.get());
        let read = list.deserialize_seq(&mut parts);
        parts.failed.map_or(read, Err)
    } else {
        parts.part(value)
    };
    read.map_err(|error| format!("`{name}` can't be used here: {error}."))
}

/// Refuses the same of a value that no model reads.
///
/// # Errors
/// Words for the client.
pub(super) fn check(name: &str, value: &RawValue) -> Result<(), String> {
    read(name, value, Rules::default(), &mut Outline::default())
}

/// The parts of a list, each looked through by itself.
struct Parts<'a> {
    place: Place,
    rules: Rules,
    outline: &'a mut Outline,
    /// What was wrong with the last one.
    failed: Option<serde_json::Error>,
}

impl Parts<'_> {
    fn part(&mut self, part: &RawValue) -> Result<(), serde_json::Error> {
        let mut found = Found { media: Media::new(self.rules), source: Source::default() };
        let mut reader = serde_json::Deserializer::from_str(part.get());
        Looked { place: self.place, found: &mut found }.deserialize(&mut reader)?;
        self.outline.push(part.get(), &found.media);
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Parts<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(part) = list.next_element::<&RawValue>()? {
            if let Err(error) = self.part(part) {
                self.failed = Some(error);
                return Err(A::Error::custom("a part can't be used"));
            }
        }
        Ok(())
    }
}

/// What stands in a part besides text.
struct Found {
    media: Media,
    source: Source,
}

/// What is known of the `source` that is looked through.
#[derive(Default)]
struct Source {
    kind: Option<Kind>,
    is_encoded: bool,
    characters: usize,
}

impl Found {
    fn text(&mut self, place: Place, text: &str) {
        match place {
            Place::SourceType => self.source.is_encoded = text == "base64",
            Place::SourceMedia => self.source.kind = Some(Kind::of(text)),
            Place::SourceData => self.source.characters = text.len(),
            Place::AudioData => self.media.take(Kind::Audio, text.len()),
            Place::Address | Place::Content => match text.strip_prefix("data:") {
                Some(rest) => {
                    if let Some((media_type, data)) = rest.split_once(";base64,") {
                        self.media.take(Kind::of(media_type), data.len());
                    }
                }
                None if matches!(place, Place::Content) => {
                    self.media.take(Kind::Document, text.len());
                }
                None => {}
            },
            _ => {}
        }
    }

    /// A `source` may have another one inside: the outer one goes on where that ends.
    fn end_source(&mut self, outer: Source) {
        let source = std::mem::replace(&mut self.source, outer);
        if let (Some(kind), true) = (source.kind, source.is_encoded) {
            self.media.take(kind, source.characters);
        }
    }
}

impl Place {
    /// The place of a field in an object that stands at this one. Some hosts don't tell upper case from
    /// lower.
    fn below(self, field: &str) -> Self {
        let is = |name: &str| field.eq_ignore_ascii_case(name);
        match self {
            Self::Address if is("url") => Self::Address,
            Self::Source if is("type") => Self::SourceType,
            Self::Source if is("media_type") => Self::SourceMedia,
            Self::Source if is("data") => Self::SourceData,
            Self::Audio if is("data") => Self::AudioData,
            Self::Cache if is("ttl") => Self::CacheTtl,
            _ if is("type") => Self::Type,
            _ if ["image_url", "file_url", "video_url", "audio_url"].into_iter().any(is) => {
                Self::Address
            }
            _ if is("file_data") => Self::Content,
            _ if is("file_id") => Self::Kept,
            _ if is("source") => Self::Source,
            _ if is("input_audio") => Self::Audio,
            _ if is("cache_control") => Self::Cache,
            _ if is("tools") => Self::Tools,
            _ if is("input") => Self::Arguments,
            _ => Self::Any,
        }
    }

    /// Why the text can't stand there.
    fn refuses(self, text: &str) -> Option<&'static str> {
        let inline = text.starts_with("data:");
        match self {
            Self::Type if text == "item_reference" => Some("what the provider keeps can't be read"),
            Self::Address if !inline => Some("an address must begin with `data:`"),
            Self::Content if !inline && text.contains(':') => {
                Some("`file_data` must hold the file itself")
            }
            Self::Kept => Some("`file_id` names what the provider keeps"),
            Self::SourceType if !matches!(text, "base64" | "text" | "content") => {
                Some("a `source` must hold the data itself")
            }
            // What is kept for longer costs more.
            Self::CacheTtl if text != "5m" => Some("a cache can only be kept for `5m`"),
            _ => None,
        }
    }
}

/// A value that is looked through.
struct Looked<'a> {
    place: Place,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Looked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        match self.place {
            Place::Arguments => IgnoredAny::deserialize(source).map(drop),
            Place::Tools => match tools::without_hosted(<&RawValue>::deserialize(source)?) {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(D::Error::custom("a tool that the provider would run")),
                Err(words) => Err(D::Error::custom(words)),
            },
            _ => source.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Looked<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found.text(self.place, text);
        self.place.refuses(text).map_or(Ok(()), |why| Err(E::custom(why)))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Looked { place, found } = self;
        while list.next_element_seed(Looked { place, found: &mut *found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Looked { place, found } = self;
        let outer = matches!(place, Place::Source).then(|| std::mem::take(&mut found.source));
        while let Some(place) = fields.next_key_seed(Field(place))? {
            fields.next_value_seed(Looked { place, found: &mut *found })?;
        }
        if let Some(outer) = outer {
            found.end_source(outer);
        }
        Ok(())
    }
}

/// The name of a field of an object that stands at the place.
struct Field(Place);

impl<'de> DeserializeSeed<'de> for Field {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Place, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for Field {
    type Value = Place;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Place, E> {
        Ok(self.0.below(name))
    }
}
