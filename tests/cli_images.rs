//! Images on the command line: one brightness for a folder, and what is asked about.
#![cfg(not(target_arch = "wasm32"))]

mod image_files;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use cytobox::channels::{Pages, Samples, decode};
use image_files::{Png, TiffPage, tiff};

fn merge(folder: &Path, out: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.arg("merge").arg(folder).arg("--out").arg(out).args(options).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The first samples of a merged image in red.
fn first(path: &Path) -> u8 {
    match &decode("x.png", &fs::read(path).unwrap(), Pages::Ask).unwrap().planes[0].samples {
        Samples::U8(samples) => samples[0],
        Samples::U16(_) => panic!("16 bit"),
    }
}

#[test]
fn a_folder_of_16_bit_images_has_one_full_scale_reported_once() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let save = |name: &str, top: u16, hot: bool| {
        let mut samples = vec![top; 64 * 64];
        samples[99] = if hot { 65_535 } else { top };
        fs::write(folder.path().join(name), Png::new(64, 64, 16, 0).file(&samples)).unwrap();
    };
    save("a.png", 800, false);
    save("b.png", 800, true);
    save("c.png", 4000, false);
    let value = |name: &str| first(&out.path().join(name));
    let done = merge(folder.path(), out.path(), &[]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!([value("a.png"), value("b.png"), value("c.png")], [50, 50, 249], "800 and 4000 of 4095");
    assert_eq!(stderr(&done).matches("full brightness").count(), 1, "{}", stderr(&done));

    let done = merge(folder.path(), out.path(), &["--bit-depth", "16"]);
    assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));
    assert_eq!(value("c.png"), 16);
    let done = merge(folder.path(), out.path(), &["--bit-depth", "10"]);
    assert!(stderr(&done).contains("c: its samples exceed 1023"), "{}", stderr(&done));
    assert!(!merge(folder.path(), out.path(), &["--bit-depth", "17"]).status.success());
}

#[test]
fn pages_without_a_description_need_the_users_word() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = |v| TiffPage::new(2, 1, 8, 1, 1).strip(vec![v; 2]);
    fs::write(folder.path().join("x.tif"), tiff(&[page(200), page(0), page(0)], false)).unwrap();
    let refused = merge(folder.path(), out.path(), &[]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("--pages channels"), "{}", stderr(&refused));
    let done = merge(folder.path(), out.path(), &["--pages", "channels"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(first(&out.path().join("x.png")), 200);
}
