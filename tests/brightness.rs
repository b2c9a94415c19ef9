//! What counts as full brightness in 16-bit images: one rule for a set, which no single pixel decides.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use common::real_data;
use cytobox::channels::{BitDepth, Channel, ChannelSet, Merge, ReadOptions, assemble, depth_of, merge};
use image_files::{Png, TiffPage, chunk, pack, tiff};

const SIDE: usize = 64;

/// A cell of brightness `top` on a dark ground, and one pixel that may be hot.
fn samples(top: u16, hot: Option<u16>) -> Vec<u16> {
    let mut samples: Vec<u16> = (0..SIDE * SIDE).map(|i| if i % SIDE > 40 { top } else { 90 }).collect();
    samples[7] = hot.unwrap_or(samples[7]);
    samples
}

fn png(top: u16, hot: Option<u16>) -> Vec<u8> {
    Png::new(SIDE as u32, SIDE as u32, 16, 0).file(&samples(top, hot))
}

fn page(top: u16) -> TiffPage {
    TiffPage::new(SIDE as u32, SIDE as u32, 16, 1, 1).strip(pack(&samples(top, None), 16, false))
}

fn named(bytes: Vec<u8>) -> [(Option<Channel>, String, Vec<u8>); 1] {
    [(None, "x.tif".to_owned(), bytes)]
}

fn asked(bytes: Vec<u8>) -> Option<u8> {
    depth_of("x", &named(bytes), &ReadOptions::default()).unwrap().map(BitDepth::bits)
}

fn read(bytes: Vec<u8>, bits: u8) -> ChannelSet {
    let options = ReadOptions { depth: BitDepth::new(bits).ok(), ..ReadOptions::default() };
    assemble("x", &named(bytes), &options).unwrap()
}

#[test]
fn one_hot_pixel_changes_nothing_but_itself() {
    for hot in [4500, 65_535] {
        assert_eq!(asked(png(1120, Some(hot))), asked(png(1120, None)));
        let picture = |hot| {
            let set = assemble("x", &named(png(1120, hot)), &ReadOptions::default()).unwrap();
            merge(&set, &Merge::for_set(&set)).unwrap().rgb
        };
        let differ = picture(None).iter().zip(&picture(Some(hot))).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 3, "three colours of one pixel");
    }
    assert_eq!([900, 4080, 4096, 40_000].map(|top| asked(png(top, None))), [10, 12, 14, 16].map(Some));
}

#[test]
fn images_of_one_set_have_one_scale_and_what_goes_beyond_it_is_named() {
    let dim = read(png(300, None), 12);
    let bright = read(png(4000, None), 12);
    assert_eq!((dim.white, bright.white), (4095, 4095));
    assert_eq!((dim.warnings.len(), bright.warnings.len()), (0, 0));
    let other = read(png(40_000, None), 12);
    assert_eq!(other.white, 4095);
    assert!(other.warnings[0].starts_with("x: its samples exceed 4095"), "{:?}", other.warnings);
    assert_eq!(merge(&other, &Merge::for_set(&other)).unwrap().rgb[60 * 3], 1.0, "clipped");
    // 8-bit images have one scale only.
    let grey = read(Png::new(2, 1, 8, 0).file(&[3, 255]), 12);
    assert_eq!((grey.white, grey.own_depth), (255, None));
    assert_eq!(asked(Png::new(2, 1, 8, 0).file(&[3, 255])), None);
}

#[test]
fn the_bit_depth_that_a_file_states_counts() {
    let text = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
    let ome = "<OME><Image><Pixels SizeC='1' SizeZ='1' SizeT='1' SignificantBits='12'/></Image></OME>\0";
    for page in [
        page(700).tag(270, &text(ome)),
        page(700).tag(281, &[4095]),
        page(700).tag(341, &[4095]),
        page(700).tag(51_123, &text("{\"BitDepth\": 12, \"Slice\": 0}\0")),
    ] {
        assert_eq!(asked(tiff(&[page], false)), Some(12));
    }
    // What the file type holds anyway, a measured maximum, and what the samples contradict.
    assert_eq!(asked(tiff(&[page(700).tag(281, &[65_535])], false)), Some(10));
    assert_eq!(asked(tiff(&[page(700).tag(281, &[700])], false)), Some(10));
    assert_eq!(asked(tiff(&[page(30_000).tag(281, &[4095])], false)), Some(16));

    let mut significant = Vec::new();
    chunk(&mut significant, b"sBIT", &[12]);
    let with_chunk = |png: Vec<u8>| [&png[..33], &significant, &png[33..]].concat();
    assert_eq!(asked(with_chunk(png(700, None))), Some(12));
    assert_eq!(asked(with_chunk(png(65_520, None))), Some(16), "spread over all bits, as PNG asks for");
}

#[test]
fn real_images_of_a_dim_camera() {
    let Some(data) = real_data() else { return };
    let folder = data.join("field/01-hot-pixel-changes-brightness/18b-dim-camera-hot-pixel");
    let files = ["f1_no_hot_pixel_max1120.tif", "f2_one_hot_pixel_4500.tif", "f3_one_hot_pixel_65535.tif"];
    let found: Vec<_> = files.iter().filter_map(|file| std::fs::read(folder.join(file)).ok()).map(asked).collect();
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
}
