//! From the session gateway to the page: events become parts, parts become signals, once a frame.

#[cfg(not(feature = "hydrate"))]
mod absent;
#[cfg(feature = "hydrate")]
mod live;
#[cfg(any(feature = "hydrate", test))]
mod turn_log;

#[cfg(not(feature = "hydrate"))]
pub use absent::{Stream, open};
#[cfg(feature = "hydrate")]
pub use live::{Stream, open};
