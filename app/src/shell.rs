//! The document around the page.

use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags};

use crate::App;
use crate::first::{self, First};

/// Before the first paint it sets the chosen theme. Before the page is alive it remembers what is
/// pressed, so that it can be done then.
const EARLY: &str = include_str!("early.js");

/// The whole document, rendered by the server. `part_url` is the address of the part of the module
/// that shows a chat: a page that comes with one has it loaded at once.
pub fn shell(options: LeptosOptions, part_url: Option<String>) -> AnyView {
    let first = First::given();
    let part_url = part_url.filter(|_| matches!(first.chat, Some(Ok(_))));
    let first = first.to_script();
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta
                    name="viewport"
                    content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content"
                />
                <meta name="theme-color" content="#0c0b10" media="(prefers-color-scheme: dark)" />
                <meta name="theme-color" content="#f5f5f8" media="(prefers-color-scheme: light)" />
                <meta
                    name="description"
                    content="Chat with an agent that works in a sandbox of its own."
                />
                <link
                    rel="preload"
                    href="/fonts/geist-latin.woff2"
                    r#as="font"
                    r#type="font/woff2"
                    crossorigin="anonymous"
                />
                {part_url
                    .map(|href| {
                        view! {
                            <link
                                rel="preload"
                                href=href
                                r#as="fetch"
                                r#type="application/wasm"
                                crossorigin="anonymous"
                            />
                        }
                    })}
                <HashedStylesheet options=options.clone() id="skein" />
                <link rel="stylesheet" href="/theme.css" />
                <link rel="icon" r#type="image/svg+xml" href="/favicon.svg" />
                <script nonce=use_nonce() inner_html=EARLY></script>
                <script id=first::ELEMENT r#type="application/json" nonce=use_nonce() inner_html=first></script>
                <AutoReload options=options.clone() />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
    .into_any()
}
