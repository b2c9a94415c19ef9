//! Scans over thousands of images: what is done, what was found, and what each image is called in the results.
//!
//! A scan must survive a closed laptop. Every finished image is one line of a journal in the output folder; the next scan
//! resumes behind it. Result files are made from the journal, so memory does not grow with the number of images.

//!
//! A scan may be done in [`Shard`]s, each a process with a folder of its own, maybe on machines of their own. [`Joined`] puts
//! their journals together as if it had been one process.

mod done;
mod join;
mod journal;
mod lock;
mod manifest;
mod names;
mod shard;
mod source;
mod tables;

pub use join::Joined;
pub use journal::{Journal, ScanSettings};
pub use manifest::{Listed, Listing, Manifest, Results, Whole};
pub use names::{Called, Names};
pub use shard::Shard;
pub use source::Source;
pub use tables::ShardTables;

#[cfg(test)]
mod tests;
