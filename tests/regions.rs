//! TIFF files of any size, read region by region: the samples are those of the whole file, whatever lies where.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use common::real_data;
use cytobox::channels::{Channel, Groups, LargeImage, Pages, RegionFile, Samples, decode};
use cytobox::files::find_images;
use image_files::{TiffPage, tiff};
use proptest::prelude::*;
use tiff::encoder::{Compression, Predictor, TiffEncoder, colortype};

fn samples(count: usize, seed: u32) -> Vec<u16> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u16).collect()
}

fn bytes_of(samples: &[u16], bits: u32, big: bool) -> Vec<u8> {
    match bits {
        16 if big => samples.iter().flat_map(|v| v.to_be_bytes()).collect(),
        16 => samples.iter().flat_map(|v| v.to_le_bytes()).collect(),
        _ => samples.iter().map(|v| *v as u8).collect(),
    }
}

/// A page of 75 × 53 pixels, in strips of `rows` or in tiles of 32 × 16.
fn page(bits: u32, per_pixel: u32, photometric: u32, planar: bool, rows: Option<u32>, big: bool) -> TiffPage {
    let (width, height) = (75u32, 53u32);
    let mut page = TiffPage::new(width, height, bits, per_pixel, photometric);
    if planar {
        page = page.tag(284, &[2]);
    }
    let (in_chunk, planes) = if planar { (1, per_pixel) } else { (per_pixel, 1) };
    match rows {
        Some(rows) => {
            page = page.tag(278, &[rows]);
            for plane in 0..planes {
                for y in (0..height).step_by(rows as usize) {
                    let count = rows.min(height - y) * width * in_chunk;
                    page = page.strip(bytes_of(&samples(count as usize, plane * 1000 + y), bits, big));
                }
            }
            page
        }
        None => {
            let tiles = planes * width.div_ceil(32) * height.div_ceil(16);
            let tile = |n| bytes_of(&samples((32 * 16 * in_chunk) as usize, n), bits, big);
            page.tiles(32, 16, (0..tiles).map(tile).collect())
        }
    }
}

/// Files of every layout, by what they are.
fn layouts() -> &'static [(String, Vec<u8>)] {
    static LAYOUTS: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    LAYOUTS.get_or_init(make_layouts)
}

fn make_layouts() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (bits, big) in [(8, false), (16, false), (16, true)] {
        for (per_pixel, photometric) in [(1, 1), (1, 0), (3, 2), (5, 1)] {
            for planar in [false, true] {
                for rows in [Some(1), Some(7), Some(53), None] {
                    let what = format!("{bits} bit {per_pixel} of {photometric} planar {planar} rows {rows:?} {big}");
                    files.push((what, tiff(&[page(bits, per_pixel, photometric, planar, rows, big)], big)));
                }
            }
        }
    }
    for (name, compression) in [
        ("deflate", Compression::Deflate(Default::default())),
        ("LZW", Compression::Lzw),
        ("PackBits", Compression::Packbits),
    ] {
        for predictor in [Predictor::None, Predictor::Horizontal] {
            let mut out = Cursor::new(Vec::new());
            let encoder = TiffEncoder::new_big(&mut out).unwrap();
            let mut encoder = encoder.with_compression(compression).with_predictor(predictor);
            let mut image = encoder.new_image::<colortype::RGB16>(70, 90).unwrap();
            image.rows_per_strip(11).unwrap();
            image.write_data(&samples(70 * 90 * 3, 5)).unwrap();
            files.push((format!("BigTIFF {name} {predictor:?}"), out.into_inner()));
        }
    }
    // Three channels as pages.
    let pages: Vec<TiffPage> = (0..3).map(|_| page(16, 1, 1, false, None, false)).collect();
    files.push(("pages".to_owned(), tiff(&pages, false)));
    files
}

fn open(folder: &Path, bytes: &[u8]) -> cytobox::Result<RegionFile> {
    let path = folder.join("a.tif");
    fs::write(&path, bytes).unwrap();
    RegionFile::open(&path, Pages::Channels)
}

/// Compares a region with the same place of the whole file.
fn compare(what: &str, whole: &cytobox::channels::Decoded, file: &mut RegionFile, [y, x, h, w]: [usize; 4]) {
    let [height, width] = file.size();
    let (y, x) = (y % height, x % width);
    let (h, w) = (1 + h % (height - y), 1 + w % (width - x));
    let region = file.region(y..y + h, x..x + w).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!((region.layout, region.planes.len()), (whole.layout, whole.planes.len()), "{what}");
    for (part, all) in region.planes.iter().zip(&whole.planes) {
        assert_eq!((part.width as usize, part.height as usize), (w, h), "{what}");
        for (row, column) in [(0, 0), (h - 1, w - 1), (h / 2, w / 3), (0, w - 1), (h - 1, 0)] {
            let (i, k) = (row * w + column, (y + row) * width + x + column);
            match (&part.samples, &all.samples) {
                (Samples::U8(a), Samples::U8(b)) => assert_eq!(a[i], b[k], "{what} {row} {column}"),
                (Samples::U16(a), Samples::U16(b)) => assert_eq!(a[i], b[k], "{what} {row} {column}"),
                (Samples::F32(a), Samples::F32(b)) => {
                    assert_eq!(a[i].to_bits(), b[k].to_bits(), "{what} {row} {column}")
                }
                _ => panic!("{what}: another depth"),
            }
        }
    }
}

#[test]
fn regions_are_those_of_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    for (what, bytes) in layouts() {
        let whole = decode("a.tif", bytes, Pages::Channels).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut file = open(folder.path(), bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
        for n in [0, 1, 17, 500, 977, 5000, 80_000] {
            compare(what, &whole, &mut file, [n / 3, n, n * 7, n * 11]);
        }
        let [height, width] = file.size();
        compare(what, &whole, &mut file, [0, 0, height - 1, width - 1]);
        assert!(file.region(height..height + 1, 0..1).is_err());
    }
}

#[test]
fn real_files_give_the_same_samples_both_ways() {
    let Some(data) = real_data() else { return };
    let mut compared = 0;
    for path in image_files::images_in(&data.join("tiff")) {
        let bytes = fs::read(&path).unwrap();
        let Ok(mut file) = RegionFile::open(&path, Pages::Channels) else { continue };
        let Ok(whole) = decode("a.tif", &bytes, Pages::Channels) else { continue };
        for n in [0, 3, 100, 4000, 77_777] {
            compare(&path.display().to_string(), &whole, &mut file, [n, n / 2, n * 3, n * 5]);
        }
        compared += 1;
    }
    assert!(compared >= 5, "{compared} files were compared");
}

#[test]
fn files_that_are_cut_short_or_claim_too_much_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for (_, bytes) in layouts().iter().step_by(5) {
        for end in (0..bytes.len()).step_by(37) {
            if let Ok(mut file) = open(folder.path(), &bytes[..end]) {
                let [height, width] = file.size();
                let _ = file.region(0..height, 0..width);
            }
            tried += 1;
        }
    }
    assert!(tried > 2000, "{tried}");
    // Four billion pixels in a strip of a hundred bytes, uncompressed and not.
    for compression in [1, 5, 8, 0x8005] {
        for (width, height) in [(u32::MAX, u32::MAX), (60_000, 60_000), (u32::MAX, 1)] {
            let page = TiffPage::new(width, height, 16, 3, 2).tag(259, &[compression]).tag(278, &[height]);
            let error = open(folder.path(), &tiff(&[page.strip(vec![7; 100])], false)).err().map(|e| e.to_string());
            assert!(error.is_some(), "{compression} {width} × {height}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files_do_not_panic(which in 0usize..100, places in prop::collection::vec((0usize..4000, any::<u8>()), 1..4)) {
        let files = layouts();
        let mut bytes = files[which % files.len()].1.clone();
        // Directories stand at the end.
        let length = bytes.len();
        for (place, byte) in places {
            bytes[if place % 4 == 0 { place % 8 } else { length - 1 - place % length.min(400) }] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        if let Ok(mut file) = open(folder.path(), &bytes) {
            let [height, width] = file.size();
            let _ = file.region(0..height.min(300), 0..width.min(300));
            let _ = file.region(height / 2..height.min(height / 2 + 50), width / 2..width);
        }
    }
}

#[test]
fn only_what_memory_does_not_take_is_read_in_regions() {
    let folder = tempfile::tempdir().unwrap();
    let find = |names: &[&str]| -> Groups {
        let paths: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
        find_images(&paths).unwrap().groups
    };
    // 9000 pixels are more than a side may have in memory.
    let page = |width: u32| TiffPage::new(width, 2, 8, 1, 1).strip(vec![9; width as usize * 2]);
    fs::write(folder.path().join("small.tif"), tiff(&[page(50)], false)).unwrap();
    fs::write(folder.path().join("wide.tif"), tiff(&[page(9000)], false)).unwrap();
    for (channel, width) in [("red", 9000), ("green", 9000), ("blue", 9000), ("yellow", 9000)] {
        fs::write(folder.path().join(format!("x_{channel}.tif")), tiff(&[page(width)], false)).unwrap();
    }
    let open = |groups: &Groups| LargeImage::open(&groups.images[0], vec![], Pages::Ask);
    assert!(open(&find(&["small.tif"])).unwrap().is_none());
    let wide = open(&find(&["wide.tif"])).unwrap().unwrap();
    assert_eq!(wide.size(), [2, 9000]);
    assert_eq!(wide.region(1..2, 8990..9000).unwrap().channels(), [Channel::Grey]);
    let set = find(&["x_red.tif", "x_green.tif", "x_blue.tif", "x_yellow.tif"]);
    let large = open(&set).unwrap().unwrap();
    let region = large.region(0..2, 10..20).unwrap();
    assert_eq!((region.channels(), region.size()), (Channel::HPA.to_vec(), (10, 2)));
    // In memory the sentence says who reads it.
    let error = decode("wide.tif", &tiff(&[page(9000)], false), Pages::Ask).unwrap_err();
    assert_eq!(error.code(), "too-large");
    assert!(error.to_string().contains("8192") && error.to_string().contains("cytobox detect"), "{error}");
    fs::write(folder.path().join("x_blue.tif"), tiff(&[page(8500)], false)).unwrap();
    assert_eq!(open(&set).err().map(|e| e.code()), Some("channel-mismatch"));
}
