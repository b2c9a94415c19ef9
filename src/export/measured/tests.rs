use super::*;
use crate::boxes::BoxXyxy;
use crate::channels::{Channel, Plane as RecordedPlane};
use crate::detections::Detection;
use crate::masks::Rle;

const SIZE: (u32, u32) = (20, 10);

fn image(file: &str, labels: &[&str]) -> ImageDetections {
    let mask = Rle::from_box(20, 10, [2.0, 2.0, 6.0, 5.0]).unwrap();
    let bbox = BoxXyxy::new([2.0, 2.0, 6.0, 5.0], 20, 10).unwrap();
    let detection = |(i, label): (usize, &&str)| Detection {
        bbox,
        label: (*label).into(),
        score: 0.9,
        mask: (i > 0).then(|| mask.clone()),
    };
    ImageDetections {
        image: file.trim_end_matches(".png").into(),
        file: file.into(),
        width: SIZE.0,
        height: SIZE.1,
        detections: labels.iter().enumerate().map(detection).collect(),
        ..ImageDetections::default()
    }
}

fn set(channels: &[Channel], value: u16) -> ChannelSet {
    let plane = || RecordedPlane { width: SIZE.0, height: SIZE.1, samples: Recorded::U16(vec![value; 200]) };
    ChannelSet::new("x", channels.iter().map(|channel| (*channel, plane())).collect())
}

#[test]
fn channels_taken_as_black_are_not_measured() {
    let whole = set(&[Channel::Red, Channel::Blue], 1000);
    let partly = ChannelSet { filled: vec![Channel::Blue], ..whole.clone() };
    let channels = |set: &ChannelSet| {
        let table = measured(&image("a.png", &["x"]), set, &Options::default()).unwrap();
        table.columns().iter().filter_map(|c| c.channel.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(channels(&whole).into_iter().collect::<Vec<_>>(), ["blue", "red"]);
    assert_eq!(channels(&partly).into_iter().collect::<Vec<_>>(), ["red"]);
    let other = ImageDetections { width: 21, ..image("a.png", &["x"]) };
    assert!(measured(&other, &whole, &Options::default()).is_err());
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn tables_of_images_with_other_channels_go_into_one_file() {
    use std::collections::BTreeMap;

    let out = tempfile::tempdir().unwrap();
    let mut files = TableFiles::create(out.path(), "abc").unwrap();
    let options = Options { pixel_size: Some(0.5), ..Options::default() };
    let grey = (image("plate/a.png", &["=x", "y", "y"]), set(&[Channel::Grey], 7));
    let blue = (image("b.png", &["y"]), set(&[Channel::Blue], 300));
    let bare = (image("c.png", &[]), set(&[Channel::Blue], 300));
    for ((image, set), options) in [(grey, Options::default()), (blue, options), (bare, options)] {
        files.add(&image, measured(&image, &set, &options).unwrap()).unwrap();
    }
    files.finish().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [SUMMARY, CELLS]);

    let read = |name: &str| -> Vec<BTreeMap<String, String>> {
        let mut reader = ::csv::Reader::from_path(out.path().join(name)).unwrap();
        reader.deserialize().map(|row| row.unwrap()).collect()
    };
    let cells = read(CELLS);
    let column = |rows: &[BTreeMap<String, String>], name: &str| -> Vec<String> {
        rows.iter().map(|row| row[name].clone()).collect()
    };
    assert_eq!(column(&cells, "image"), ["a.png", "a.png", "a.png", "b.png"]);
    assert_eq!(column(&cells, "folder"), ["plate", "plate", "plate", ""]);
    assert_eq!(column(&cells, "cell"), ["1", "2", "3", "1"]);
    assert_eq!(column(&cells, "class"), ["'=x", "y", "y", "y"]);
    assert_eq!(column(&cells, "score"), ["0.9"; 4]);
    assert_eq!(column(&cells, "detector"), ["abc"; 4]);
    assert_eq!(column(&cells, "region"), ["box", "mask", "mask", "box"]);
    assert_eq!(column(&cells, "area [px²]"), ["12"; 4]);
    assert_eq!(column(&cells, "area [µm²]"), ["", "", "", "3"]);
    assert_eq!(column(&cells, "grey mean [grey level]"), ["7", "7", "7", ""]);
    assert_eq!(column(&cells, "blue integrated [grey level]"), ["", "", "", "3600"]);

    let summary = read(SUMMARY);
    let groups: Vec<[String; 4]> =
        summary.iter().map(|row| ["image", "folder", "class", "cells"].map(|name| row[name].clone())).collect();
    let expected = [
        ["a.png", "plate", "(all)", "3"],
        ["a.png", "plate", "'=x", "1"],
        ["a.png", "plate", "y", "2"],
        ["b.png", "", "(all)", "1"],
        ["b.png", "", "y", "1"],
        ["c.png", "", "(all)", "0"],
        ["(all)", "", "(all)", "4"],
        ["(all)", "", "'=x", "1"],
        ["(all)", "", "y", "3"],
    ];
    assert_eq!(groups, expected.map(|row| row.map(str::to_owned)));
    assert_eq!(summary[6]["mean: area [px²]"], "12");
    assert_eq!(summary[6]["SD: area [px²]"], "0");
    assert_eq!((&*summary[6]["mean: area [µm²]"], &*summary[6]["SD: area [µm²]"]), ("3", ""));
    assert!(summary[0].keys().all(|name| !name.contains("centroid") && !name.contains("region")));
}
