//! What cargo-fuzz and the suite have in common, and the suite's own files and damage.

pub mod corpus;
pub mod mutations;
pub mod targets;
