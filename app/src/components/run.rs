//! Steps of the agent, one under the other: open while they run, folded under one line afterwards.

use leptos::either::Either;
use leptos::prelude::*;

use super::fold::fold;
use super::icon::{Icon, Sign};
use super::step::StepView;
use super::thought::ThoughtView;
use crate::state::{Page, Run, Step, StepKind};
use crate::tool;
use crate::words;

/// What the line above the steps says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Total {
    steps: usize,
    failed: usize,
    /// Milliseconds that all steps took together.
    took: i64,
    running: bool,
}

#[component]
pub fn RunView(page: Page, run: Run, current: Signal<bool>, live: Memo<bool>) -> impl IntoView {
    let steps = run.steps;
    let total = {
        let steps = steps.clone();
        Memo::new(move |_| steps.with(|steps| total(steps)))
    };
    let single = Memo::new(move |_| total.with(|total| total.steps < 2));
    let (open, touch) = fold(move || single.get() || current.get());
    let took = move || {
        let total = total.get();
        let words = || format!("· {}", words::duration(total.took));
        (total.took > 0 && !total.running).then(|| view! { <span class="number">{words()}</span> })
    };
    let failures = move || {
        let failed = total.with(|total| total.failed);
        (failed > 0).then(|| view! { <span class="failures">{format!("· {failed} failed")}</span> })
    };
    let show = move |step: Step| match step.kind {
        StepKind::Tool(tool) => Either::Left(view! { <StepView page tool live /> }),
        StepKind::Thought { .. } => {
            // A thought between steps has been thought when the next one begins.
            let current = Signal::derive(|| false);
            Either::Right(view! { <ThoughtView page step current /> })
        }
    };
    view! {
        <details class="run" class:single=single open=open on:click=touch>
            <summary class="fold">
                <Icon sign=Sign::Chevron class="icon chevron" />
                <span>{move || words::count(total.with(|total| total.steps), "step")}</span>
                {took}
                {failures}
            </summary>
            <div class="steps">
                <For each=move || steps.get() key=|step| step.id.clone() children=show />
            </div>
        </details>
    }
}

fn total(steps: &[Step]) -> Total {
    let mut total = Total::default();
    for step in steps {
        let StepKind::Tool(tool) = &step.kind else { continue };
        let summary = tool.with(tool::summary);
        total.steps += 1;
        total.failed += usize::from(summary.why.is_some());
        total.took += summary.took.unwrap_or_default();
        total.running |= summary.running;
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(id: &str, state: serde_json::Value) -> Step {
        let tool = serde_json::from_value(json!({"tool": "bash", "state": state})).unwrap();
        Step { id: id.into(), kind: StepKind::Tool(ArcRwSignal::new(tool)) }
    }

    #[test]
    fn a_run_adds_up_its_steps() {
        let steps = [
            step("1", json!({"status": "completed", "time": {"start": 0, "end": 1500}})),
            step(
                "2",
                json!({"status": "error", "error": "x", "time": {"start": 2000, "end": 2500}}),
            ),
            step("3", json!({"status": "running", "time": {"start": 3000}})),
        ];
        assert_eq!(total(&steps), Total { steps: 3, failed: 1, took: 2000, running: true });
    }
}
