//! Signs, drawn in one weight.

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

    fn path(self) -> &'static str {
        match self {
            Self::Plus => "M12 5v14M5 12h14",
            Self::Search => "M17.5 11a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0zM20 20l-4.2-4.2",
            Self::Menu => "M4 7h16M4 12h16M4 17h10",
            Self::Close => "M6 6l12 12M18 6L6 18",
            Self::Chevron => "M9 6l6 6-6 6",
            Self::Up => "M12 19V5.500M6 11l6-6 6 6",
            Self::Square => "M8.5 8.500h7v7h-7z",
            Self::Down => "M12 5v13.500M6 13l6 6 6-6",
            Self::Copy => {
                "M9 11a2 2 0 0 1 2-2h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2h-6a2 2 0 0 1-2-2zM15 9V7a2 2 0 0 \
                 0-2-2H7a2 2 0 0 0-2 2v6a2 2 0 0 0 2 2h2"
            }
            Self::Again => "M5 12a7 7 0 1 0 2.2-5.100M5 5v4h4",
            Self::Pen => "M5 19h3.500L19 8.5 15.5 5 5 15.500z",
            Self::Bin => "M5 7h14M10 7V5h4v2M7 7l.8 12h8.400L17 7",
            Self::Terminal => "M5 8l4 4-4 4M12 16h7",
            Self::File => {
                "M13 4H7a1.5 1.5 0 0 0-1.5 1.500v13A1.5 1.5 0 0 0 7 20h10a1.5 1.5 0 0 0 \
                 1.5-1.500V9.500zM13 4v5.500h5.5"
            }
            Self::Folder => {
                "M4 7.500A1.5 1.5 0 0 1 5.5 6H10l2 2.500h6.500A1.5 1.5 0 0 1 20 10v7.500a1.5 1.5 0 0 1-1.5 1.500h-13A1.5 1.5 0 0 1 4 17.500z"
            }
            Self::Globe => {
                "M20 12a8 8 0 1 1-16 0 8 8 0 0 1 16 0zM4 12h16M12 4c4.5 5 4.5 11 0 16-4.5-5-4.5-11 0-16z"
            }
            Self::Branch => "M7 5v14M7 14c0-4 10-2 10-7M17 7V5",
            Self::List => "M9 7h11M9 12h11M9 17h11M4.5 7h.01M4.5 12h.01M4.5 17h.01",
            Self::Wrench => {
                "M14.5 9.500l-8.7 8.700M19 6.500a4 4 0 0 1-5.3 5.300l-1.5-1.500A4 4 0 0 1 17.5 5L15 7.500l1.5 1.500z"
            }
            Self::Contrast => "M20 12a8 8 0 1 1-16 0 8 8 0 0 1 16 0zM12 4v16a8 8 0 0 0 0-16z",
        }
    }
}

/// A sign beside words, or in a button that has a name: nothing to read out.
#[component]
pub fn Icon(sign: Sign, #[prop(default = "icon")] class: &'static str) -> impl IntoView {
    view! {
        <svg class=class viewBox="0 0 24 24" aria-hidden="true">
            <path d=sign.path()></path>
        </svg>
    }
}
