//! Helpers shared by several test programs.

use std::path::{Path, PathBuf};

/// The folder of real images, or `None` with a line that says so.
///
/// Its path is in `CYTOBOX_DATA`; otherwise it is expected next to the checkout.
pub fn real_data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("CYTOBOX_DATA").map_or_else(beside, PathBuf::from);
    let there = folder.is_dir();
    if !there {
        println!("skipped: no real data");
    }
    there.then_some(folder)
}
