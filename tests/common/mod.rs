//! Helpers shared by several test programs.

#![allow(dead_code)] // Each test file uses a part of it.

use std::path::{Path, PathBuf};

/// The folder of real images, or `None` with a line that says so.
///
/// Its path is in `CYTOBOX_DATA`; otherwise it is expected next to the checkout.
pub fn real_data() -> Option<PathBuf> {
    let folder = folder();
    if folder.is_none() {
        skipped("no real data");
    }
    folder
}

/// Says why a test does not run. In continuous integration that has the data, every test must.
pub fn skipped(reason: &str) {
    let is_integration = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    assert!(!(is_integration && folder().is_some()), "skipped, although the data is there: {reason}");
    println!("skipped: {reason}");
}

/// The folder of real images, without a word where there is none: for tests that have another way then.
pub fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    match std::env::var_os("CYTOBOX_DATA").map(PathBuf::from) {
        Some(named) => {
            assert!(named.is_dir(), "CYTOBOX_DATA names no folder: {}", named.display());
            Some(named)
        }
        None => beside.is_dir().then_some(beside),
    }
}
