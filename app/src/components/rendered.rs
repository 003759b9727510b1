//! HTML that is rendered where it is needed, and only there.

use leptos::tachys::html::attribute::IntoAttributeValue;
use leptos::tachys::html::element::InnerHtmlValue;
use leptos::tachys::renderer::types::Element;

use crate::{highlight, markdown};

/// The inside of an element, as HTML of ours. A page that comes alive around HTML from the server
/// does not render it a second time: of a long conversation that would be most of the work.
#[derive(Clone, Debug)]
pub enum Rendered {
    Markdown(String),
    Code { text: String, language: String },
}

impl Rendered {
    fn write(&self, html: &mut String) {
        match self {
            Self::Markdown(text) => html.push_str(&markdown::render(text)),
            Self::Code { text, language } => highlight::write_html(text, language, html),
        }
    }

    fn put_into(&self, element: &Element) {
        let mut html = String::new();
        self.write(&mut html);
        element.set_inner_html(&html);
    }
}

impl IntoAttributeValue for Rendered {
    type Output = Self;

    fn into_attribute_value(self) -> Self {
        self
    }
}

impl InnerHtmlValue for Rendered {
    type AsyncOutput = Self;
    type State = Element;
    type Cloneable = Self;
    type CloneableOwned = Self;

    fn html_len(&self) -> usize {
        let (Self::Markdown(text) | Self::Code { text, .. }) = self;
        text.len() * 2
    }

    fn to_html(self, html: &mut String) {
        self.write(html);
    }

    fn to_template(_: &mut String) {}

    fn hydrate<const FROM_SERVER: bool>(self, element: &Element) -> Element {
        if !FROM_SERVER {
            self.put_into(element);
        }
        element.clone()
    }

    fn build(self, element: &Element) -> Element {
        self.put_into(element);
        element.clone()
    }

    fn rebuild(self, element: &mut Element) {
        self.put_into(element);
    }

    fn into_cloneable(self) -> Self {
        self
    }

    fn into_cloneable_owned(self) -> Self {
        self
    }

    fn dry_resolve(&mut self) {}

    async fn resolve(self) -> Self {
        self
    }
}
