//! Every kind of image file that is read.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use std::io::Cursor;

use common::real_data;
use cytobox::Result;
use cytobox::channels::{self, Decoded, FileKind, Layout, Pages, Plane, Samples};
use image_files::{Png, TiffPage, images_in, pack, tiff};
use tiff::encoder::{Compression, TiffEncoder, colortype};
use tiff::tags::Predictor;

/// Pages that say nothing of themselves are channels here.
fn decode(name: &str, bytes: &[u8]) -> Result<Decoded> {
    channels::decode(name, bytes, Pages::Channels)
}

fn u8s(plane: &Plane) -> &[u8] {
    let Samples::U8(v) = &plane.samples else { panic!("not 8 bit") };
    v
}

fn u16s(plane: &Plane) -> &[u16] {
    let Samples::U16(v) = &plane.samples else { panic!("not 16 bit") };
    v
}

fn wide(plane: &Plane) -> Vec<u16> {
    match &plane.samples {
        Samples::U8(v) => v.iter().map(|v| u16::from(*v)).collect(),
        Samples::U16(v) => v.clone(),
        Samples::F32(_) => panic!("not 8 or 16 bit"),
    }
}

/// Different numbers that fit the bits.
fn ramp(count: usize, bits: u8) -> Vec<u16> {
    (0..count as u32).map(|i| (i * 40_503 % (1 << bits)) as u16).collect()
}

#[test]
fn every_png_colour_type_and_depth() {
    let palette: Vec<u8> = (0..=255u8).flat_map(|i| [i, 255 - i, i / 2]).collect();
    for (colour, depths) in
        [(0, &[1, 2, 4, 8, 16][..]), (2, &[8, 16]), (3, &[1, 2, 4, 8]), (4, &[8, 16]), (6, &[8, 16])]
    {
        for &bits in depths {
            for interlaced in [false, true] {
                let mut png = Png { interlaced, ..Png::new(13, 11, bits, colour) };
                if colour == 3 {
                    png.palette = &palette[..3 << bits];
                }
                let samples = ramp(13 * 11 * png.samples(), bits);
                let decoded = decode("a.png", &png.file(&samples)).unwrap();
                let what = format!("colour {colour}, {bits} bit, interlaced {interlaced}");
                let keep = if matches!(colour, 0 | 4) { 1 } else { 3 };
                assert_eq!(decoded.planes.len(), keep, "{what}");
                assert_eq!(decoded.layout, if keep == 1 { Layout::Grey } else { Layout::Rgb }, "{what}");
                assert_eq!(decoded.warnings.len(), usize::from(colour >= 4), "{what}: {:?}", decoded.warnings);
                for (c, plane) in decoded.planes.iter().enumerate() {
                    assert_eq!(plane.samples.bits(), if bits == 16 { 16 } else { 8 }, "{what}");
                    let spread = if bits < 8 { 255 / ((1 << bits) - 1) } else { 1 };
                    let expected: Vec<u16> = match colour {
                        3 => samples.iter().map(|i| palette[usize::from(*i) * 3 + c].into()).collect(),
                        _ => samples.chunks(png.samples()).map(|p| p[c] * spread).collect(),
                    };
                    assert_eq!(wide(plane), expected, "{what}, plane {c}");
                }
            }
        }
    }
}

#[test]
fn a_grey_palette_is_grey_and_a_transparent_colour_is_reported() {
    let palette: Vec<u8> = (0..4u8).flat_map(|i| [i * 80; 3]).collect();
    let png = Png { palette: &palette, ..Png::new(4, 1, 2, 3) };
    let decoded = decode("a.png", &png.file(&[3, 0, 1, 2])).unwrap();
    assert_eq!((decoded.layout, u8s(&decoded.planes[0])), (Layout::Grey, &[240, 0, 80, 160][..]));

    let png = Png { transparent: &[0, 7], ..Png::new(2, 1, 8, 0) };
    let decoded = decode("a.png", &png.file(&[7, 9])).unwrap();
    assert_eq!(u8s(&decoded.planes[0]), [7, 9]);
    assert!(decoded.warnings[0].contains("a.png: its alpha channel"));
}

#[test]
fn png_files_of_the_image_crate() {
    let grey = image::ImageBuffer::from_fn(40, 30, |x, y| image::Luma([(x * 1500 + y) as u16]));
    let mut file = Cursor::new(Vec::new());
    grey.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let decoded = decode("a.png", file.get_ref()).unwrap();
    assert_eq!(u16s(&decoded.planes[0]), grey.as_raw());
}

#[test]
fn jpeg_grey_and_colour() {
    let encode = |samples: &[u8], kind| {
        let mut file = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 100).encode(samples, 16, 16, kind).unwrap();
        file
    };
    let grey: Vec<u8> = (0..=255).collect();
    let decoded = decode("really.png", &encode(&grey, image::ExtendedColorType::L8)).unwrap();
    assert_eq!((decoded.kind, decoded.layout), (FileKind::Jpeg, Layout::Grey));
    assert!(u8s(&decoded.planes[0]).iter().zip(&grey).all(|(a, b)| a.abs_diff(*b) <= 2));

    let red = [200u8, 20, 40].repeat(256);
    let decoded = decode("a.jpg", &encode(&red, image::ExtendedColorType::Rgb8)).unwrap();
    assert_eq!(decoded.layout, Layout::Rgb);
    for (plane, expected) in decoded.planes.iter().zip([200u8, 20, 40]) {
        assert!(u8s(plane).iter().all(|v| v.abs_diff(expected) <= 3));
    }
}

/// A camera that stops before the end marker has written the whole image; a file that was cut has not.
#[test]
fn a_jpeg_without_its_end_marker_is_read_and_a_cut_one_is_not() {
    let merged_image: Vec<u8> = (0..96 * 80 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (kind, samples) in [(image::ExtendedColorType::L8, 1), (image::ExtendedColorType::Rgb8, 3)] {
        let mut file = Vec::new();
        let merged_image = &merged_image[..96 * 80 * samples];
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 90).encode(merged_image, 96, 80, kind).unwrap();
        let whole = decode("a.jpg", &file).unwrap();
        assert_eq!(whole.warnings, [""; 0]);
        let data = file.len() - 2;
        // Without the marker, with half of it, and with zeros of a file system in its place.
        for end in [file[..data].to_vec(), file[..data + 1].to_vec(), [&file[..data], &[0; 5000]].concat()] {
            let read = decode("a.jpg", &end).unwrap();
            assert_eq!(read.planes, whole.planes);
            assert_eq!(read.warnings, ["a.jpg: the file lacks its end marker, but all of its image is there"]);
        }
        for lost in [3, 10, 50, 200, file.len() / 2] {
            for end in [file[..data - lost].to_vec(), [&file[..data - lost], &[0; 5000]].concat()] {
                let read = decode("a.jpg", &end);
                assert!(read.is_err(), "{lost} bytes of {samples} samples are missing, and it was taken");
            }
        }
    }
}

#[test]
fn tiff_compressions_and_predictors() {
    let samples = ramp(30 * 20 * 3, 16);
    let bytes: Vec<u8> = samples.iter().map(|v| *v as u8).collect();
    for (what, compression) in [
        ("none", Compression::Uncompressed),
        ("lzw", Compression::Lzw),
        ("deflate", Compression::Deflate(Default::default())),
        ("packbits", Compression::Packbits),
    ] {
        for predictor in [Predictor::None, Predictor::Horizontal] {
            let encode = |deep: bool| {
                let mut file = Cursor::new(Vec::new());
                let encoder = TiffEncoder::new(&mut file).unwrap();
                let mut encoder = encoder.with_compression(compression).with_predictor(predictor);
                if deep {
                    encoder.write_image::<colortype::RGB16>(30, 20, &samples).unwrap();
                } else {
                    encoder.write_image::<colortype::Gray8>(30, 60, &bytes).unwrap();
                }
                file.into_inner()
            };
            let decoded = decode("a.tif", &encode(true)).unwrap();
            assert_eq!(decoded.layout, Layout::Rgb);
            for (c, plane) in decoded.planes.iter().enumerate() {
                let expected: Vec<u16> = samples.chunks(3).map(|p| p[c]).collect();
                assert_eq!(u16s(plane), expected, "{what}, {predictor:?}, plane {c}");
            }
            assert_eq!(u8s(&decode("a.tif", &encode(false)).unwrap().planes[0]), bytes);
        }
    }
}

#[test]
fn bigtiff_with_inverted_samples() {
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new_big(&mut file).unwrap().write_image::<colortype::Gray16>(3, 1, &[1, 2, 65535]).unwrap();
    assert_eq!(u16s(&decode("a.tif", file.get_ref()).unwrap().planes[0]), [1, 2, 65535]);
    // The photometric interpretation, tag 262, becomes WhiteIsZero.
    let mut bytes = file.into_inner();
    let at = bytes.windows(4).position(|w| w == [6, 1, 3, 0]).unwrap();
    bytes[at + 12] = 0;
    assert_eq!(u16s(&decode("a.tif", &bytes).unwrap().planes[0]), [65534, 65533, 0]);
}

/// One to eight channels, chunky, planar and as pages, in strips and in tiles that reach over the edges, in both byte
/// orders.
#[test]
fn tiff_channels_in_every_arrangement() {
    let (w, h) = (37usize, 21usize);
    for channels in 1..=8usize {
        for bits in [8u8, 16] {
            let planes: Vec<Vec<u16>> =
                (0..channels).map(|c| ramp((c + 1) * w * h, bits).split_off(c * w * h)).collect();
            let mixed: Vec<u16> = (0..w * h).flat_map(|i| planes.iter().map(move |p| p[i])).collect();
            for big_endian in [false, true] {
                let strips = |samples: &[u16], per_pixel: usize| -> Vec<Vec<u8>> {
                    samples.chunks(8 * w * per_pixel).map(|s| pack(s, bits, big_endian)).collect()
                };
                let tiles = |samples: &[u16], per_pixel: usize| -> Vec<Vec<u8>> {
                    let tile = |tx: usize, ty: usize| {
                        let sample = |y: usize, x: usize, c: usize| {
                            let inside = ty * 16 + y < h && tx * 16 + x < w;
                            if inside { samples[((ty * 16 + y) * w + tx * 16 + x) * per_pixel + c] } else { 77 }
                        };
                        let all: Vec<u16> = (0..16 * 16 * per_pixel)
                            .map(|i| sample(i / per_pixel / 16, i / per_pixel % 16, i % per_pixel))
                            .collect();
                        pack(&all, bits, big_endian)
                    };
                    (0..h.div_ceil(16))
                        .flat_map(|ty| (0..w.div_ceil(16)).map(move |tx| (tx, ty)))
                        .map(|(x, y)| tile(x, y))
                        .collect()
                };
                let page = |samples: usize| {
                    TiffPage::new(w as u32, h as u32, bits.into(), samples as u32, 1)
                        .tag(338, &vec![0; samples - 1])
                        .tag(278, &[8])
                };
                let with = |mut page: TiffPage, chunks: Vec<Vec<u8>>| {
                    page.chunks = chunks;
                    page
                };
                let planar = |samples: usize| page(samples).tag(284, &[2]);
                let files = [
                    ("chunky strips", vec![with(page(channels), strips(&mixed, channels))]),
                    ("planar strips", vec![with(planar(channels), planes.iter().flat_map(|p| strips(p, 1)).collect())]),
                    ("chunky tiles", vec![page(channels).tiles(16, 16, tiles(&mixed, channels))]),
                    (
                        "planar tiles",
                        vec![planar(channels).tiles(16, 16, planes.iter().flat_map(|p| tiles(p, 1)).collect())],
                    ),
                    ("pages", planes.iter().map(|p| with(page(1), strips(p, 1))).collect()),
                ];
                for (what, pages) in files {
                    let what = format!("{what}, {channels} channels, {bits} bit, big endian {big_endian}");
                    let decoded = decode("a.tif", &tiff(&pages, big_endian)).unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!(decoded.planes.iter().map(wide).collect::<Vec<_>>(), planes, "{what}");
                    assert_eq!(decoded.layout, if channels == 1 { Layout::Grey } else { Layout::Channels }, "{what}");
                }
            }
        }
    }
}

#[test]
fn tiff_palettes_few_bits_and_alpha() {
    let one = |page: TiffPage| decode("a.tif", &tiff(&[page], false)).unwrap();
    let map = [[0, 0xffff, 0x8080, 0x4040], [0, 0x1010, 0x2020, 0x3030], [0, 0xfefe, 0, 0x101]].concat();
    let decoded = one(TiffPage::new(5, 1, 2, 1, 3).tag(320, &map).strip(pack(&[0, 1, 2, 3, 1], 2, false)));
    assert_eq!(decoded.layout, Layout::Rgb);
    assert_eq!(u8s(&decoded.planes[0]), [0, 255, 128, 64, 255]);
    assert_eq!(u8s(&decoded.planes[1]), [0, 16, 32, 48, 16]);
    assert_eq!(u8s(&decoded.planes[2]), [0, 254, 0, 1, 254]);

    for bits in [1u8, 2, 4] {
        let samples = ramp(11 * 3, bits);
        let top = (1 << bits) - 1;
        for (photometric, invert) in [(1, false), (0, true)] {
            let packed = samples.chunks(11).flat_map(|row| pack(row, bits, false)).collect();
            // Writers without strips in mind say 2³² - 1 rows.
            let page = TiffPage::new(11, 3, bits.into(), 1, photometric).tag(278, &[u32::MAX]).strip(packed);
            let expected: Vec<u8> =
                samples.iter().map(|v| (if invert { top - v } else { *v } * (255 / top)) as u8).collect();
            assert_eq!(u8s(&one(page).planes[0]), expected, "{bits} bit, photometric {photometric}");
        }
    }

    let rgba = TiffPage::new(1, 1, 8, 4, 2).strip(vec![1, 2, 3, 4]);
    let decoded = one(rgba.tag(338, &[2]));
    assert_eq!((decoded.planes.len(), decoded.warnings.len()), (3, 1));
    let five = one(TiffPage::new(1, 1, 8, 5, 2).tag(338, &[0, 0]).strip(vec![1, 2, 3, 4, 5]));
    assert_eq!((five.layout, five.planes.len(), five.warnings.len()), (Layout::Channels, 5, 0));
    let grey = one(TiffPage::new(1, 1, 8, 2, 1).tag(338, &[1]).strip(vec![9, 4]));
    assert_eq!((grey.layout, u8s(&grey.planes[0])), (Layout::Grey, &[9][..]));
}

#[test]
fn what_a_tiff_cannot_be() {
    let says = |pages: &[TiffPage], words: &str| {
        let error = decode("a.tif", &tiff(pages, false)).unwrap_err().to_string();
        assert!(error.contains(words), "“{error}” lacks “{words}”");
    };
    let page = |w: u32| TiffPage::new(w, 1, 8, 1, 1).strip(vec![5; w as usize]);
    says(&[page(3), page(4)], "page 1 is 3 × 1 with 8 bit, page 2 is 4 × 1");
    says(&(0..9).map(|_| page(3)).collect::<Vec<_>>(), "has 9 pages, and an image at most 8 channels");
    says(&[TiffPage::new(1, 1, 8, 9, 1).tag(338, &[0; 8]).strip(vec![0; 9])], "the number of channels is 9");
    says(&[page(3).tag(254, &[1])], "only previews");
    says(&[TiffPage::new(1, 1, 16, 1, 1).tag(339, &[5]).strip(vec![0; 2])], "complex");
    says(&[TiffPage::new(1, 1, 24, 1, 1).strip(vec![0; 3])], "have 24 bits");
    says(&[TiffPage::new(4, 1, 12, 1, 1).tag(317, &[2]).strip(vec![0; 6])], "12-bit samples are stored in tiles, as");
    says(&[page(3).tag(259, &[7])], "TIFF with JPEG compression is not read; export it as OME-TIFF");
    says(&[page(3).tag(259, &[50000])], "TIFF with Zstandard compression");
    says(&[TiffPage::new(1, 1, 8, 3, 6).strip(vec![0; 3])], "save it as grey or RGB");
    let rgb = || TiffPage::new(1, 1, 8, 3, 2).strip(vec![0; 3]);
    says(&[rgb(), rgb()], "they are in colour");

    let text: Vec<u32> = "ImageJ=1.53\nimages=2\nchannels=2\n\0".bytes().map(u32::from).collect();
    let channels = [page(3).tag(270, &text), page(3), page(1).tag(254, &[1])];
    let decoded = decode("a.tif", &tiff(&channels, false)).unwrap();
    assert_eq!(decoded.planes.len(), 2);
    assert!(decoded.warnings[0].contains("page 3 is a preview"));
}

/// Every real image is read, as what it is.
#[test]
fn real_files() {
    let Some(data) = real_data() else { return };
    let mut read = 0;
    let folders = [
        "hpa/train",
        "hpa/test",
        "hpa/unlabelled",
        "hpa/masked",
        "incomplete",
        "bccd/JPEGImages",
        "dsb2018/train",
        "tiff",
    ];
    for folder in folders {
        for path in images_in(&data.join(folder)) {
            let name = path.file_name().unwrap().to_string_lossy();
            let decoded = decode(&name, &std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{folder}: {e}"));
            let shape = (decoded.layout, decoded.planes.len(), decoded.planes[0].samples.bits());
            let expected = match &*name {
                "16b_1c_happy_cell.tif" | "colocalization_16bit_G.png" | "stardist_mask2d_16bit.tif" => {
                    (Layout::Grey, 1, 16)
                }
                "16b_3c_nueron-composite.tif" => (Layout::Channels, 3, 16),
                "8b_2c_actin-nuclei.tif" => (Layout::Channels, 2, 8),
                "8b_5c_rat_hippocampal_neuron.tif" => (Layout::Channels, 5, 8),
                "8b_rgb_FluorescentCells.tif" => (Layout::Rgb, 3, 8),
                _ if name.ends_with(".jpg") || name.starts_with("57_F11_1_") => (Layout::Rgb, 3, 8),
                _ if name.ends_with("_label.png") => (Layout::Grey, 1, 16),
                _ => (Layout::Grey, 1, 8),
            };
            assert_eq!(shape, expected, "{name}");
            assert_eq!(decoded.warnings, [""; 0], "{name}");
            read += 1;
        }
    }
    println!("{read} real images");
    assert!(read > 1000);
}

#[test]
fn real_jpegs_without_their_end_marker() {
    let Some(data) = real_data() else { return };
    for path in images_in(&data.join("bccd/JPEGImages")).into_iter().step_by(40) {
        let (name, bytes) = (path.file_name().unwrap().to_string_lossy(), std::fs::read(&path).unwrap());
        let end = bytes.len() - 2;
        let read = decode(&name, &bytes[..end]).unwrap();
        assert_eq!(read.planes, decode(&name, &bytes).unwrap().planes, "{name}");
        assert_eq!(read.warnings.len(), 1, "{name}");
        for lost in [4, 64, 1000, 20_000] {
            assert!(
                decode(&name, &bytes[..end.saturating_sub(lost)]).is_err(),
                "{name} without {lost} bytes was taken"
            );
        }
    }
}
