pub mod demo;
pub mod driver;
pub mod sidecar;
