use sha2::{Digest, Sha256};

use super::*;
use crate::masks::LabelImage;

fn options(seed: u64) -> SynthOptions {
    SynthOptions { seed, ..SynthOptions::default() }
}

fn samples(image: &SynthImage, channel: Channel) -> Vec<f32> {
    match &image.set.planes[&channel].samples {
        Samples::U8(v) => v.iter().map(|&v| f32::from(v) / 255.0).collect(),
        Samples::U16(v) => v.iter().map(|&v| f32::from(v) / 65_535.0).collect(),
        Samples::F32(_) => panic!("not 8 or 16 bit"),
    }
}

fn bitmap(object: &Object) -> Vec<bool> {
    object.mask.as_ref().expect("synthetic objects have masks").to_bitmap()
}

/// Hash of all samples, boxes, labels and masks.
fn hash(image: &SynthImage) -> String {
    let mut sha = Sha256::new();
    for plane in image.set.planes.values() {
        match &plane.samples {
            Samples::U8(v) => sha.update(v),
            Samples::U16(v) => v.iter().for_each(|v| sha.update(v.to_le_bytes())),
            Samples::F32(_) => panic!("not 8 or 16 bit"),
        }
    }
    for object in &image.objects {
        object.bbox.corners().iter().for_each(|c| sha.update(c.to_le_bytes()));
        sha.update(&object.label);
        let counts = object.mask.iter().flat_map(|m| m.counts());
        counts.for_each(|c| sha.update(c.to_le_bytes()));
    }
    sha.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_every_version() {
    let small = SynthOptions { width: 200, height: 150, ..options(7) };
    assert_eq!(hash(&generate(&small, 3).unwrap()), "5e8238766472f73e");
    let deep = SynthOptions { sixteen_bit: true, ..small.clone() };
    assert_eq!(hash(&generate(&deep, 3).unwrap()), "310237b55c0bb13c");
    assert_ne!(hash(&generate(&small, 4).unwrap()), hash(&generate(&small, 3).unwrap()));
}

/// Boxes are tight, masks do not overlap, no object is too small, and everything is inside the image.
fn check_objects(image: &SynthImage, options: &SynthOptions) {
    let (w, h) = (options.width as usize, options.height as usize);
    let mut taken = vec![false; w * h];
    for object in &image.objects {
        let mut corners = [usize::MAX, usize::MAX, 0, 0];
        let mut area = 0;
        for at in bitmap(object).iter().enumerate().filter(|(_, m)| **m).map(|(at, _)| at) {
            assert!(!std::mem::replace(&mut taken[at], true), "{}: masks overlap", image.name);
            let [x1, y1, x2, y2] = corners;
            corners = [x1.min(at % w), y1.min(at / w), x2.max(at % w + 1), y2.max(at / w + 1)];
            area += 1;
        }
        assert_eq!(object.bbox.corners(), corners.map(|c| c as f32), "{}: box is not tight", image.name);
        assert!(area as f32 >= LEAST_PIXELS * options.cell_size * options.cell_size);
        let at_border = corners[0] == 0 || corners[1] == 0 || corners[2] == w || corners[3] == h;
        assert!(at_border || !object.truncated, "{}: truncated in the middle", image.name);
    }
}

#[test]
fn objects_are_valid_at_every_size_and_crowding() {
    let mut objects = 0;
    let sizes = [(512, 512, 1.0, 1.0), (64, 64, 1.0, 1.0), (700, 300, 1.0, 2.0), (1, 1, 1.0, 1.0), (900, 33, 0.5, 1.0)];
    let odd = [(300, 301, 0.25, 2.0), (128, 96, 4.0, 0.1)];
    for (seed, (width, height, cell_size, crowding)) in (0..).zip(sizes.into_iter().chain(odd)) {
        let options = SynthOptions { width, height, cell_size, crowding, ..options(seed) };
        for index in 0..3 {
            let image = generate(&options, index).unwrap();
            assert_eq!(image.set.planes.len(), 4);
            for plane in image.set.planes.values() {
                assert_eq!((plane.width, plane.height), (width, height));
                assert!(matches!(&plane.samples, Samples::U8(v) if v.len() == (width * height) as usize));
            }
            check_objects(&image, &options);
            objects += image.objects.len();
        }
    }
    assert!(objects > 300, "{objects} objects");
}

#[test]
fn both_bit_depths_show_the_same_image() {
    let shallow = SynthOptions { width: 160, height: 120, ..options(11) };
    let deep = SynthOptions { sixteen_bit: true, ..shallow.clone() };
    let (a, b) = (generate(&shallow, 0).unwrap(), generate(&deep, 0).unwrap());
    assert_eq!(a.objects, b.objects);
    for channel in Channel::HPA {
        assert!(matches!(b.set.planes[&channel].samples, Samples::U16(_)));
        let (a, b) = (samples(&a, channel), samples(&b, channel));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 0.51 / 255.0));
        assert!(b.iter().any(|v| v * 255.0 != (v * 255.0).round()), "{channel} has only 8 significant bits");
    }
}

#[test]
fn impossible_options_are_errors() {
    let code = |change: &dyn Fn(&mut SynthOptions)| {
        let mut options = SynthOptions::default();
        change(&mut options);
        generate(&options, 0).map(|i| i.name).map_err(|e| e.code())
    };
    assert_eq!(code(&|o| o.width = 0), Err("config"));
    assert_eq!(code(&|o| o.height = 0), Err("config"));
    assert_eq!(code(&|o| o.width = u32::MAX), Err("too-large"));
    assert_eq!(code(&|o| (o.width, o.height) = (u32::MAX, u32::MAX)), Err("too-large"));
    for bad in [f32::NAN, f32::INFINITY, -1.0, 1e9] {
        assert_eq!(code(&|o| o.cell_size = bad), Err("config"), "{bad}");
        assert_eq!(code(&|o| o.crowding = bad), Err("config"), "{bad}");
        assert_eq!(code(&|o| o.nucleolar = bad), Err("config"), "{bad}");
    }
    assert!(serde_json::from_str::<SynthOptions>(r#"{"widht": 64}"#).is_err());
    assert_eq!(serde_json::from_str::<SynthOptions>("{}").ok(), Some(SynthOptions::default()));
}

/// Contrast of the brightest green spot in the nucleus, relative to the median; measured on 3 × 3 means, because single bright
/// pixels may be noise.
fn spot_contrast(green: &[f32], blue: &[f32], mask: &[bool], width: usize) -> Option<f32> {
    let bright = mask.iter().zip(blue).filter(|(m, _)| **m).fold(0f32, |top, (_, &b)| top.max(b));
    let inside = (width + 1..green.len() - width - 1).filter(|&at| mask[at] && blue[at] > 0.35 * bright);
    let mean = |at: usize| {
        let rows = [at - width, at, at + width];
        rows.into_iter().flat_map(|r| &green[r - 1..=r + 1]).sum::<f32>() / 9.0
    };
    let mut values: Vec<f32> = inside.map(mean).collect();
    values.sort_by(f32::total_cmp);
    let median = *values.get(values.len() / 2)?;
    (values.len() > 100).then(|| (values[values.len() * 99 / 100] - median) / (median + 0.03))
}

/// Area under the ROC curve: the probability that a positive has a higher value than a negative; ½ if the label is unrelated.
fn separation(values: &[(f32, bool)]) -> f32 {
    let (mut above, mut pairs) = (0.0, 0.0);
    for (a, _) in values.iter().filter(|v| v.1) {
        for (b, _) in values.iter().filter(|v| !v.1) {
            above += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
            pairs += 1.0;
        }
    }
    above / pairs
}

#[test]
fn nucleoli_cells_have_bright_spots_in_the_nucleus() {
    let mut all = Vec::new();
    let mut within = Vec::new();
    for index in 0..16 {
        let image = generate(&options(21), index).unwrap();
        let (green, blue) = (samples(&image, Channel::Green), samples(&image, Channel::Blue));
        let both = image.objects.iter().any(|o| o.label == NUCLEOLI);
        for object in &image.objects {
            if let Some(contrast) = spot_contrast(&green, &blue, &bitmap(object), 512) {
                let value = (contrast, object.label == NUCLEOLI);
                all.push(value);
                within.extend(both.then_some(value));
            }
        }
    }
    let share = all.iter().filter(|v| v.1).count() as f32 / all.len() as f32;
    assert!((0.15..0.65).contains(&share), "{share} of {} cells are nucleoli", all.len());
    let mut shuffled = all.clone();
    let labels: Vec<bool> = (0..all.len()).map(|i| all[(i * 7 + 3) % all.len()].1).collect();
    shuffled.iter_mut().zip(labels).for_each(|(v, l)| v.1 = l);
    let (all, within, shuffled) = (separation(&all), separation(&within), separation(&shuffled));
    println!("separation: {all} of all, {within} within images that have both, {shuffled} when shuffled");
    assert!(all > 0.6 && within > 0.8, "{all} {within}");
    assert!(shuffled < 0.6, "{shuffled}");
}

/// Bounds around the means over 45 images of the Human Protein Atlas: 18.3 boxes; masks cover 54 % of the image; mean brightness
/// red 22, green 14, blue 14, yellow 24 of 255.
#[test]
fn images_are_about_as_crowded_and_as_bright_as_real_ones() {
    const IMAGES: u32 = 20;
    let (mut boxes, mut covered, mut means) = (0, 0, [0.0; 4]);
    for index in 0..IMAGES {
        let image = generate(&options(33), index).unwrap();
        boxes += image.objects.len();
        covered += image.objects.iter().map(|o| bitmap(o).iter().filter(|m| **m).count()).sum::<usize>();
        for (mean, channel) in means.iter_mut().zip(Channel::HPA) {
            *mean += samples(&image, channel).iter().sum::<f32>() / (512.0 * 512.0) * 255.0 / IMAGES as f32;
        }
    }
    let (boxes, covered) = (boxes as f32 / IMAGES as f32, covered as f32 / (IMAGES * 512 * 512) as f32);
    println!("{boxes} boxes, {covered} covered, means {means:?}");
    assert!((13.0..24.0).contains(&boxes), "{boxes}");
    assert!((0.42..0.66).contains(&covered), "{covered}");
    for (mean, real) in means.into_iter().zip([22.4, 14.3, 14.0, 24.3]) {
        assert!((0.65..1.5).contains(&(mean / real)), "{means:?}");
    }
}

#[test]
fn files_are_named_by_content_and_marked_synthetic() {
    let image = generate(&SynthOptions { width: 300, height: 260, ..options(5) }, 2).unwrap();
    assert!(image.objects.len() > 2);
    let files = files(&image).unwrap();
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    let endings = ["_red.png", "_green.png", "_blue.png", "_yellow.png", ".xml", "_mask.png"];
    assert_eq!(names, endings.map(|e| format!("synthetic-5-2{e}")));
    for (file, channel) in files.iter().zip(Channel::HPA) {
        let grey = image::load_from_memory(&file.bytes).unwrap();
        assert!(matches!(&image.set.planes[&channel].samples, Samples::U8(v) if v == grey.as_bytes()));
    }
    let xml = std::str::from_utf8(&files[4].bytes).unwrap();
    assert!(xml.contains("<database>cytobox synth (synthetic)</database>"), "{xml}");
    let [x1, y1, x2, y2] = image.objects[0].bbox.corners();
    for (tag, value) in [("xmin", x1 + 1.0), ("ymin", y1 + 1.0), ("xmax", x2), ("ymax", y2)] {
        assert!(xml.contains(&format!("<{tag}>{value}</{tag}>")), "{tag} {value}");
    }
    let masks = LabelImage::decode("mask", &files[5].bytes).unwrap().masks();
    for (k, object) in (1..).zip(&image.objects) {
        assert_eq!(masks.get(&k), object.mask.as_ref());
    }
}
