//! Which files make one image, told by their names.
//!
//! A Human Protein Atlas image is `STEM_red`, `STEM_green`, `STEM_blue` and `STEM_yellow` in one folder, whatever the
//! case and the ending; other microscopes' channels are told by [`super::naming`]; any other image file is an image by itself, but for object labels and figures of other programs
//! (see [`super::mask_owner`]). What a file is has been told by its content before ([`super::sniff_named`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::file_name::{FileName, Role, composed, is_of_system, looks_like_image};
use super::mask_owner::{Owners, Part, is_in_mask_folder};
use super::naming;
use super::set::{Channel, in_words};
use super::sniff::FileKind;
use crate::error::{Error, Result};

/// A file as its name, with folders if there are any, and its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileHead {
    pub name: String,
    pub kind: FileKind,
}

/// All files, each in one place; images are ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    pub images: Vec<ImageEntry>,
    /// XML, JSON and text files.
    pub annotations: Vec<String>,
    /// Detector files: safetensors, PyTorch, HDF5.
    pub models: Vec<String>,
    /// Zip archives.
    pub projects: Vec<String>,
    pub ignored: Vec<Ignored>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    pub file: String,
    pub reason: String,
}

/// One image, complete or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageEntry {
    /// The stem; with the folder, and if need be the ending, where another image has the same stem.
    pub name: String,
    /// The files that can be read, ordered by channel.
    pub files: Vec<ChannelFile>,
    /// The file with its object labels.
    pub mask: Option<String>,
    /// Files of one object each, where the labels are not in one file.
    #[serde(default)]
    pub object_masks: Vec<String>,
    pub state: EntryState,
    /// Channels that [`EntryState::NeedsFill`] is about.
    pub missing: Vec<Channel>,
    /// Those of them that have a file, which is broken.
    pub broken: Vec<Channel>,
    pub problems: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelFile {
    /// `None` for an image by itself.
    pub channel: Option<Channel>,
    pub file: String,
}

/// Whether an image can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryState {
    /// As it is.
    Ready,
    /// Only when its missing channels are filled with black.
    NeedsFill,
    /// Not before its files change.
    Unusable,
}

/// What is wrong with an image: a stable code for programs, the rest for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `channel-missing`, `channel-double`, `broken-file`, `same-stem`, `mask-double` or `mask-lossy`.
    pub code: String,
    pub sentence: String,
    pub fix: Fix,
}

/// What can be done about a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Fix {
    /// Add files for these channels, or let them be black.
    FillBlack { channels: Vec<Channel> },
    /// Keep one of these files and take the others away.
    KeepOne { files: Vec<String> },
    /// Put a whole file in the place of this one.
    Replace { file: String },
    /// Nothing need be done.
    Nothing,
}

fn problem(code: &str, sentence: String, fix: Fix) -> Problem {
    Problem { code: code.to_owned(), sentence, fix }
}

/// Folder, stem, and the ending of an image by itself, so that a.png and a.jpg stay two images.
type Key<'a> = (&'a str, &'a str, Option<&'a str>);

/// An image while its files are being found; `kind` is `Unknown` for a file that only its name calls an image.
struct Found<'a> {
    files: Vec<(Option<Channel>, &'a FileHead)>,
    masks: Vec<&'a FileHead>,
    object_masks: Vec<&'a FileHead>,
}

/// Groups files by name. No file is opened, and every file appears once in the result.
pub fn group(files: &[FileHead]) -> Groups {
    let mut groups = Groups::default();
    let mut seen = BTreeSet::new();
    let mut masks = Vec::new();
    let mut found: BTreeMap<Key, Found> = BTreeMap::new();
    let names: Vec<_> = files.iter().map(|head| composed(&head.name)).collect();
    let channels = naming::channels(&names.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    for ((head, path), channel) in files.iter().zip(&names).zip(&channels) {
        if !seen.insert(path.replace('\\', "/")) {
            groups.ignore(head, "a file of this name is there already");
            continue;
        }
        if is_of_system(path) {
            groups.ignore(head, "this is a file of the operating system");
            continue;
        }
        match head.kind {
            FileKind::Xml | FileKind::Json | FileKind::Csv => groups.annotations.push(head.name.clone()),
            FileKind::Safetensors | FileKind::Torch | FileKind::Hdf5 => groups.models.push(head.name.clone()),
            FileKind::Zip => groups.projects.push(head.name.clone()),
            FileKind::Unknown if path.to_ascii_lowercase().ends_with("_seg.npy") => groups.ignore(
                head,
                "Cellpose keeps its work in this file; save the masks there as PNG or TIFF, and add that file",
            ),
            FileKind::Unknown if !looks_like_image(path) => {
                groups.ignore(head, "its content is not of a kind that is read; images must be PNG, JPEG or TIFF");
            }
            FileKind::Unknown | FileKind::Png | FileKind::Jpeg | FileKind::Tiff => {
                let name = FileName::parse(path);
                let (key, channel) = match (name.role, channel) {
                    (Role::Channel(channel), _) => ((name.folder, name.stem, None), Some(channel)),
                    (Role::Plain, _) if is_in_mask_folder(path) => {
                        masks.push((name, path.as_ref(), head));
                        continue;
                    }
                    (Role::Mask, _) => {
                        masks.push((name, path.as_ref(), head));
                        continue;
                    }
                    (Role::Figure, _) => {
                        groups.ignore(head, "this is a figure that Cellpose drew, not an image of cells");
                        continue;
                    }
                    (Role::Plain, Some((stem, channel))) => ((name.folder, stem.as_str(), None), Some(*channel)),
                    (Role::Plain, None) => ((name.folder, name.stem, Some(name.ending)), None),
                };
                found.entry(key).or_insert_with(Found::new).files.push((channel, head));
            }
        }
    }
    give_masks(&mut found, masks, &mut groups);
    let names = unique_names(found.keys().copied());
    groups.images = found.into_iter().zip(names).map(|((key, found), name)| found.entry(name, key.1)).collect();
    groups.images.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

/// Hands each mask to its image. A file that only its folder makes a mask is an image where no other owns it; one that its
/// name makes a mask never is.
fn give_masks<'a>(
    found: &mut BTreeMap<Key<'a>, Found<'a>>,
    masks: Vec<(FileName<'a>, &'a str, &'a FileHead)>,
    groups: &mut Groups,
) {
    let keys: Vec<Key> = found.keys().copied().collect();
    let owners = Owners::new(keys.iter().map(|(folder, stem, _)| (*folder, *stem)));
    for (name, path, head) in masks {
        let owner = owners.of(path).and_then(|(i, part)| Some((found.get_mut(&keys[i])?, part)));
        match owner {
            Some((image, Part::All)) => image.masks.push(head),
            Some((image, Part::OneObject)) if matches!(head.kind, FileKind::Png | FileKind::Tiff) => {
                image.object_masks.push(head);
            }
            Some((_, Part::OneObject)) => groups.ignore(head, "it holds an object, and is not a PNG or TIFF file"),
            None if name.role == Role::Mask => groups.ignore(
                head,
                "its name says that it holds the object labels of another image, which is not here; add that image, or \
                 rename the file if it is an image",
            ),
            None => {
                let key = (name.folder, name.stem, Some(name.ending));
                found.entry(key).or_insert_with(Found::new).files.push((None, head));
            }
        }
    }
}

/// The stem where it is the only one; else folder and stem; else folder, stem and ending. A name that is taken all the
/// same gets a number.
fn unique_names<'a>(keys: impl Iterator<Item = Key<'a>> + Clone) -> Vec<String> {
    let long = |(folder, stem, _): Key| {
        if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") }
    };
    let mut stems: BTreeMap<&str, usize> = BTreeMap::new();
    let mut longs: BTreeMap<String, usize> = BTreeMap::new();
    for key in keys.clone() {
        *stems.entry(key.1).or_default() += 1;
        *longs.entry(long(key)).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    keys.map(|key| {
        let name = match key.2 {
            _ if stems[key.1] == 1 => key.1.to_owned(),
            Some(ending) if longs[&long(key)] > 1 => format!("{}.{ending}", long(key)),
            _ => long(key),
        };
        let mut unique = name.clone();
        let mut number = 2;
        while !taken.insert(unique.clone()) {
            unique = format!("{name} ({number})");
            number += 1;
        }
        unique
    })
    .collect()
}

impl ImageEntry {
    /// Refuses an image of which a file cannot be used, as the sentence of its problem says. A channel that is only missing
    /// can be filled with black; one that is broken holds something that nobody has seen.
    ///
    /// # Errors
    /// [`Error::Image`].
    pub fn check(&self) -> Result<()> {
        if self.state != EntryState::Unusable && self.broken.is_empty() {
            return Ok(());
        }
        let cause = self.problems.iter().find(|p| matches!(p.code.as_str(), "broken-file" | "channel-double"));
        let sentence = cause.map_or("", |problem| &problem.sentence);
        let (file, reason) = sentence.split_once(": ").unwrap_or((&self.name, "its files cannot be used"));
        Err(Error::image(file, reason))
    }
}

impl Groups {
    fn ignore(&mut self, head: &FileHead, reason: &str) {
        self.ignored.push(Ignored { file: head.name.clone(), reason: reason.to_owned() });
    }
}

impl Found<'_> {
    fn new() -> Self {
        Self { files: Vec::new(), masks: Vec::new(), object_masks: Vec::new() }
    }

    fn entry(mut self, name: String, stem: &str) -> ImageEntry {
        self.files.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
        let mut problems = Vec::new();
        if name != stem {
            let sentence = format!("{name}: several images are called {stem}, so this one is listed by its whole name");
            problems.push(problem("same-stem", sentence, Fix::Nothing));
        }
        let (whole, broken): (Vec<_>, Vec<_>) = self.files.iter().partition(|(_, head)| head.kind.is_image());
        for (_, head) in &broken {
            let sentence =
                format!("{}: this is not a PNG, JPEG or TIFF image despite its name; it may be cut off", head.name);
            problems.push(problem("broken-file", sentence, Fix::Replace { file: head.name.clone() }));
        }
        let double = doubles(&name, &whole, &mut problems);
        let is_set = self.files.iter().any(|(channel, _)| channel.is_some_and(|c| Channel::HPA.contains(&c)));
        let absent = |c: &Channel| !whole.iter().any(|(channel, _)| *channel == Some(*c));
        let missing: Vec<Channel> = Channel::HPA.into_iter().filter(|c| is_set && absent(c)).collect();
        if !missing.is_empty() {
            let sentence = match missing[..] {
                [one] => format!("{name}: the {one} channel is missing; add its file, or fill it with black"),
                _ => format!(
                    "{name}: the {} channels are missing; add their files, or fill them with black",
                    in_words(&missing)
                ),
            };
            problems.push(problem("channel-missing", sentence, Fix::FillBlack { channels: missing.clone() }));
        }
        let state = if whole.is_empty() || double {
            EntryState::Unusable
        } else if missing.is_empty() {
            EntryState::Ready
        } else {
            EntryState::NeedsFill
        };
        let broken =
            missing.iter().copied().filter(|c| broken.iter().any(|(channel, _)| *channel == Some(*c))).collect();
        let files = whole.iter().map(|(channel, head)| ChannelFile { channel: *channel, file: head.name.clone() });
        let files = files.collect();
        let mask = self.mask(&name, &mut problems);
        let mut object_masks: Vec<String> = self.object_masks.iter().map(|head| head.name.clone()).collect();
        object_masks.sort();
        ImageEntry { name, files, mask, object_masks, state, missing, broken, problems }
    }

    /// The first by name of the masks that can be used.
    fn mask(&self, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let mut usable = Vec::new();
        for head in &self.masks {
            let sentence = match head.kind {
                FileKind::Png | FileKind::Tiff => {
                    usable.push(head.name.clone());
                    continue;
                }
                FileKind::Jpeg => {
                    format!("{}: JPEG changes the labels of a mask; it is left out, save it as PNG", head.name)
                }
                _ => format!("{}: this mask is not a PNG or TIFF image; it is left out", head.name),
            };
            let code = if head.kind == FileKind::Jpeg { "mask-lossy" } else { "broken-file" };
            problems.push(problem(code, sentence, Fix::Replace { file: head.name.clone() }));
        }
        usable.sort();
        if usable.len() > 1 {
            let sentence = format!("{name}: it has {} masks; {} is taken", usable.len(), usable[0]);
            problems.push(problem("mask-double", sentence, Fix::KeepOne { files: usable.clone() }));
        }
        usable.into_iter().next()
    }
}

/// Whether a channel has two files; each such channel is a problem.
fn doubles(name: &str, files: &[(Option<Channel>, &FileHead)], problems: &mut Vec<Problem>) -> bool {
    let mut by_channel: BTreeMap<Channel, Vec<String>> = BTreeMap::new();
    for (channel, head) in files {
        if let Some(channel) = channel {
            by_channel.entry(*channel).or_default().push(head.name.clone());
        }
    }
    by_channel.retain(|_, files| files.len() > 1);
    for (channel, files) in &by_channel {
        let sentence =
            format!("{name}: the {channel} channel has {} files ({}); keep one", files.len(), files.join(", "));
        problems.push(problem("channel-double", sentence, Fix::KeepOne { files: files.clone() }));
    }
    !by_channel.is_empty()
}
