//! Names of the files that are written, one an image: safe on every system, and no two alike.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use crate::annotations::{names, reference};

/// The path, below the folder of the results and without an extension, of the file for each image. An image whose name
/// has folders gets them.
///
/// Names that differ only in case or in the form of their Unicode are one to some systems. Of those that come out alike,
/// the image that is called just so keeps the name; the others get `-2`, `-3` … behind it, which is no other image's name.
/// `reserved` is nobody's.
pub fn file_names(images: &[&str], reserved: &[&str]) -> Vec<String> {
    let wanted: Vec<String> = images.iter().map(|name| safe_path(name)).collect();
    let keys: Vec<String> = wanted.iter().map(|name| folded(name)).collect();
    let reserved: HashSet<String> = reserved.iter().map(|name| folded(name)).collect();
    let mut owners: HashMap<&str, usize> = HashMap::new();
    for (i, key) in keys.iter().enumerate().filter(|(_, key)| !reserved.contains(*key)) {
        let owner = owners.entry(key).or_insert(i);
        if wanted[*owner] != images[*owner] && wanted[i] == images[i] {
            *owner = i;
        }
    }
    let mut taken: HashSet<String> = keys.iter().cloned().chain(reserved).collect();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut found = Vec::with_capacity(images.len());
    for (i, key) in keys.iter().enumerate() {
        if owners.get(key.as_str()) == Some(&i) {
            found.push(wanted[i].clone());
            continue;
        }
        let number = numbers.entry(key).or_insert(1);
        let name = loop {
            *number += 1;
            let name = format!("{}-{number}", wanted[i]);
            if taken.insert(folded(&name)) {
                break name;
            }
        };
        found.push(name);
    }
    found
}

/// A path of which every part is safe, never empty; see [`reference::parts`].
pub fn safe_path(name: &str) -> String {
    let parts: Vec<String> = reference::parts(name).into_iter().map(names::safe_name).collect();
    if parts.is_empty() { names::safe_name("") } else { parts.join("/") }
}

fn folded(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_one_name_lie_in_their_folders() {
        let images = ["plateA/f01", "plateB/f01", "g07", "plateB\\CON", "../up", "/abs/olute"];
        let expected = ["plateA/f01", "plateB/f01", "g07", "plateB/_CON", "up", "olute"];
        assert_eq!(file_names(&images, &[]), expected);
    }

    #[test]
    fn a_number_is_not_another_images_name() {
        assert_eq!(file_names(&["f01", "F01", "f01-2"], &[]), ["f01", "F01-3", "f01-2"]);
        assert_eq!(file_names(&["a?", "a_", "A?"], &[]), ["a_-2", "a_", "A_-3"]);
        assert_eq!(file_names(&["classes", "a", "a"], &["classes"]), ["classes-2", "a", "a-2"]);
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_name() {
        let [composed, decomposed] = ["caf\u{e9}", "cafe\u{301}"];
        let expected = [composed.to_owned(), format!("{composed}-2")];
        assert_eq!(file_names(&[composed, decomposed], &[]), expected);
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = "ü".repeat(300);
        let names = file_names(&[&format!("{long}1"), &format!("{long}2")], &[]);
        assert!(names[0] != names[1] && names.iter().all(|name| name.len() < 255), "{names:?}");
    }
}
