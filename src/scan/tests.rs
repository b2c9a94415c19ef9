use std::{fs, path::Path};

use super::{journal::JOURNAL, source::SourceFile, *};
use crate::{channels::BitDepth, detections::ImageDetections};

fn settings() -> ScanSettings {
    ScanSettings { model: "abc".into(), score: 0.7, ..ScanSettings::default() }
}

fn open(out: &Path) -> Journal {
    Journal::open(out, &settings(), false).unwrap()
}

fn refusal(out: &Path, settings: &ScanSettings) -> &'static str {
    Journal::open(out, settings, false).unwrap_err().code()
}

fn image(name: &str) -> ImageDetections {
    ImageDetections { image: name.into(), file: format!("{name}.png"), width: 8, height: 8, ..Default::default() }
}

fn source(path: &str, bytes: u64) -> Source {
    Source(vec![SourceFile { path: path.into(), bytes, modified: 1_700_000_000_000_000_001, channel: None }])
}

fn push(journal: &mut Journal, name: &str) {
    journal.push(&image(name), source(&format!("/plate/{name}.png"), 1)).unwrap();
}

fn is_done(journal: &Journal, name: &str) -> bool {
    journal.is_done(&source(&format!("/plate/{name}.png"), 1))
}

fn names(journal: &Journal) -> Vec<String> {
    journal.images().map(|image| image.unwrap().image).collect()
}

/// What an image `root/name.png` of a scan of `root` is called.
fn name_for(journal: &Journal, root: &str, name: &str, bytes: u64) -> (String, String) {
    let file = format!("{name}.png");
    let found = journal.name_for(&Called::new(name, &file, Path::new(root)), &source(&format!("{root}/{file}"), bytes));
    (found.image, found.file)
}

fn pair(image: &str, file: &str) -> (String, String) {
    (image.to_owned(), file.to_owned())
}

#[test]
fn a_scan_resumes_behind_a_line_that_was_cut_short() {
    let out = tempfile::tempdir().unwrap();
    let mut journal = open(out.path());
    push(&mut journal, "a");
    push(&mut journal, "b");
    drop(journal);
    let path = out.path().join(JOURNAL);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();

    let mut journal = open(out.path());
    assert!(is_done(&journal, "a") && !is_done(&journal, "b"));
    push(&mut journal, "c");
    assert_eq!(names(&journal), ["a", "c"]);
}

#[test]
fn a_scan_that_was_cut_short_before_its_first_line_begins() {
    let out = tempfile::tempdir().unwrap();
    for rest in ["", "{\"version\":2,\"mod"] {
        fs::write(out.path().join(JOURNAL), rest).unwrap();
        let mut journal = open(out.path());
        push(&mut journal, "a");
        drop(journal);
        assert_eq!(names(&open(out.path())), ["a"], "{rest:?}");
    }
}

#[test]
fn one_line_that_cannot_be_read_costs_one_image() {
    let out = tempfile::tempdir().unwrap();
    let mut journal = open(out.path());
    ["a", "b", "c", "d"].iter().for_each(|name| push(&mut journal, name));
    drop(journal);
    let path = out.path().join(JOURNAL);
    let bytes = fs::read(&path).unwrap();
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    // A disk that loses power leaves zeros; others add blank lines, or bytes that are not text.
    lines[2] = b"\0\0\0\0";
    lines[3] = b"\xff\xfe";
    lines.insert(3, b"");
    fs::write(&path, lines.join(&b'\n')).unwrap();

    let mut journal = open(out.path());
    assert_eq!((names(&journal), journal.unreadable()), (vec!["a".to_owned(), "d".to_owned()], 3));
    push(&mut journal, "b");
    drop(journal);
    assert_eq!(names(&open(out.path())), ["a", "d", "b"]);
}

#[test]
fn other_settings_are_refused_and_force_starts_over() {
    let out = tempfile::tempdir().unwrap();
    push(&mut open(out.path()), "a");
    let other = ScanSettings { score: 0.5, ..settings() };
    assert_eq!(refusal(out.path(), &other), "usage");
    assert_eq!(refusal(out.path(), &ScanSettings { max_detections: Some(300), ..settings() }), "usage");
    assert!(Journal::open(out.path(), &other, true).unwrap().is_empty());
    assert!(Journal::open(out.path(), &other, false).unwrap().is_empty());
}

#[test]
fn a_journal_of_an_earlier_version_is_left_as_it_is() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join(JOURNAL);
    let old = "{\"model\":\"abc\",\"score\":0.7,\"merge\":null}\n{\"image\":\"a\"}\n";
    fs::write(&path, old).unwrap();
    assert_eq!(refusal(out.path(), &settings()), "usage");
    assert_eq!(fs::read_to_string(&path).unwrap(), old);
}

#[cfg(unix)]
#[test]
fn two_scans_do_not_write_to_one_folder_at_a_time() {
    let out = tempfile::tempdir().unwrap();
    let mut journal = open(out.path());
    push(&mut journal, "a");
    assert_eq!(refusal(out.path(), &settings()), "usage");
    // Not even by force.
    assert!(Journal::open(out.path(), &settings(), true).is_err());
    assert_eq!(names(&journal), ["a"]);
    drop(journal);
    assert_eq!(names(&open(out.path())), ["a"]);
}

#[test]
fn images_of_one_name_are_told_apart_and_a_changed_file_is_done_again() {
    let out = tempfile::tempdir().unwrap();
    let mut journal = open(out.path());
    push(&mut journal, "a");
    push(&mut journal, "b");
    let (other, changed) = (source("/other/a.png", 1), source("/plate/a.png", 2));
    assert!(!journal.is_done(&other) && !journal.is_done(&changed));
    assert_eq!(name_for(&journal, "/other", "a", 1), pair("other/a", "other/a.png"));
    assert_eq!(name_for(&journal, "/plate", "a", 2), pair("a", "a.png"));
    journal.push(&image("other/a"), other.clone()).unwrap();
    journal.push(&image("a"), changed.clone()).unwrap();
    assert_eq!(name_for(&journal, "/3/other", "a", 1), pair("3/other/a", "3/other/a.png"));
    let check = |journal: &Journal| {
        assert!(journal.is_done(&other) && journal.is_done(&changed) && !is_done(journal, "a"));
        assert_eq!(names(journal), ["b", "other/a", "a"]);
    };
    check(&journal);
    drop(journal);
    check(&open(out.path()));
}

#[test]
fn a_name_in_another_form_of_unicode_is_the_same_name() {
    let out = tempfile::tempdir().unwrap();
    let mut journal = open(out.path());
    push(&mut journal, "caf\u{e9}");
    let (image, file) = name_for(&journal, "/other", "cafe\u{301}", 1);
    assert_eq!((image, file), pair("other/cafe\u{301}", "other/cafe\u{301}.png"));
    // What cannot be told apart by folders gets a number.
    let (image, _) = name_for(&journal, "", "cafe\u{301}", 1);
    assert_eq!(image, "cafe\u{301} (2)");
}

#[test]
fn a_reached_limit_is_remembered() {
    let out = tempfile::tempdir().unwrap();
    let mut journal = open(out.path());
    push(&mut journal, "a");
    let full = ImageDetections { limit_reached: Some(100), ..image("b") };
    journal.push(&full, source("/plate/b.png", 1)).unwrap();
    drop(journal);
    let journal = open(out.path());
    assert_eq!(journal.limited().collect::<Vec<_>>(), [("b", 100)]);
    assert_eq!(journal.images().map(|i| i.unwrap().limit_reached).collect::<Vec<_>>(), [None, Some(100)]);
}

/// Each image asks for a name; to go through all the earlier ones each time took minutes for a large plate.
#[test]
fn names_of_many_images_are_found_at_once() {
    let mut done = done::Done::default();
    let started = std::time::Instant::now();
    for i in 0..20_000 {
        let wanted = Called::new("a", &format!("{i}/a.png"), Path::new("/plate"));
        let place = source(&format!("/plate/{i}/a.png"), 1);
        let Called { image, file, .. } = done.name_for(&wanted, &place);
        done.add(&ImageDetections { image, file, ..Default::default() }, &place);
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn a_scan_keeps_the_bit_depth_that_it_was_begun_with() {
    let out = tempfile::tempdir().unwrap();
    assert_eq!(Journal::begun_with(out.path()), None);
    let deep = ScanSettings { bit_depth: BitDepth::new(12).ok(), ..settings() };
    push(&mut Journal::open(out.path(), &deep, false).unwrap(), "a");
    assert_eq!(Journal::begun_with(out.path()), Some(deep));
    assert_eq!(refusal(out.path(), &ScanSettings { bit_depth: BitDepth::new(14).ok(), ..settings() }), "usage");
}
