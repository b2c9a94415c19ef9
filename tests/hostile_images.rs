//! Damaged and malicious image files: an error or an image, never a panic and never a huge allocation.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::io::Cursor;

use common::real_data;
use cytobox::Result;
use cytobox::channels::{
    self, Channel, Decoded, FileHead, FileKind, Pages, ReadOptions, assemble, group, sniff, sniff_named,
};
use image_files::{Png, TiffPage, images_in, pack, tiff};
use proptest::prelude::*;
use tiff::encoder::{Compression, TiffEncoder, colortype};

/// Remembers the largest allocation of each thread, so of each test.
struct CountingAllocator;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that ends may allocate when its variables are gone.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        note(memory.size());
        unsafe { System.alloc(memory) }
    }
    unsafe fn alloc_zeroed(&self, memory: Memory) -> *mut u8 {
        note(memory.size());
        unsafe { System.alloc_zeroed(memory) }
    }
    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        unsafe { System.dealloc(at, memory) }
    }
    unsafe fn realloc(&self, at: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        note(size);
        unsafe { System.realloc(at, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Pages that say nothing of themselves are channels here.
fn decode(name: &str, bytes: &[u8]) -> Result<Decoded> {
    channels::decode(name, bytes, Pages::Channels)
}

/// The files here have some kilobytes, so no allocation may be large, whatever they claim.
fn assert_little_memory(bytes: &[u8]) {
    let largest = LARGEST.get();
    assert!(largest < 64 << 20, "one allocation had {} MiB: {}", largest >> 20, bytes.escape_ascii());
}

/// Small valid files of all kinds.
fn valid() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let ramp =
        |count: usize, bits: u8| -> Vec<u16> { (0..count as u32).map(|i| (i * 40_503 % (1 << bits)) as u16).collect() };
    let palette: Vec<u8> = (0..48).map(|i| i * 5).collect();
    for (colour, bits) in [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 4), (4, 8), (4, 16), (6, 8), (6, 16)] {
        for interlaced in [false, true] {
            let palette: &[u8] = if colour == 3 { &palette } else { &[] };
            let png = Png { interlaced, palette, ..Png::new(19, 17, bits, colour) };
            files.push((format!("png {colour} {bits} {interlaced}"), png.file(&ramp(19 * 17 * png.samples(), bits))));
        }
    }
    // Compressed, which stored blocks are not.
    let grey = image::ImageBuffer::from_fn(40, 30, |x, y| image::Luma([(x * 1500 + y) as u16]));
    let mut file = Cursor::new(Vec::new());
    grey.write_to(&mut file, image::ImageFormat::Png).unwrap();
    files.push(("png of image".to_owned(), file.into_inner()));
    for (kind, samples) in [(image::ExtendedColorType::L8, 1), (image::ExtendedColorType::Rgb8, 3)] {
        let mut file = Vec::new();
        let bytes: Vec<u8> = ramp(24 * 20 * samples, 8).iter().map(|v| *v as u8).collect();
        image::codecs::jpeg::JpegEncoder::new(&mut file).encode(&bytes, 24, 20, kind).unwrap();
        files.push((format!("jpeg {samples}"), file));
    }
    for (what, compression) in [
        ("none", Compression::Uncompressed),
        ("lzw", Compression::Lzw),
        ("deflate", Compression::Deflate(Default::default())),
        ("packbits", Compression::Packbits),
    ] {
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file).unwrap().with_compression(compression);
        encoder.write_image::<colortype::RGB16>(20, 15, &ramp(20 * 15 * 3, 16)).unwrap();
        encoder.write_image::<colortype::Gray8>(0x20, 1, &[7; 32]).unwrap();
        files.push((format!("tiff {what}"), file.into_inner()));
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new_big(&mut file).unwrap().with_compression(compression);
        encoder.write_image::<colortype::Gray16>(20, 15, &ramp(20 * 15, 16)).unwrap();
        files.push((format!("bigtiff {what}"), file.into_inner()));
    }
    let tile = || pack(&ramp(256, 8), 8, false);
    let planar = TiffPage::new(20, 18, 8, 3, 1).tag(284, &[2]).tag(338, &[0, 0]);
    files.push(("planar tiles".to_owned(), tiff(&[planar.tiles(16, 16, (0..12).map(|_| tile()).collect())], true)));
    let map: Vec<u32> = (0..48).map(|i| i * 1000).collect();
    let indexed = TiffPage::new(20, 4, 4, 1, 3).tag(320, &map).strip(pack(&ramp(80, 4), 4, false));
    files.push(("packed".to_owned(), tiff(&[TiffPage::new(9, 9, 12, 1, 1).strip(vec![0x5a; 9 * 14])], true)));
    files.push(("palette".to_owned(), tiff(&[indexed], false)));
    let page = || TiffPage::new(9, 9, 1, 1, 0).strip(vec![0x5a; 18]);
    files.push(("pages".to_owned(), tiff(&[page(), page(), page()], false)));
    // Descriptions of every kind, and a stack behind one directory.
    let text = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
    for description in [
        "<OME xmlns='x'><Pixels SizeC='3' SizeZ='1' SizeT='1'><Channel Color='255'/><TiffData IFD='1' FirstC='2'/></Pixels>\0",
        "ImageJ=1.53\nimages=3\nchannels=3\n\0",
        "{\"shape\": [3, 9, 9], \"axes\": \"CYX\"}\0",
    ] {
        let described = page().tag(270, &text(description)).tag(50_838, &[12, 768]).tag(50_839, &[7; 200]);
        files.push((format!("described {description}"), tiff(&[described, page(), page()], false)));
    }
    let folded =
        TiffPage::new(9, 9, 8, 1, 1).tag(270, &text("ImageJ=1.53\nimages=3\nchannels=3\n\0")).strip(vec![3; 243]);
    files.push(("planes behind one directory".to_owned(), tiff(&[folded], false)));
    files
}

/// As one channel of a set and as an image by itself: the two ways in which files come.
fn feed(bytes: &[u8]) {
    LARGEST.set(0);
    let by_itself = decode("x.png", bytes);
    let options = ReadOptions { fill: &Channel::HPA, pages: Pages::Channels, ..ReadOptions::default() };
    let set = assemble("x", &[(Some(Channel::Green), "x_green.png".to_owned(), bytes)], &options);
    if let Ok(decoded) = by_itself {
        let plane = &decoded.planes[0];
        assert!(decoded.planes.iter().all(|p| p.samples.len() == plane.width as usize * plane.height as usize));
        assert!(set.is_ok() || decoded.planes.len() > 1, "{set:?}");
    }
    sniff(&bytes[..bytes.len().min(64)]);
    assert_little_memory(bytes);
}

#[test]
fn the_valid_ones_are_valid() {
    for (what, bytes) in valid() {
        // Of the two TIFF pages, the second has another size.
        assert!(decode(&what, &bytes).is_ok() || what.starts_with("tiff "), "{what}");
    }
}

#[test]
fn truncations() {
    let mut count = 0;
    for (what, bytes) in valid() {
        for cut in (0..bytes.len()).step_by(37).chain(bytes.len().saturating_sub(40)..bytes.len()) {
            feed(&bytes[..cut]);
            count += 1;
        }
        for cut in [1, bytes.len() / 4, bytes.len() / 2] {
            assert!(decode(&what, &bytes[..cut]).is_err(), "{what} cut at {cut} of {} was taken", bytes.len());
        }
    }
    println!("{count} truncations");
}

#[test]
fn every_bit_of_the_heads_flipped() {
    for (_, bytes) in valid() {
        for at in 0..bytes.len().min(100) {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                feed(&bytes);
            }
        }
        // TIFF directories stand at the end.
        for at in bytes.len().saturating_sub(250)..bytes.len() {
            for bit in [0, 3, 7] {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                feed(&bytes);
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_png_data_is_never_accepted_silently() {
    let png = &valid()[2].1;
    let whole = decode("x.png", png).unwrap();
    for at in 41..png.len() - 12 {
        let mut bytes = png.clone();
        bytes[at] ^= 4;
        if let Ok(decoded) = decode("x.png", &bytes) {
            assert_eq!(decoded.planes, whole.planes, "byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn flipped_bits(which in 0usize..1000, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..12)) {
        let files = VALID.with(Clone::clone);
        let mut bytes = files[which % files.len()].1.clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        feed(&bytes);
    }

    #[test]
    fn overwritten_numbers(which in 0usize..1000, at in any::<prop::sample::Index>(), value in prop::sample::select(vec![
        0u32, 1, 2, 3, 0x7f, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
    ]), wide in any::<bool>(), little in any::<bool>()) {
        let files = VALID.with(Clone::clone);
        let mut bytes = files[which % files.len()].1.clone();
        let at = at.index(bytes.len() - 4);
        let number = if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let number = if wide { &number[..] } else { &number[..2] };
        bytes[at..at + number.len()].copy_from_slice(number);
        feed(&bytes);
    }

    #[test]
    fn noise_behind_magic(magic in 0usize..5, noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let magic: &[u8] = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"\xff\xd8\xff" as &[u8], b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""][magic];
        feed(&[magic, &noise].concat());
    }

    #[test]
    fn any_names(names in prop::collection::vec(("[ab/\\\\_.éR]{0,6}(_red|_GREEN|_mask|_label)?(\\.png|\\.tif|\\.xml|)", 0u8..5), 0..30)) {
        let kinds = [FileKind::Png, FileKind::Jpeg, FileKind::Unknown, FileKind::Xml, FileKind::Zip];
        let heads: Vec<FileHead> =
            names.into_iter().map(|(name, kind)| FileHead { name, kind: kinds[usize::from(kind)] }).collect();
        let groups = group(&heads);
        let mut stems: Vec<_> = groups.images.iter().map(|i| &i.name).collect();
        stems.sort();
        stems.dedup();
        prop_assert_eq!(stems.len(), groups.images.len(), "names are not unique");
        let listed: usize = groups.images.iter().map(|i| i.files.len() + usize::from(i.mask.is_some())).sum();
        let elsewhere = groups.annotations.len() + groups.projects.len() + groups.ignored.len();
        let named: usize = groups.images.iter().flat_map(|i| &i.problems).filter(|p| ["broken-file", "mask-lossy", "mask-double"].contains(&&*p.code)).count();
        prop_assert!(listed + elsewhere <= heads.len());
        prop_assert!(listed + elsewhere == heads.len() || named > 0, "a file was lost");
        prop_assert_eq!(serde_json::from_str::<cytobox::channels::Groups>(&serde_json::to_string(&groups).unwrap()).unwrap(), groups);
    }
}

thread_local! {
    static VALID: std::rc::Rc<Vec<(String, Vec<u8>)>> = std::rc::Rc::new(valid());
}

#[test]
fn huge_and_zero_dimensions() {
    let code = |bytes: &[u8]| {
        LARGEST.set(0);
        let error = decode("x", bytes).unwrap_err();
        assert_little_memory(bytes);
        error.code()
    };
    for (w, h, expected) in [
        (0, 5, "image"),
        (5, 0, "image"),
        (8193, 1, "too-large"),
        (u32::MAX, u32::MAX, "too-large"),
        (0x8000_0000, 1, "too-large"),
        // Within the caps, but the file is too short for it by far.
        (8192, 8192, "image"),
    ] {
        let mut png = Png::new(1, 1, 8, 0).file(&[1]);
        png[16..24].copy_from_slice(&[w.to_be_bytes(), h.to_be_bytes()].concat());
        assert_eq!(code(&png), expected, "png {w} × {h}");
        let page = TiffPage::new(w, h, 16, 8, 1).tag(338, &[0; 7]).strip(vec![1]);
        let found = code(&tiff(&[page], false));
        assert!(found == expected || (w, h) == (8192, 8192), "tiff {w} × {h}: {found}");
    }
    let mut jpeg = valid().into_iter().find(|(what, _)| what == "jpeg 3").unwrap().1;
    let at = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[at + 5..at + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(code(&jpeg), "too-large");
    jpeg[at + 5..at + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert_eq!(code(&jpeg), "image");
    jpeg[at + 5..at + 9].copy_from_slice(&[0, 0, 0, 9]);
    assert_eq!(code(&jpeg), "image");

    // Tiles larger than any image, and a thousand samples.
    let tiles = TiffPage::new(4, 4, 8, 1, 1).tiles(1 << 30, 1 << 30, vec![vec![0; 16]]);
    assert_eq!(code(&tiff(&[tiles], false)), "image");
    let samples = TiffPage::new(1, 1, 8, 1000, 1).strip(vec![0; 1000]);
    assert_eq!(code(&tiff(&[samples], false)), "too-large");
}

#[test]
fn a_directory_that_points_to_itself() {
    let mut file = tiff(&[TiffPage::new(1, 1, 8, 1, 1).strip(vec![9])], false);
    let first: [u8; 4] = file[4..8].try_into().unwrap();
    let end = file.len();
    file[end - 4..].copy_from_slice(&first);
    assert!(decode("x.tif", &file).is_err());
}

#[test]
fn wrong_magic_empty_files_and_garbage_behind() {
    for bytes in [&b""[..], b"\x89", b"\xff\xd8", b"II", b"GIF89a", b"BM", b"%PDF-1.7", &[0; 100], b"\x89PNG\n\x1a\n"] {
        assert_eq!(decode("x.png", bytes).unwrap_err().code(), "image", "{}", bytes.escape_ascii());
    }
    for (what, mut bytes) in valid() {
        let before = decode(&what, &bytes);
        bytes.extend(b"garbage behind the image".repeat(9));
        assert_eq!(decode(&what, &bytes), before, "{what}");
    }
}

/// Real files, cut at every 37th byte; large ones more coarsely, and decoding of what is left must be an error or
/// leave the size as it was.
#[test]
fn real_files_truncated() {
    let Some(data) = real_data() else { return };
    let mut files: Vec<_> = images_in(&data.join("tiff"));
    files.extend(images_in(&data.join("incomplete")).into_iter().step_by(5));
    files.extend(images_in(&data.join("bccd/JPEGImages")).into_iter().take(2));
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let step = (bytes.len() / 37 / 20).max(1) * 37;
        for cut in (0..bytes.len() - 2).step_by(step) {
            let cut_off = decode(&name, &bytes[..cut]);
            if name.ends_with(".jpg") || name.starts_with("57_") {
                assert!(cut_off.is_err(), "{name} cut at {cut} was taken");
            }
        }
        assert_eq!(sniff_named(&name, &bytes[..64]), sniff(&bytes));
    }
}
