//! Grouping files into images, and the messages for files that do not fit.
#![cfg(not(target_arch = "wasm32"))]

use cytobox::channels::{Channel, EntryState, FileHead, FileKind, Fix, Groups, ImageEntry, group};

fn heads(names: &[&str]) -> Vec<FileHead> {
    let kind = |name: &str| match name.rsplit('.').next().unwrap_or_default() {
        "jpg" => FileKind::Jpeg,
        "tif" => FileKind::Tiff,
        "xml" => FileKind::Xml,
        "csv" => FileKind::Csv,
        "safetensors" => FileKind::Safetensors,
        "zip" => FileKind::Zip,
        "png" if !name.contains("broken") => FileKind::Png,
        _ => FileKind::Unknown,
    };
    names.iter().map(|name| FileHead { name: (*name).to_owned(), kind: kind(name) }).collect()
}

fn images(names: &[&str]) -> Vec<ImageEntry> {
    group(&heads(names)).images
}

fn names(images: &[ImageEntry]) -> Vec<&str> {
    images.iter().map(|i| i.name.as_str()).collect()
}

fn codes(image: &ImageEntry) -> Vec<&str> {
    image.problems.iter().map(|p| p.code.as_str()).collect()
}

#[test]
fn a_whole_set_in_any_spelling() {
    let found = images(&["d/A_1_RED.tif", "d/A_1_Green.jpg", "d/A_1_blue.png", "d/A_1_yellow.png", "d/A_1_mask.png"]);
    assert_eq!(names(&found), ["A_1"]);
    assert_eq!((found[0].state, codes(&found[0]).len()), (EntryState::Ready, 0));
    let files: Vec<_> = found[0].files.iter().map(|f| (f.channel, f.file.as_str())).collect();
    assert_eq!(files[0], (Some(Channel::Red), "d/A_1_RED.tif"));
    assert_eq!(files[3], (Some(Channel::Yellow), "d/A_1_yellow.png"));
    assert_eq!(found[0].mask.as_deref(), Some("d/A_1_mask.png"));
}

#[test]
fn the_atlas_own_composites_are_images_by_themselves() {
    let files = [
        "1832_C1_2_blue_red_green.jpg",
        "711_A9_1_blue_red_green_yellow.jpg",
        "b_red_green_mask.png",
        "b_red_green.jpg",
    ];
    let found = images(&files);
    assert_eq!(names(&found), ["1832_C1_2_blue_red_green", "711_A9_1_blue_red_green_yellow", "b_red_green"]);
    assert!(found.iter().all(|image| image.state == EntryState::Ready && image.files[0].channel.is_none()));
    assert_eq!(found[2].mask.as_deref(), Some("b_red_green_mask.png"));
}

#[test]
fn an_old_set_without_yellow_is_offered_black() {
    let found = images(&["A_red.png", "A_green.png", "A_blue.png"]);
    assert_eq!(found[0].state, EntryState::NeedsFill);
    assert_eq!(found[0].missing, [Channel::Yellow]);
    assert_eq!(found[0].problems[0].sentence, "A: the yellow channel is missing; add its file, or fill it with black");
    assert_eq!(found[0].problems[0].fix, Fix::FillBlack { channels: vec![Channel::Yellow] });
}

#[test]
fn two_files_for_a_channel_need_a_choice() {
    let found = images(&["A_red.png", "A_red.tif", "A_green.png", "A_blue.png", "A_yellow.png"]);
    assert_eq!((found[0].state, codes(&found[0])), (EntryState::Unusable, vec!["channel-double"]));
    let both = vec!["A_red.png".to_owned(), "A_red.tif".to_owned()];
    assert_eq!(found[0].problems[0].fix, Fix::KeepOne { files: both });
}

#[test]
fn broken_files_are_listed_and_the_others_go_on() {
    let found = images(&["broken_red.png", "broken_blue.png", "x_red.png", "good.jpg", "broken.png"]);
    assert_eq!(names(&found), ["broken", "broken.png", "good", "x"]);
    assert_eq!(found[0].state, EntryState::Unusable);
    assert_eq!(codes(&found[0]), ["broken-file", "broken-file", "channel-missing"]);
    assert_eq!((found[1].state, found[1].files.len()), (EntryState::Unusable, 0));
    assert_eq!((found[2].state, found[3].state), (EntryState::Ready, EntryState::NeedsFill));
}

#[test]
fn names_stay_unique() {
    let found = images(&["a/X.png", "b/X.png", "b/X.tif", "b/X_red.png", "b/X_green.png", "Y.png", "Y.jpg", "Z.png"]);
    assert_eq!(names(&found), ["Y.jpg", "Y.png", "Z", "a/X", "b/X", "b/X.png", "b/X.tif"]);
    assert_eq!(codes(&found[3]), ["same-stem"]);
    assert_eq!(found[3].state, EntryState::Ready);
    assert!(codes(&found[2]).is_empty());
    // A file without an ending beside a set, and one file in both ways of writing folders.
    let found = group(
        &[("X", FileKind::Png), ("X_red.png", FileKind::Png), ("a/Y", FileKind::Png), ("a\\Y", FileKind::Png)]
            .map(|(name, kind)| FileHead { name: name.to_owned(), kind }),
    );
    assert_eq!(names(&found.images), ["X", "X.", "Y"]);
    assert_eq!(found.ignored.len(), 1);
}

#[test]
fn masks_belong_to_their_image() {
    let found = images(&["c/A.png", "c/A_label.png", "masks/B_mask.tif", "images/B.jpg", "E_mask.png"]);
    assert_eq!(names(&found), ["A", "B"]);
    assert_eq!(found[0].mask.as_deref(), Some("c/A_label.png"));
    assert_eq!(found[1].mask.as_deref(), Some("masks/B_mask.tif"));
    let lone = &group(&heads(&["A.png", "E_mask.png"])).ignored;
    assert!(lone[0].file == "E_mask.png" && lone[0].reason.contains("rename"), "{lone:?}");

    let found = images(&["A.png", "A_mask.png", "A_label.png", "B.png", "B_mask.jpg"]);
    assert_eq!((codes(&found[0]), found[0].mask.as_deref()), (vec!["mask-double"], Some("A_label.png")));
    assert_eq!((codes(&found[1]), found[1].mask.as_deref()), (vec!["mask-lossy"], None));
}

#[test]
fn masks_and_figures_of_other_programs_are_not_images() {
    let files = [
        "c/f01.png",
        "c/f01_cp_masks.tif",
        "c/f01_cp_output.png",
        "c/f01_seg.npy",
        "s/images/x.tif",
        "s/masks/x.tif",
        "t/y.png",
        "t/labels/y.png",
        "z_seg.tif",
        "z.png",
        "w_Labels.tif",
        "w.png",
    ];
    let groups = group(&heads(&files));
    let masks: Vec<_> = groups.images.iter().map(|i| (i.name.as_str(), i.mask.as_deref())).collect();
    let expected = [
        ("f01", Some("c/f01_cp_masks.tif")),
        ("w", Some("w_Labels.tif")),
        ("x", Some("s/masks/x.tif")),
        ("y", Some("t/labels/y.png")),
        ("z", Some("z_seg.tif")),
    ];
    assert_eq!(masks, expected);
    assert!(groups.images.iter().all(|image| image.problems.is_empty()));
    let ignored: Vec<_> = groups.ignored.iter().map(|i| i.file.as_str()).collect();
    assert_eq!(ignored, ["c/f01_cp_output.png", "c/f01_seg.npy"]);
    assert!(groups.ignored[1].reason.contains("save the masks"), "{:?}", groups.ignored);
}

#[test]
fn a_folder_for_each_image_has_a_mask_file_for_each_object() {
    let found =
        images(&["ab/images/ab.png", "ab/masks/00.png", "ab/masks/01.png", "cd/images/cd.png", "cd/masks/02.png"]);
    assert_eq!(names(&found), ["ab", "cd"]);
    assert_eq!(found[0].object_masks, ["ab/masks/00.png", "ab/masks/01.png"]);
    assert_eq!((found[0].mask.as_deref(), found[1].object_masks.len()), (None, 1));
    // A folder of that name without images that fit holds images.
    assert_eq!(names(&images(&["labels/p.png", "labels/q.png"])), ["p", "q"]);
}

#[test]
fn one_name_in_two_unicode_forms_is_one_image() {
    let found =
        images(&["zu\u{308}_red.png", "zü_green.png", "zü_blue.png", "zu\u{308}_yellow.png", "zu\u{308}_mask.png"]);
    assert_eq!((names(&found), found[0].state), (vec!["zü"], EntryState::Ready));
    assert_eq!(found[0].mask.as_deref(), Some("zu\u{308}_mask.png"), "the file is opened by the name that it has");
}

#[test]
fn other_files_have_their_places() {
    let all =
        ["A.xml", "boxes.csv", "m.safetensors", "work.zip", "notes.md", ".DS_Store", "A.png", "A.png", "x/._A.png"];
    let groups = group(&heads(&all));
    assert_eq!(names(&groups.images), ["A"]);
    assert_eq!(groups.annotations, ["A.xml", "boxes.csv"]);
    assert_eq!((groups.models.len(), groups.projects.len()), (1, 1));
    let ignored: Vec<_> = groups.ignored.iter().map(|i| i.file.as_str()).collect();
    assert_eq!(ignored, ["notes.md", ".DS_Store", "A.png", "x/._A.png"]);
    assert!(groups.ignored[2].reason.contains("there already"));
    assert_eq!(group(&[]), Groups::default());
}

#[test]
fn json_for_the_page() {
    let json = serde_json::to_value(group(&heads(&["A_red.png", "A_blue.png"]))).unwrap();
    let image = &json["images"][0];
    assert_eq!(image["state"], "needsFill");
    assert_eq!(image["files"][0], serde_json::json!({ "channel": "red", "file": "A_red.png" }));
    assert_eq!(
        image["problems"][0]["fix"],
        serde_json::json!({ "action": "fillBlack", "channels": ["green", "yellow"] })
    );
    let head: FileHead = serde_json::from_str(r#"{"name":"a.png","kind":"png"}"#).unwrap();
    assert_eq!(head.kind, FileKind::Png);
}
