//! Signs. What they look like stands in the style sheet.

use leptos::prelude::*;

use crate::tool::Category;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Search,
    Menu,
    Close,
    Chevron,
    Up,
    Square,
    Down,
    Copy,
    Again,
    Pen,
    Bin,
    Terminal,
    File,
    Folder,
    Globe,
    Branch,
    List,
    Wrench,
    Contrast,
}

impl Sign {
    /// The sign of a tool's line.
    pub fn of(category: Category) -> Self {
        match category {
            Category::Command => Self::Terminal,
            Category::Read => Self::File,
            Category::Write | Category::Edit => Self::Pen,
            Category::List => Self::Folder,
            Category::Search => Self::Search,
            Category::Web => Self::Globe,
            Category::Task => Self::Branch,
            Category::Plan => Self::List,
            Category::Other => Self::Wrench,
        }
    }

    /// Its name in the style sheet that draws it.
    fn name(self) -> &'static str {
        match self {
            Self::Plus => "plus",
            Self::Search => "search",
            Self::Menu => "menu",
            Self::Close => "close",
            Self::Chevron => "chevron",
            Self::Up => "up",
            Self::Square => "square",
            Self::Down => "down",
            Self::Copy => "copy",
            Self::Again => "again",
            Self::Pen => "pen",
            Self::Bin => "bin",
            Self::Terminal => "terminal",
            Self::File => "file",
            Self::Folder => "folder",
            Self::Globe => "globe",
            Self::Branch => "branch",
            Self::List => "list",
            Self::Wrench => "wrench",
            Self::Contrast => "contrast",
        }
    }
}

/// A sign beside words, or in a button that has a name: nothing to read out. It is one element, as a
/// long conversation has hundreds of them.
#[component]
pub fn Icon(sign: Sign, #[prop(default = "icon")] class: &'static str) -> impl IntoView {
    view! { <span class=class data-sign=sign.name()></span> }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHAPES: &str = include_str!("../../../style/icons.css");

    #[test]
    fn every_sign_has_a_shape_of_its_own_and_every_shape_a_sign() {
        let all = [
            Sign::Plus,
            Sign::Search,
            Sign::Menu,
            Sign::Close,
            Sign::Chevron,
            Sign::Up,
            Sign::Square,
            Sign::Down,
            Sign::Copy,
            Sign::Again,
            Sign::Pen,
            Sign::Bin,
            Sign::Terminal,
            Sign::File,
            Sign::Folder,
            Sign::Globe,
            Sign::Branch,
            Sign::List,
            Sign::Wrench,
            Sign::Contrast,
        ];
        let names: BTreeSet<_> = all.map(Sign::name).into();
        for name in &names {
            let drawn = format!("[data-sign=\"{name}\"] {{\n  --sign: url(");
            assert_eq!(SHAPES.matches(&drawn).count(), 1, "{name}");
        }
        assert_eq!(names.len(), all.len(), "two signs look the same");
        assert_eq!(SHAPES.matches("--sign: url(").count(), all.len());
    }
}
