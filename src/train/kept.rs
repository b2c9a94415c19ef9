//! Which files of a store may go when a new one is safe.

use crate::error::Result;

/// Of `files`, the newest first, those that may go once the `written` one is safe: all but it and the newest `spare`
/// others that are `whole`. What a kill left half written counts for nothing, however high its number.
///
/// # Errors
/// What `whole` says.
pub async fn outdated<T>(
    files: Vec<T>,
    written: impl Fn(&T) -> bool,
    mut spare: usize,
    whole: impl AsyncFn(&T) -> Result<bool>,
) -> Result<Vec<T>> {
    let mut old = Vec::new();
    for file in files {
        if written(&file) {
            continue;
        }
        if spare > 0 && whole(&file).await? {
            spare -= 1;
        } else {
            old.push(file);
        }
    }
    Ok(old)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    fn old(files: &[u64], written: u64, spare: usize, broken: &[u64]) -> Vec<u64> {
        let old = outdated(files.to_vec(), |file| *file == written, spare, async |file| Ok(!broken.contains(file)));
        pollster::block_on(old).unwrap()
    }

    #[test]
    fn the_written_one_and_the_newest_other_whole_one_stay() {
        assert!(old(&[48], 48, 1, &[]).is_empty());
        assert_eq!(old(&[48, 45, 42], 48, 1, &[]), [42]);
        // Kills left 50 and 52 behind, and the training run went on from 45.
        assert_eq!(old(&[52, 50, 48, 45], 48, 1, &[50, 52]), [52, 50]);
        assert_eq!(old(&[52, 50, 48], 48, 1, &[50, 52]), [52, 50]);
        assert_eq!(old(&[3, 2, 1], 3, 0, &[]), [2, 1]);
    }
}
