//! What several test programs share.

use std::path::{Path, PathBuf};

/// The folder of real images, or `None` with a line that says so.
///
/// `CYTOBOX_DATA` names it; else it is looked for beside the checkout.
pub fn real_data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("CYTOBOX_DATA").map_or_else(beside, PathBuf::from);
    let there = folder.is_dir();
    if !there {
        println!("skipped: no real data");
    }
    there.then_some(folder)
}
