//! Where the page's view is cut into parts, for the compiler alone.

use leptos::prelude::*;

/// On the server a part's type is erased: one that describes a whole page takes long to compile, and
/// is deeper than the compiler looks.
#[cfg(feature = "ssr")]
pub fn part(view: impl IntoView) -> AnyView {
    view.into_any()
}

/// In the browser it stays: an erased view carries the code for all that could be done to it, which
/// made a sixth of the module.
#[cfg(not(feature = "ssr"))]
pub fn part(view: impl IntoView) -> impl IntoView {
    view
}
