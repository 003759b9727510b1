#![doc = include_str!("../README.md")]

pub mod transcript;
pub mod types;
