//! Scans over thousands of images: what is done, what was found, and what each image is called in the results.
//!
//! A scan must survive a closed laptop. Every finished image is one line of a journal in the output folder; the next scan
//! resumes behind it. Result files are made from the journal, so memory does not grow with the number of images.

mod done;
mod journal;
mod names;
mod source;

pub use journal::{Journal, ScanSettings};
pub use names::{Called, Names};
pub use source::Source;

#[cfg(test)]
mod tests;
