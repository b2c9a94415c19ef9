//! Imports run one way: no two modules of the crate, nor of xtask, need each other, and only the outside knows its own
//! vocabulary.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Top-level modules by name, each with the others that its code names after `crate::`.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn imports(folder: &str) -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut imports = Imports::new();
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // The crate's root and its programs know everything.
        if !["lib", "bin", "main"].contains(&module.as_str()) {
            let own = imports.entry(module.clone()).or_default();
            visit(&path, own);
            own.remove(&module);
        }
    }
    imports
}

fn visit(path: &Path, into: &mut BTreeSet<String>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| visit(&entry.unwrap().path(), into));
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        into.extend(named(&fs::read_to_string(path).unwrap()));
    }
}

/// The modules that a source text names: `crate::a::b`, and `crate::{a::b, c}` whose names stand behind the outermost
/// brace or its commas.
fn named(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        found.insert(word(list));
        let mut depth = 1;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => drop(found.insert(word(&list[at + 1..]))),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|name| name.starts_with(|c: char| c.is_lowercase()));
    found
}

#[test]
fn names_are_found_in_every_form_of_import() {
    let text =
        "use crate::{\n    a::{x, y},\n    b, Error,\n};\nuse crate::c::Z; // crate::d\nfn f() { crate::e::g() }";
    assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ["a", "b", "c", "e"]);
}

#[test]
fn no_two_modules_need_each_other() {
    let engine = imports("src");
    assert!(engine.len() > 20 && engine["train"].contains("model"), "the imports were not found: {engine:?}");
    expect_no_circle(engine);
    let xtask = imports("xtask/src");
    assert!(xtask.len() > 9 && xtask["suite"].contains("page"), "the imports were not found: {xtask:?}");
    expect_no_circle(xtask);
}

fn expect_no_circle(mut left: Imports) {
    // What needs nothing that is left can go; a circle stays.
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, needs)| needs.is_disjoint(&left.keys().cloned().collect()))
            .map(|(m, _)| m.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|module| drop(left.remove(module)));
    }
    let known: BTreeSet<&String> = left.keys().collect();
    let circles: Vec<_> =
        left.iter().map(|(m, needs)| (m, needs.iter().filter(|n| known.contains(n)).collect::<Vec<_>>())).collect();
    assert!(circles.is_empty(), "these need each other: {circles:?}");
}

/// Who may know a module: its types live with their owners, so that nothing below needs the words of the outside.
const KNOWN_BY: [(&str, &[&str]); 4] =
    [("protocol", &["engine", "native", "web"]), ("engine", &["native", "web"]), ("native", &[]), ("web", &[])];

#[test]
fn only_the_outside_knows_the_protocol() {
    for (module, allowed) in KNOWN_BY {
        for (importer, needs) in imports("src") {
            assert!(!needs.contains(module) || allowed.contains(&importer.as_str()), "{importer} imports {module}");
        }
    }
}
