//! Agent and model of the next message, and what the agent may do: one quiet line, and a window to
//! choose in.

use leptos::either::Either;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use leptos::{ev, html};

use super::icon::{Icon, Sign};
use crate::model::{AgentOption, Choice, ModelOption, Options, Permissions};
use crate::state::{Page, actions};
use crate::words;

/// More models than this can be searched.
const MANY: usize = 10;

#[component]
pub fn Picker(page: Page) -> impl IntoView {
    let known = Memo::new(move |_| page.options.with(Option::is_some));
    let several = Memo::new(move |_| {
        page.options.with(|known| known.as_ref().is_some_and(Options::is_choice))
    });
    let choice = Memo::new(move |_| page.choice(&page.current.get()));
    move || {
        known.get().then(|| {
            view! {
                <Line page choice several />
                <Window page choice several />
            }
        })
    }
}

/// What there is to choose. With one agent and one model, that is what they may do.
fn title(several: bool) -> &'static str {
    if several { "Agent and model" } else { "Permissions" }
}

#[component]
fn Line(page: Page, choice: Memo<Option<Choice>>, several: Memo<bool>) -> impl IntoView {
    let words = move || {
        let Choice { agent, model, permissions } = choice.get()?;
        let allowed = words::permissions(permissions).0;
        if !several.get() {
            return Some(allowed.to_owned());
        }
        let mut words = page.agent_name(&agent);
        // An agent that needs no model is its own.
        if model != agent {
            words = format!("{words} · {}", words::model(&model).0);
        }
        if permissions != Permissions::default() {
            words = format!("{words} · {allowed}");
        }
        Some(words)
    };
    let open = move |_| {
        page.choosing.set(true);
        actions::refresh_options(page);
    };
    view! {
        <button
            type="button"
            class="quiet pick"
            title=move || title(several.get())
            aria-haspopup="dialog"
            aria-expanded=move || page.choosing.get().to_string()
            on:click=open
        >
            <span class="sr-only">{move || title(several.get())} ": "</span>
            <span class="words">{words}</span>
            <Icon sign=Sign::Chevron class="icon turn" />
        </button>
    }
}

#[component]
fn Window(page: Page, choice: Memo<Option<Choice>>, several: Memo<bool>) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let search = RwSignal::new(String::new());
    // A window that goes because there is no choice any more does not say that it was closed.
    on_cleanup(move || page.choosing.set(false));
    Effect::new(move |_| {
        let asked = page.choosing.get();
        let Some(dialog) = dialog.get() else { return };
        if asked && !dialog.open() {
            search.set(String::new());
            // Fails only for a dialog that is open already.
            dialog.show_modal().ok();
        } else if !asked && dialog.open() {
            dialog.close();
        }
    });
    // What is around the window belongs to it, and is not covered by what is in it.
    let press = move |event: ev::MouseEvent| {
        let on = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        if on.is_some_and(|on| on.tag_name() == "DIALOG") {
            page.choosing.set(false);
        }
    };
    view! {
        <dialog
            node_ref=dialog
            class="picker"
            aria-labelledby="picker-title"
            on:close=move |_| page.choosing.set(false)
            on:click=press
        >
            <form method="dialog">
                <header>
                    <h2 id="picker-title">{move || title(several.get())}</h2>
                    <button type="submit" class="quiet" aria-label="Close" title="Close">
                        <Icon sign=Sign::Close />
                    </button>
                </header>
                {move || several.get().then(|| view! { <Agents page choice /> })}
                <Allowed page choice several />
                {move || several.get().then(|| view! { <Models page choice search /> })}
            </form>
        </dialog>
    }
}

#[component]
fn Agents(page: Page, choice: Memo<Option<Choice>>) -> impl IntoView {
    let agents = Memo::new(move |_| {
        page.options.with(|options| options.as_ref().map(|options| options.agents.clone()))
    });
    let row = move |agent: AgentOption| {
        let id = StoredValue::new(agent.id);
        let checked = move || {
            choice.with(|choice| {
                choice.as_ref().is_some_and(|choice| id.with_value(|id| *id == choice.agent))
            })
        };
        let pick = move |_| {
            let Some(before) = choice.get_untracked() else { return };
            let next = page
                .options
                .with_untracked(|options| options.as_ref()?.with_agent(&id.get_value(), &before));
            if let Some(next) = next {
                actions::choose(&page.current.get_untracked(), next);
            }
        };
        view! {
            <label class="option">
                <input
                    type="radio"
                    name="agent"
                    disabled=agent.problem.is_some()
                    prop:checked=checked
                    on:change=pick
                />
                <span class="name">{agent.name}</span>
                {agent.problem.map(|problem| view! { <span class="about">{problem}</span> })}
            </label>
        }
    };
    view! {
        <fieldset>
            <legend>"Agent"</legend>
            {move || agents.get().unwrap_or_default().into_iter().map(row).collect_view()}
        </fieldset>
    }
}

#[component]
fn Allowed(page: Page, choice: Memo<Option<Choice>>, several: Memo<bool>) -> impl IntoView {
    let row = move |permissions: Permissions| {
        let (name, about) = words::permissions(permissions);
        let checked = move || {
            choice.with(|choice| choice.as_ref().is_some_and(|it| it.permissions == permissions))
        };
        let pick = move |_| {
            if let Some(before) = choice.get_untracked() {
                let next = Choice { permissions, ..before };
                actions::choose(&page.current.get_untracked(), next);
            }
        };
        // With a pointer it is the last step, where there is nothing else.
        let done = move |event: ev::MouseEvent| {
            if event.detail() > 0 && !several.get_untracked() {
                request_animation_frame(move || page.choosing.set(false));
            }
        };
        view! {
            <label class="option" on:click=done>
                <input type="radio" name="permissions" prop:checked=checked on:change=pick />
                <span class="name">{name}</span>
                <span class="about">{about}</span>
            </label>
        }
    };
    view! {
        <fieldset>
            <legend>"Permissions"</legend>
            {Permissions::ALL.map(row)}
        </fieldset>
    }
}

#[component]
fn Models(page: Page, choice: Memo<Option<Choice>>, search: RwSignal<String>) -> impl IntoView {
    let models = Memo::new(move |_| {
        let agent = choice.with(|choice| choice.as_ref().map(|choice| choice.agent.clone()));
        page.options.with(|options| models_of(options.as_ref(), agent.as_deref()))
    });
    let found =
        Memo::new(move |_| search.with(|search| models.with(|models| matching(models, search))));
    let many = Memo::new(move |_| models.with(Vec::len) > MANY);
    let row = move |model: ModelOption| view! { <ModelRow page choice model /> };
    let list = move || match found.get() {
        found if found.is_empty() => {
            Either::Left(view! { <p class="about">"No model has this in its name."</p> })
        }
        found => Either::Right(found.into_iter().map(row).collect_view()),
    };
    let field = move || {
        view! {
            <input
                type="search"
                aria-label="Search models"
                placeholder="Search models"
                prop:value=search
                on:input=move |event| search.set(event_target_value(&event))
            />
        }
    };
    view! {
        <fieldset>
            <legend>"Model " <small>"Prices in credits per million tokens"</small></legend>
            {move || many.get().then(field)}
            <div class="options">{list}</div>
        </fieldset>
    }
}

#[component]
fn ModelRow(page: Page, choice: Memo<Option<Choice>>, model: ModelOption) -> impl IntoView {
    let price = words::price(&model);
    let (name, provider) = words::model(&model.name);
    let (name, provider) = (name.to_owned(), provider.to_owned());
    let id = StoredValue::new(model.name);
    let checked = move || {
        choice.with(|choice| {
            choice.as_ref().is_some_and(|choice| id.with_value(|id| *id == choice.model))
        })
    };
    let pick = move |_| {
        if let Some(before) = choice.get_untracked() {
            let next = Choice { model: id.get_value(), ..before };
            actions::choose(&page.current.get_untracked(), next);
        }
    };
    // With a pointer this is the last step; with arrow keys it is on the way to another one.
    let done = move |event: ev::MouseEvent| {
        if event.detail() > 0 {
            request_animation_frame(move || page.choosing.set(false));
        }
    };
    view! {
        <label class="option" on:click=done>
            <input type="radio" name="model" prop:checked=checked on:change=pick />
            <span class="name">{name} " " <small>{provider}</small></span>
            <span class="about number">{price}</span>
        </label>
    }
}

/// The models that an agent works with.
fn models_of(options: Option<&Options>, agent: Option<&str>) -> Vec<ModelOption> {
    let Some(options) = options else { return Vec::new() };
    let names = agent.and_then(|id| options.agent(id)).map(|agent| &agent.models);
    names.into_iter().flatten().filter_map(|name| options.model(name)).cloned().collect()
}

/// Those whose name has every word of the search.
fn matching(models: &[ModelOption], search: &str) -> Vec<ModelOption> {
    let search = search.to_ascii_lowercase();
    let has = |model: &&ModelOption| {
        let name = model.name.to_ascii_lowercase();
        search.split_whitespace().all(|word| name.contains(word))
    };
    models.iter().filter(has).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Credits;

    #[test]
    fn a_search_finds_every_word_in_any_case() {
        let model = |name: &str| ModelOption {
            name: name.into(),
            local: false,
            context_tokens: None,
            input: Credits(0),
            output: Credits(0),
        };
        let models = ["openai/gpt-6-sol", "openai/gpt-6-luna", "ollama/qwen"].map(model);
        let found = |search| matching(&models, search).len();
        assert_eq!([found(""), found("GPT"), found("luna gpt"), found("gpt qwen")], [3, 2, 1, 0]);
    }
}
