//! TIFF files as tifffile writes them, which `golden/tiff_files.py` made: each gives the samples that tifffile reads, or one sentence
//! that names what is not read and a way out.
#![cfg(not(target_arch = "wasm32"))]

use std::fs;

use cytobox::Error;
use cytobox::channels::{Decoded, Pages, Projection, Reading, RegionFile, Samples, StackRule, decode};
use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

const GOLDEN: &[u8] = include_bytes!("golden/tiff_files.safetensors");

/// Numbers as cytobox has them: to seven digits.
fn values(tensor: &TensorView) -> Vec<f32> {
    macro_rules! read {
        ($kind:ty, $real:expr) => {
            tensor.data().as_chunks().0.iter().map(|bytes| $real(<$kind>::from_le_bytes(*bytes))).collect()
        };
    }
    match tensor.dtype() {
        Dtype::U8 => read!(u8, f32::from),
        Dtype::U16 => read!(u16, f32::from),
        Dtype::U32 => read!(u32, |v| v as f32),
        Dtype::U64 => read!(u64, |v| v as f32),
        Dtype::I8 => read!(i8, f32::from),
        Dtype::I16 => read!(i16, f32::from),
        Dtype::I32 => read!(i32, |v| v as f32),
        Dtype::I64 => read!(i64, |v| v as f32),
        Dtype::F16 => read!(f16, f16::to_f32),
        Dtype::F32 => read!(f32, |v| v),
        Dtype::F64 => read!(f64, |v| v as f32),
        other => panic!("{other:?}"),
    }
}

fn samples(decoded: &Decoded) -> Vec<f32> {
    let one = |samples: &Samples| match samples {
        Samples::U8(v) => v.iter().map(|v| f32::from(*v)).collect::<Vec<_>>(),
        Samples::U16(v) => v.iter().map(|v| f32::from(*v)).collect(),
        Samples::F32(v) => v.clone(),
    };
    decoded.planes.iter().flat_map(|plane| one(&plane.samples)).collect()
}

/// Every file, by name, and the samples in it, if it is read.
fn files<'a>(golden: &'a SafeTensors<'a>) -> impl Iterator<Item = (&'a str, &'a [u8], Option<TensorView<'a>>)> {
    golden.names().into_iter().filter_map(|name| {
        let name = name.strip_prefix("file/")?;
        let file = golden.tensor(&format!("file/{name}")).unwrap().data();
        Some((name, file, golden.tensor(&format!("samples/{name}")).ok()))
    })
}

/// Time points × slices.
fn planes(samples: &TensorView) -> usize {
    samples.shape()[..2].iter().product()
}

#[test]
fn files_of_tifffile_give_the_samples_that_it_reads() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let (mut read, mut in_regions) = (0, 0);
    for (name, file, expected) in files(&golden) {
        let Some(expected) = expected.filter(|expected| planes(expected) == 1) else { continue };
        let decoded = decode("a.tif", file, Pages::Ask).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(samples(&decoded), values(&expected), "{name}");
        read += 1;
        fs::write(&path, file).unwrap();
        let [height, width] = [3, 4].map(|axis| expected.shape()[axis]);
        match RegionFile::open(&path, Pages::Ask).and_then(|mut open| {
            assert_eq!(open.size(), [height, width], "{name}");
            open.region(0..height, 0..width)
        }) {
            Ok(region) => {
                assert_eq!(samples(&region), values(&expected), "{name}");
                in_regions += 1;
            }
            Err(e) => assert!(name.contains("bits packed") && e.to_string().contains("OME-TIFF"), "{name}: {e}"),
        }
    }
    assert!(read > 65 && in_regions > 62, "{read} {in_regions}");
}

#[test]
fn what_is_not_read_is_named_with_a_way_out() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let mut refused = 0;
    for (name, file, _) in files(&golden) {
        let Some(feature) = name.strip_prefix("refused ") else { continue };
        let named = match feature {
            "zstd" => "Zstandard",
            "jpeg" => "JPEG",
            "jpeg2000" => "JPEG 2000",
            "jpegxl" => "JPEG XL",
            "webp" => "WebP",
            "lzma" => "LZMA",
            "lerc" => "LERC",
            "complex" => "complex numbers",
            other => panic!("{other}"),
        };
        fs::write(&path, file).unwrap();
        for error in [decode("a.tif", file, Pages::Channels).err(), RegionFile::open(&path, Pages::Channels).err()] {
            let sentence = error.unwrap_or_else(|| panic!("{name} is read")).to_string();
            let way_out = ["export it as OME-TIFF", "convert it to"];
            assert!(sentence.contains(named) && way_out.iter().any(|way| sentence.contains(way)), "{name}: {sentence}");
            assert!(!sentence.trim_end_matches('.').contains(". "), "more than one sentence: {sentence}");
        }
        refused += 1;
    }
    assert_eq!(refused, 8);
    let pages = golden.tensor("file/pages without a description").unwrap();
    assert!(matches!(decode("a.tif", pages.data(), Pages::Ask), Err(Error::PagesUnknown { pages: 3, .. })));
}

fn reading(name: &str, projection: Projection, z: Option<usize>, t: Option<usize>) -> Reading {
    let pages = if name == "pages without a description" { Pages::Slices } else { Pages::Ask };
    let [z, t] = [z, t].map(|at| at.map(|at| at as u32 + 1));
    Reading::new(pages, Some(StackRule { projection, z, t }))
}

/// Every plane of every stack, and the maximum and the mean over its slices, or over its time points where it has no slices.
#[test]
fn stacks_give_each_plane_and_their_projections() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let mut stacks = 0;
    for (name, file, expected) in files(&golden) {
        let Some(expected) = expected.filter(|expected| planes(expected) > 1) else { continue };
        let all = values(&expected);
        let [frames, slices, channels, height, width] = expected.shape()[..] else { panic!("{name}") };
        let image = channels * height * width;
        let plane = |z: usize, t: usize| &all[(t * slices + z) * image..][..image];
        fs::write(&path, file).unwrap();
        let read = |projection, z, t| {
            let reading = reading(name, projection, z, t);
            let decoded = decode("a.tif", file, reading).unwrap_or_else(|e| panic!("{name}: {e}"));
            let region = RegionFile::open(&path, reading).unwrap().region(0..height, 0..width).unwrap();
            assert_eq!((region.planes, region.layout), (decoded.planes.clone(), decoded.layout), "{name}");
            assert_eq!(region.stack, decoded.stack, "{name}");
            decoded
        };
        for t in 0..frames {
            for z in 0..slices {
                assert_eq!(samples(&read(Projection::Plane, Some(z), Some(t))), plane(z, t), "{name}, z {z}, t {t}");
            }
        }
        let over_slices = slices > 1;
        for t in 0..if over_slices { frames } else { 1 } {
            let steps: Vec<&[f32]> = if over_slices {
                (0..slices).map(|z| plane(z, t)).collect()
            } else {
                (0..frames).map(|t| plane(0, t)).collect()
            };
            let asked = over_slices.then_some(t);
            let most: Vec<f32> = (0..image).map(|i| steps.iter().map(|s| s[i]).fold(f32::MIN, f32::max)).collect();
            assert_eq!(samples(&read(Projection::Max, None, asked)), most, "{name}, maximum, t {t}");
            let mean = samples(&read(Projection::Mean, None, asked));
            for (i, found) in mean.iter().enumerate() {
                let exact = steps.iter().map(|s| f64::from(s[i])).sum::<f64>() / steps.len() as f64;
                let is_real = name.contains("float");
                let near = if is_real { 1e-3 } else { 0.5 };
                assert!((f64::from(*found) - exact).abs() <= near, "{name}, mean, t {t}: {found} {exact}");
            }
            let decoded = decode("a.tif", file, reading(name, Projection::Sharpest, None, asked)).unwrap();
            let stack = decoded.stack.unwrap();
            let at = if over_slices { stack.z } else { stack.t }.unwrap() as usize - 1;
            assert_eq!(samples(&decoded), steps[at], "{name}, sharpest");
        }
        let sentence = decode("a.tif", file, Pages::Channels);
        match sentence {
            Err(e) => assert!(e.to_string().contains("choose what to read of it"), "{name}: {e}"),
            Ok(_) => assert_eq!(name, "pages without a description"),
        }
        stacks += 1;
    }
    assert_eq!(stacks, 13);
}
