//! Lists of class names beside YOLO's files: `classes.txt`, `labels.txt` and Darknet's `obj.names` with a name a line, and
//! the `names` of Ultralytics' and Roboflow's `data.yaml`.

use std::collections::{BTreeMap, HashMap};

use super::{label, names, quote, text, yolo};
use crate::error::{Error, Result};
use crate::limits;

const LISTS: [&str; 4] = ["classes.txt", "labels.txt", "class_names.txt", "classnames.txt"];

/// Whether the file's name is that of a list of classes.
pub(super) fn is_list(path: &str) -> bool {
    let base = names::base_name(path).to_ascii_lowercase();
    LISTS.contains(&base.as_str()) || base.ends_with(".names") || is_yaml(&base)
}

fn is_yaml(base: &str) -> bool {
    base.ends_with(".yaml") || base.ends_with(".yml")
}

/// Reads a list of either kind.
///
/// # Errors
/// Not UTF-8, a label that breaks the rule of [`label::check`], a YAML file without names, or over a cap of [`limits`].
fn read(path: &str, bytes: &[u8]) -> Result<Vec<String>> {
    if !is_yaml(&names::base_name(path).to_ascii_lowercase()) {
        return yolo::read_classes(path, bytes);
    }
    let text = text(path, bytes, limits::ANNOTATION_BYTES)?;
    let fault = |reason: String| Error::annotation(path, reason);
    let found = yaml_names(&text).map_err(fault)?;
    limits::check(path, "the number of classes", found.len() as u64, limits::CLASSES as u64)?;
    let check = |(i, name): (usize, &String)| label::check(name).map_err(|e| fault(format!("class {i} {e}")));
    found.iter().enumerate().map(check).collect()
}

/// The `names` of a YAML file: a list or a map from numbers, on one line or on many. Only as much YAML as these files have.
fn yaml_names(text: &str) -> Result<Vec<String>, String> {
    let mut lines = text.lines();
    let first = lines.find_map(|line| line.strip_prefix("names:")).ok_or("has no list of names")?;
    let first = without_comment(first).trim();
    let mut found = Names::default();
    if let Some(close) =
        [('[', ']'), ('{', '}')].into_iter().find_map(|(open, close)| first.starts_with(open).then_some(close))
    {
        let mut inner = first[1..].to_owned();
        while !has_outside_quotes(&inner, close) {
            inner.push(' ');
            inner.push_str(without_comment(lines.next().ok_or("has a list of names without an end")?));
        }
        for part in split_outside_quotes(&inner, &[',', close]).into_iter().filter(|part| !part.trim().is_empty()) {
            found.add(part, close == '}')?;
        }
        return found.finish();
    }
    for line in lines.map(without_comment).filter(|line| !line.trim().is_empty()) {
        match line.trim_start().strip_prefix("- ") {
            Some(name) => found.add(name, false)?,
            None if line.starts_with([' ', '\t']) => found.add(line, true)?,
            None => break,
        }
    }
    found.finish()
}

/// Names with their numbers.
#[derive(Default)]
struct Names(BTreeMap<usize, String>);

impl Names {
    fn add(&mut self, text: &str, is_numbered: bool) -> Result<(), String> {
        let (number, name) = match text.split_once(':').filter(|_| is_numbered) {
            Some((number, name)) => (unquoted(number).parse().ok(), name),
            None => (Some(self.0.len()).filter(|_| !is_numbered), text),
        };
        let number = number.filter(|n| *n < limits::CLASSES);
        let number = number.ok_or_else(|| format!("has a name without a usable number: {}", quote(text.trim())))?;
        self.0.insert(number, unquoted(name).to_owned());
        Ok(())
    }

    /// In the order of their numbers; one that has no name stands for itself.
    fn finish(self) -> Result<Vec<String>, String> {
        let last = *self.0.keys().next_back().ok_or("has an empty list of names")?;
        Ok((0..=last).map(|n| self.0.get(&n).cloned().unwrap_or_else(|| n.to_string())).collect())
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |mark| text.strip_prefix(mark).and_then(|text: &str| text.strip_suffix(mark));
    inner('"').or(inner('\'')).unwrap_or(text)
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line) }
}

fn has_outside_quotes(text: &str, wanted: char) -> bool {
    split_outside_quotes(text, &[wanted]).len() > 1
}

fn split_outside_quotes<'a>(text: &'a str, marks: &[char]) -> Vec<&'a str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (i, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if marks.contains(&c) => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            None => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The lists of a drop, by the folder that each lies in.
#[derive(Default)]
pub(super) struct ClassLists(HashMap<String, Vec<String>>);

impl ClassLists {
    /// Reads a list. Of several in one folder the first counts, so that the result does not depend on more than the order.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let classes = read(path, bytes)?;
        self.0.entry(names::folders(path).join("/")).or_insert(classes);
        Ok(())
    }

    /// The list for a file: of its folder or the nearest above it, else the only one there is.
    pub fn of(&self, path: &str) -> Option<&[String]> {
        let folders = names::folders(path);
        let above = (0..=folders.len()).rev().find_map(|depth| self.0.get(&folders[..depth].join("/")));
        let only = || Some(self.0.values().next()?).filter(|first| self.0.values().all(|list| list == *first));
        above.or_else(only).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_every_form_of_yaml() {
        for yaml in [
            "train: ../train/images\nnc: 2\nnames: ['a b', \"c, d\"]\n",
            "names: [a b, 'c, d']  # two\nnc: 2",
            "names:\n- a b\n- 'c, d'\nroboflow:\n  version: 1\n",
            "names:\n  - a b\n  # none\n  - 'c, d'\n",
            "names:\n  0: a b\n  1: \"c, d\"\nnc: 2\n",
            "names: {0: a b, 1: 'c, d'}",
            "names: [\n  'a b',\n  'c, d',\n]\n",
        ] {
            assert_eq!(read("d/data.yaml", yaml.as_bytes()).unwrap(), ["a b", "c, d"], "{yaml}");
        }
        for bad in ["", "nc: 2", "names: [a", "names: []", "names:\nnc: 2", "names: {x: a}", "names: {99999999: a}"] {
            assert!(read("data.yaml", bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(read("data.yml", b"names: {2: c}").unwrap(), ["0", "1", "c"]);
    }

    #[test]
    fn the_nearest_list_above_a_file_is_its_own() {
        let mut lists = ClassLists::default();
        lists.add("d/obj.names", b"outer\n").unwrap();
        lists.add("d/labels/classes.txt", b"inner\n").unwrap();
        assert_eq!(lists.of("d/labels/train/x.txt").unwrap(), ["inner"]);
        assert_eq!(lists.of("d/other/x.txt").unwrap(), ["outer"]);
        assert_eq!(lists.of("elsewhere/x.txt"), None, "two to choose from");
        let mut one = ClassLists::default();
        one.add("images/labels.txt", b"only\n").unwrap();
        assert_eq!(one.of("labels/x.txt").unwrap(), ["only"]);
    }
}
