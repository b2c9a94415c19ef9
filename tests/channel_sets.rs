//! Files to one image: grouping, assembling channel sets, and merging them into an image.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use std::collections::BTreeMap;

use common::real_data;
use cytobox::Result;
use cytobox::channels::{
    self, Channel, ChannelSet, EntryState, FileHead, FileKind, Fix, Merge, Pages, Plane, ReadOptions, Samples, decode,
    group, layers, merge, sniff, sniff_named, thumbnail,
};
use image_files::Png;

fn assemble<B: AsRef<[u8]>>(
    name: &str,
    files: &[(Option<Channel>, String, B)],
    fill: &[Channel],
) -> Result<ChannelSet> {
    channels::assemble(name, files, &ReadOptions { fill, ..ReadOptions::default() })
}

fn u8s(plane: &Plane) -> &[u8] {
    let Samples::U8(v) = &plane.samples else { panic!("not 8 bit") };
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

fn grey_png(width: u32, height: u32, samples: &[u16]) -> Vec<u8> {
    Png::new(width, height, 8, 0).file(samples)
}

fn hpa_files(values: [u16; 4]) -> Vec<(Option<Channel>, String, Vec<u8>)> {
    let file = |(channel, v): (Channel, u16)| (Some(channel), format!("x_{channel}.png"), grey_png(2, 1, &[v, v / 2]));
    Channel::HPA.into_iter().zip(values).map(file).collect()
}

#[test]
fn the_default_merge_is_exact() {
    let mut files = hpa_files([0; 4]);
    for (red, yellow) in [(10, 3), (200, 101), (255, 255), (0, 1)] {
        files[0].2 = grey_png(2, 1, &[red, 1]);
        files[3].2 = grey_png(2, 1, &[yellow, 2]);
        let set = assemble("x", &files, &[]).unwrap();
        let merged_image = merge(&set, &Merge::hpa()).unwrap();
        let expected = (f32::from(red) + f32::from(yellow) / 2.0).min(255.0) / 255.0;
        assert_eq!(merged_image.rgb[..3], [expected, f32::from(yellow) / 2.0 / 255.0, 0.0]);
    }
}

#[test]
fn sets_that_do_not_fit_are_errors() {
    let files = hpa_files([1, 2, 3, 4]);
    assert_eq!(assemble("x", &files, &[]).unwrap().filled, []);
    let error = assemble("x", &files[..2], &[Channel::Yellow]).unwrap_err();
    assert_eq!(error.to_string(), "x: the blue channel is missing; add the file, or choose to fill it with black");
    let set = assemble("x", &files[..3], &[Channel::Yellow, Channel::Red]).unwrap();
    assert_eq!(set.filled, [Channel::Yellow]);
    assert_eq!(u8s(&set.planes[&Channel::Yellow]), [0, 0]);
    assert!(set.warnings[0].contains("the yellow channel is filled with black"));

    let mut files = hpa_files([1, 2, 3, 4]);
    files[2].2 = grey_png(1, 2, &[1, 2]);
    let error = assemble("x", &files, &[]).unwrap_err().to_string();
    assert!(error.contains("red, green and yellow: 2 × 1 with 8 bit; blue: 1 × 2 with 8 bit"), "{error}");
    files[2].2 = Png::new(2, 1, 16, 0).file(&[1, 2]);
    let error = assemble("x", &files, &[]).unwrap_err();
    assert_eq!(error.code(), "channel-mismatch");
    assert!(error.to_string().contains("blue: 2 × 1 with 16 bit"), "{error}");

    files[2].0 = Some(Channel::Red);
    assert!(assemble("x", &files, &[]).unwrap_err().to_string().contains("both the red channel"));
    files[2].0 = None;
    assert!(assemble("x", &files, &[]).is_err());
    assert!(assemble::<Vec<u8>>("x", &[], &[]).is_err());
}

#[test]
fn a_colour_image_in_a_set() {
    let with_green = |pixel: [u16; 3]| {
        let mut files = hpa_files([1, 2, 3, 4]);
        files[1].2 = Png::new(2, 1, 8, 2).file(&pixel.repeat(2));
        assemble("x", &files, &[])
    };
    let set = with_green([90, 90, 90]).unwrap();
    assert_eq!((u8s(&set.planes[&Channel::Green]), set.warnings.len()), (&[90, 90][..], 0));
    let set = with_green([5, 200, 8]).unwrap();
    assert_eq!(u8s(&set.planes[&Channel::Green]), [200, 200]);
    assert!(set.warnings[0].contains("x_green.png: this is a colour image; only its green part"));
    let error = with_green([100, 200, 100]).unwrap_err().to_string();
    assert!(error.starts_with("x_green.png: this is a colour image, but its name says"), "{error}");
    assert!(with_green([200, 5, 5]).is_err());

    let mut files = hpa_files([1, 2, 3, 4]);
    files[3].2 = Png::new(2, 1, 8, 2).file(&[101, 100, 3].repeat(2));
    assert_eq!(u8s(&assemble("x", &files, &[]).unwrap().planes[&Channel::Yellow]), [100, 100]);
}

#[test]
fn channels_of_one_image_are_budgeted_together() {
    // 8192 × 8192 with 16 bit are 128 MiB; four channels are 512 MiB and just fit, and nothing is decoded here.
    let file = |colour: u8| {
        let mut png = Png::new(1, 1, 16, colour).file(&vec![0; Png::new(1, 1, 16, colour).samples()]);
        png[16..24].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x20, 0]);
        png.resize(300_000, 0);
        png
    };
    let mut files: Vec<_> = Channel::HPA.into_iter().map(|c| (Some(c), format!("x_{c}.png"), file(0))).collect();
    assert_eq!(assemble("x", &files, &[]).unwrap_err().code(), "image", "the caps let it through, its data do not");
    files.push((Some(Channel::Index(1)), "x_1.png".to_owned(), file(0)));
    assert_eq!(assemble("x", &files, &[]).unwrap_err().code(), "too-large");
}

#[test]
fn layers_add_up_to_the_image() {
    let plane = |seed: u16| Plane {
        width: 31,
        height: 9,
        samples: Samples::U16(ramp(31 * 9 + 50, 12).split_off(usize::from(seed))),
    };
    let mut planes: BTreeMap<Channel, Plane> = Channel::HPA.into_iter().zip([50, 41, 32, 23].map(plane)).collect();
    for plane in planes.values_mut() {
        let Samples::U16(v) = &mut plane.samples else { unreachable!() };
        v.truncate(31 * 9);
    }
    let set = ChannelSet { white: 4095.0, ..ChannelSet::new("x", planes) };
    let weights = [[1.0, 0.1, 0.0], [0.3, 1.7, 0.2], [0.0, 0.0, 16.0], [0.5, 0.5, 0.0]];
    let odd = Merge::new(Channel::HPA.into_iter().zip(weights).collect()).unwrap();
    for merge_by in [Merge::hpa(), odd] {
        let layers = layers(&set, &merge_by).unwrap();
        let mut sum = vec![0u8; 31 * 9 * 4];
        for layer in &layers {
            sum.iter_mut().zip(&layer.rgba).for_each(|(sum, v)| *sum = sum.saturating_add(*v));
            // Alone, a layer is as near as 1 to its channel by itself.
            let alone = Merge::new([(layer.channel, merge_by.weights(layer.channel).unwrap())].into()).unwrap();
            let alone = merge(&set, &alone).unwrap().to_rgba8();
            assert!(layer.rgba.iter().zip(&alone).all(|(a, b)| a.abs_diff(*b) <= 1));
        }
        assert_eq!(layers.len(), 4);
        assert_eq!(sum, merge(&set, &merge_by).unwrap().to_rgba8());
    }
}

#[test]
fn a_merge_is_checked_and_is_a_plain_map() {
    let json = r#"{"red":[1.0,0.0,0.0],"green":[0.0,1.0,0.0],"blue":[0.0,0.0,1.0],"yellow":[0.5,0.5,0.0]}"#;
    assert_eq!(serde_json::to_string(&Merge::hpa()).unwrap(), json);
    assert_eq!(serde_json::from_str::<Merge>(json).unwrap(), Merge::hpa());
    for bad in [r#"{"red":[-1,0,0]}"#, r#"{"red":[17,0,0]}"#, r#"{"red":[1e99,0,0]}"#, "{}", r#"{"pink":[1,0,0]}"#] {
        assert!(serde_json::from_str::<Merge>(bad).is_err(), "{bad}");
    }
    assert!(Merge::new([(Channel::Red, [f32::NAN, 0.0, 0.0])].into()).is_err());
    assert_eq!(Merge::for_channels(&[Channel::Grey]).weights(Channel::Grey), Some([1.0; 3]));
    assert_eq!(Merge::for_channels(&[Channel::Index(4)]).weights(Channel::Index(4)), Some([0.5, 0.0, 0.5]));

    let grey = assemble("x", &[(None, "x.png".to_owned(), grey_png(2, 1, &[3, 4]))], &[]).unwrap();
    let error = merge(&grey, &Merge::hpa()).unwrap_err();
    assert!(error.to_string().contains("for red, green, blue and yellow, but x has grey"), "{error}");
}

#[test]
fn an_image_as_png_and_as_thumbnail() {
    let samples: Vec<u16> = (0..20 * 10).map(|i| if i % 20 < 10 { 0 } else { 200 }).collect();
    let set = assemble("x", &[(None, "x.png".to_owned(), grey_png(20, 10, &samples))], &[]).unwrap();
    let merged_image = merge(&set, &Merge::for_channels(&[Channel::Grey])).unwrap();
    let back = decode("x.png", &merged_image.to_png().unwrap(), Pages::Ask).unwrap();
    assert!(back.planes.iter().all(|p| wide(p) == samples));
    assert_eq!(thumbnail(&merged_image, 20), (20, 10, merged_image.to_rgba8()));
    let (w, h, rgba) = thumbnail(&merged_image, 4);
    assert_eq!((w, h), (4, 2));
    assert_eq!(rgba[..16], [[0, 0, 0, 255], [0, 0, 0, 255], [200, 200, 200, 255], [200, 200, 200, 255]].concat());
    assert_eq!(thumbnail(&merged_image, 3).2.len(), 3 * 2 * 4);
    assert_eq!(thumbnail(&merged_image, 1), (1, 1, vec![100, 100, 100, 255]));
}

/// Grouping, assembling and merging a folder, as `cytobox merge` does it.
#[test]
fn real_sets() {
    let Some(data) = real_data() else { return };
    let heads = |folder: &str| -> Vec<FileHead> {
        let entries = std::fs::read_dir(data.join(folder)).unwrap().map(|e| e.unwrap().path());
        let head = |path: std::path::PathBuf| {
            let bytes = std::fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            FileHead { kind: sniff_named(&name, &bytes[..bytes.len().min(64)]), name }
        };
        entries.filter(|p| p.is_file()).map(head).collect()
    };
    let test = group(&heads("hpa/test"));
    assert_eq!((test.images.len(), test.annotations.len(), test.ignored.len()), (5, 5, 0));
    for image in &test.images {
        assert_eq!((image.state, image.files.len(), image.problems.len()), (EntryState::Ready, 4, 0), "{image:?}");
        assert_eq!(image.mask, Some(format!("{}_mask.png", image.name)));
    }

    let cells = group(&heads("dsb2018/train"));
    assert_eq!(cells.images.len(), 541);
    assert!(cells.images.iter().all(|i| i.mask.is_some() && i.files.len() == 1 && i.state == EntryState::Ready));
    let blood = group(&heads("bccd/JPEGImages"));
    assert_eq!(blood.images.len(), 364);

    let incomplete = group(&heads("incomplete"));
    assert_eq!(incomplete.images.len(), 13);
    for image in &incomplete.images {
        let files: Vec<_> = image
            .files
            .iter()
            .map(|f| (f.channel, f.file.clone(), std::fs::read(data.join("incomplete").join(&f.file)).unwrap()))
            .collect();
        if image.name == "57_F11_1" {
            assert_eq!(image.state, EntryState::Ready);
            let set = assemble(&image.name, &files, &[]).unwrap();
            assert_eq!((set.size(), set.warnings.len()), ((1728, 1728), 4), "{:?}", set.warnings);
        } else {
            assert_eq!((image.state, image.missing.len()), (EntryState::NeedsFill, 3));
            assert_eq!(image.problems[0].fix, Fix::FillBlack { channels: image.missing.clone() });
            assert_eq!(assemble(&image.name, &files, &[]).unwrap_err().code(), "channel-missing");
            let set = assemble(&image.name, &files, &image.missing).unwrap();
            assert_eq!(set.filled, image.missing);
            merge(&set, &Merge::hpa()).unwrap();
        }
    }

    let models = group(&heads("models"));
    assert_eq!((models.models.len(), models.annotations.len(), models.ignored.len()), (1, 1, 1));
    assert_eq!(sniff(&std::fs::read(data.join("models/predictions_hpa_test.json")).unwrap()), FileKind::Json);
}
