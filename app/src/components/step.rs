//! One tool call: a quiet line that unfolds to its output.

use leptos::either::EitherOf5;
use leptos::prelude::*;
use sandbox_sdk::types::ToolPart;

use super::icon::{Icon, Sign};
use super::rendered::Rendered;
use crate::state::Page;
use crate::tool::{self, Line, Output, Side, Summary};
use crate::words;

#[component]
pub fn StepView(page: Page, tool: ArcRwSignal<ToolPart>, live: Memo<bool>) -> impl IntoView {
    let summary = {
        let tool = tool.clone();
        Memo::new(move |_| tool.with(tool::summary))
    };
    let output = Memo::new(move |_| tool.with(tool::output));
    let failed = Memo::new(move |_| summary.with(|summary| summary.why.is_some()));
    let running = Memo::new(move |_| live.get() && summary.with(|summary| summary.running));
    let why = move || {
        let why = summary.with(|summary| summary.why.clone());
        why.map(|why| view! { <span class="why">{why}</span> })
    };
    let time = move || {
        let Summary { took, start, .. } = summary.get();
        match took {
            Some(took) => Some(words::duration(took)),
            None if running.get() && start > 0 => {
                Some(words::elapsed(start, page.clock.get().max(start)))
            }
            None => None,
        }
    };
    view! {
        <details class="step" class:failed=failed open=failed>
            <summary>
                {move || view! { <Icon sign=Sign::of(summary.with(|summary| summary.category)) /> }}
                <span class="verb" class:shimmer=running>{move || summary.get().verb}</span>
                <code>{move || summary.get().object}</code>
                {move || counts(&summary.get())}
                {why}
                <span class="number">{time}</span>
            </summary>
            {move || unfolded(output.get())}
        </details>
    }
}

fn counts(summary: &Summary) -> impl IntoView + use<> {
    let added = (summary.added > 0).then(|| format!("+{}", summary.added));
    let removed = (summary.removed > 0).then(|| format!("−{}", summary.removed));
    (
        added.map(|words| view! { <span class="added">{words}</span> }),
        removed.map(|words| view! { <span class="removed">{words}</span> }),
    )
}

fn unfolded(output: Output) -> impl IntoView {
    match output {
        Output::Nothing => EitherOf5::A(view! { <p class="output empty">"No output."</p> }),
        Output::Terminal { text, exit_code: None | Some(0) } => {
            EitherOf5::B(view! { <pre class="output" tabindex="0">{text}</pre> })
        }
        Output::Terminal { text, exit_code: Some(code) } => EitherOf5::C(view! {
            <div class="output">
                <pre tabindex="0">{text}</pre>
                <p class="number">{format!("Ended with code {code}")}</p>
            </div>
        }),
        Output::File { text, language } => EitherOf5::D(view! {
            <pre class="output" tabindex="0" inner_html=Rendered::Code { text, language }></pre>
        }),
        Output::Diff(lines) => EitherOf5::E(view! {
            <pre class="output" tabindex="0">{lines.into_iter().map(line).collect_view()}</pre>
        }),
    }
}

fn line(Line { side, text }: Line) -> impl IntoView {
    let (class, mark) = match side {
        Side::Same => ("line", "  "),
        Side::Added => ("line add", "+ "),
        Side::Removed => ("line del", "− "),
    };
    view! { <span class=class>{format!("{mark}{text}\n")}</span> }
}
