//! The annotation files of a folder, in every layout that the page takes, brought to its images.
//!
//! Files of single images are read together; a table, which speaks of many images, by itself, as the page does. Where
//! folders have images of one name, each folder's files are read with that folder's images.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cytobox::{
    annotations::{ImageAnnotations, dataset::ImageInfo, gather::Gathered, names},
    boxes::iou,
    channels::{Groups, ImageEntry},
    export::NamedBytes,
    files,
    protocol::{Command, Measured, Outcome},
};

use crate::session::{Session, unexpected};

/// What cells are called where only masks say where they are.
const MASKED: &str = "cell";
/// A mask and a box that overlap as much are of the same cell.
const SAME_CELL: f32 = 0.5;
/// Endings that the name of an annotation may have where its image has none.
const CHANNELS: [&str; 5] = ["_red", "_green", "_blue", "_yellow", "_merged"];

/// What annotation files say of images.
#[derive(Default)]
pub struct Found {
    /// By the name of the image.
    pub annotations: BTreeMap<String, ImageAnnotations>,
    /// Annotations of images that are there which cannot be used, and why.
    pub bad: Vec<String>,
    /// What was put right, and what was left out.
    pub notes: Vec<String>,
    /// Images whose boxes were in a file of their own.
    boxed: BTreeSet<String>,
    without_image: BTreeSet<String>,
}

/// Reads every annotation file among `groups`; `measured` has the images whose size is known.
pub fn find(session: &mut Session, groups: &Groups, measured: &BTreeMap<String, Measured>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for batch in batches(groups) {
        let files = match batch.paths.iter().map(|path| named(path)).collect::<cytobox::Result<Vec<_>>>() {
            Ok(files) => files,
            Err(error) => {
                found.bad.push(error.to_string());
                continue;
            }
        };
        let size = |name: &str| measured.get(name).map_or((0, 0), |m| (m.width, m.height));
        let info = |(given, name): (&String, &String)| {
            let (width, height) = size(name);
            ImageInfo { name: given.clone(), width, height }
        };
        let orientation = |(given, name): (&String, &String)| Some((given.clone(), measured.get(name)?.orientation));
        let command = Command::ReadAnnotations {
            images: batch.images.iter().map(info).collect(),
            orientations: batch.images.iter().filter_map(orientation).collect(),
            files: files.clone(),
            label: MASKED.to_owned(),
        };
        match session.run(command)? {
            Outcome::Annotations(gathered) => found.take(gathered, &batch, &files),
            other => return Err(unexpected(&other).into()),
        }
    }
    for list in [&mut found.bad, &mut found.notes] {
        // A list of class names is read with the files of each folder.
        let mut said = BTreeSet::new();
        list.retain(|sentence| said.insert(sentence.clone()));
    }
    if !found.without_image.is_empty() {
        let names = found.without_image.iter().map(String::as_str).collect::<Vec<_>>();
        found.notes.push(format!("annotations without an image: {}", some_of(&names)));
    }
    Ok(found)
}

fn named(path: &str) -> cytobox::Result<NamedBytes> {
    Ok(NamedBytes { name: path.to_owned(), bytes: files::read_file(Path::new(path))? })
}

/// The first names, and how many more there are.
pub fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Files that are read together, and the images that they may be of.
struct Batch {
    paths: Vec<String>,
    /// The images' own names by those under which the files know them.
    images: BTreeMap<String, String>,
    /// One file that speaks of many images.
    is_table: bool,
}

fn batches(groups: &Groups) -> Vec<Batch> {
    let whole: BTreeMap<String, String> = groups.images.iter().map(|i| (i.name.clone(), i.name.clone())).collect();
    let (tables, singles): (Vec<&String>, Vec<&String>) = groups.annotations.iter().partition(|path| is_table(path));
    let masks = groups.images.iter().filter_map(|image| Some((image, image.mask.as_ref()?)));
    let mut batches = Vec::new();
    if groups.images.iter().any(|image| image.name.contains(['/', '\\'])) {
        batches = by_folder(groups, &singles, masks, &whole);
    } else {
        let paths: Vec<String> = singles.into_iter().chain(masks.map(|(_, mask)| mask)).cloned().collect();
        if !paths.is_empty() {
            batches.push(Batch { paths, images: whole.clone(), is_table: false });
        }
    }
    let alone = |table: &String| Batch { paths: vec![table.clone()], images: whole.clone(), is_table: true };
    batches.extend(tables.into_iter().map(alone));
    batches
}

/// Each file with the images of the folder that it belongs to, which go by their stems there.
fn by_folder<'a>(
    groups: &'a Groups,
    singles: &[&String],
    masks: impl Iterator<Item = (&'a ImageEntry, &'a String)>,
    whole: &BTreeMap<String, String>,
) -> Vec<Batch> {
    let mut folders: BTreeMap<&str, Batch> = BTreeMap::new();
    let mut add = |image: &'a ImageEntry, path: &String| {
        let folder = folder_of(image);
        let batch = folders.entry(folder).or_insert_with(|| {
            let mut images = whole.clone();
            for near in groups.images.iter().filter(|near| folder_of(near) == folder) {
                images.insert(names::base_name(&near.name), near.name.clone());
            }
            Batch { paths: Vec::new(), images, is_table: false }
        });
        batch.paths.push(path.clone());
    };
    let (mut lists, mut rest) = (Vec::new(), Vec::new());
    for path in singles {
        match nearest(path, &groups.images) {
            Some(image) => add(image, path),
            // The names of classes are for the files of every folder.
            None if extension(path) != "xml" => lists.push((*path).clone()),
            None => rest.push((*path).clone()),
        }
    }
    masks.for_each(|(image, mask)| add(image, mask));
    let mut batches: Vec<Batch> = folders.into_values().collect();
    if !rest.is_empty() {
        batches.push(Batch { paths: rest, images: whole.clone(), is_table: false });
    }
    batches.iter_mut().for_each(|batch| batch.paths.extend(lists.iter().cloned()));
    batches
}

/// The folder of an image's files.
fn folder_of(image: &ImageEntry) -> &str {
    image.files.first().and_then(|file| file.file.rsplit_once(['/', '\\'])).map_or("", |(folder, _)| folder)
}

/// The image that a file of its name belongs to: of several of one name, that which shares the most folders with it.
fn nearest<'a>(path: &str, images: &'a [ImageEntry]) -> Option<&'a ImageEntry> {
    let stem = names::stem(path);
    let folder: Vec<&str> = path.split(['/', '\\']).collect();
    let shared =
        |image: &ImageEntry| folder_of(image).split(['/', '\\']).zip(&folder).take_while(|(a, b)| a == *b).count();
    let mut near: Vec<(usize, &ImageEntry)> =
        images.iter().filter(|i| is_of(&stem, &names::base_name(&i.name))).map(|i| (shared(i), i)).collect();
    near.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
    match near[..] {
        [] => None,
        [(first, _), (second, _), ..] if first == second => None,
        [(_, image), ..] => Some(image),
    }
}

/// Whether an annotation file of that stem is called after the image, or after one of its channels.
fn is_of(stem: &str, image: &str) -> bool {
    stem == image || CHANNELS.iter().any(|channel| stem.strip_suffix(channel) == Some(image))
}

fn extension(path: &str) -> String {
    names::base_name(path).rsplit_once('.').map_or_else(String::new, |(_, e)| e.to_ascii_lowercase())
}

/// A file that may speak of many images.
fn is_table(path: &String) -> bool {
    match extension(path).as_str() {
        "csv" | "json" => true,
        // A line of YOLO has no comma, and class names stand one a line.
        "txt" => {
            let bytes = files::read_file(Path::new(path)).unwrap_or_default();
            bytes.split(|b| *b == b'\n').next().is_some_and(|line| line.iter().filter(|b| **b == b',').count() > 0)
        }
        _ => false,
    }
}

impl Found {
    fn take(&mut self, gathered: Gathered, batch: &Batch, files: &[NamedBytes]) {
        self.notes.extend(gathered.warnings);
        self.without_image.extend(gathered.without_image);
        for sentence in gathered.rejected {
            self.reject(sentence, batch, files);
        }
        for annotations in gathered.annotations {
            let Some(name) = batch.images.get(&annotations.image) else { continue };
            let is_boxed = |path: &String| {
                matches!(extension(path).as_str(), "xml" | "txt") && is_of(&names::stem(path), &annotations.image)
            };
            let is_boxed = batch.is_table || batch.paths.iter().any(is_boxed);
            match self.annotations.get(name) {
                None => drop(self.annotations.insert(name.clone(), annotations)),
                // A table beside label images: the names are in the one and the outlines in the other.
                Some(masks) if !self.boxed.contains(name) => match with_masks(&annotations, masks) {
                    Some(both) => drop(self.annotations.insert(name.clone(), both)),
                    None => self.second(name, batch),
                },
                Some(_) => self.second(name, batch),
            }
            if is_boxed {
                self.boxed.insert(name.clone());
            }
        }
    }

    fn second(&mut self, name: &str, batch: &Batch) {
        let file = batch.paths.first().map_or("", String::as_str);
        self.notes.push(format!("{file}: is a second set of annotations for {name}; only the first is used"));
    }

    /// One object costs itself; a file costs its image, unless it was no annotation file to begin with.
    fn reject(&mut self, sentence: String, batch: &Batch, files: &[NamedBytes]) {
        let of = |name: &str| sentence.strip_prefix(name).filter(|rest| rest.starts_with([':', ',']));
        let file = files.iter().filter(|file| of(&file.name).is_some()).max_by_key(|file| file.name.len());
        let image = batch.images.keys().filter(|name| of(name).is_some()).max_by_key(|name| name.len());
        let rest = file.map(|file| &file.name).or(image).and_then(|name| of(name)).unwrap_or_default();
        if rest.starts_with(", object") || rest.contains("is a second set") {
            self.notes.push(format!("left out: {sentence}"));
        } else if file.is_some_and(|file| !is_annotation(file, batch)) {
            self.notes.push(format!("left out, as it is not an annotation of these images: {sentence}"));
        } else {
            self.bad.push(sentence);
        }
    }
}

/// Whether a file says by its name and content that it annotates one of the images. Microscopes and other programs leave
/// XML, JSON and tables of their own beside images.
fn is_annotation(file: &NamedBytes, batch: &Batch) -> bool {
    // UTF-16 has a zero in each letter of a tag.
    let text: Vec<u8> = file.bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let says = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let has_image = || batch.images.keys().any(|image| is_of(&names::stem(&file.name), image));
    match extension(&file.name).as_str() {
        "xml" => has_image() && (says(b"<annotation") || text.trim_ascii().is_empty()),
        "json" => says(b"\"annotations\"") && says(b"\"images\""),
        "csv" => false,
        "txt" => has_image(),
        // A label image, which was found by its name.
        _ => true,
    }
}

/// Boxes with the masks of a label image that came without any; `None` where one of its objects has no box.
fn with_masks(boxes: &ImageAnnotations, masks: &ImageAnnotations) -> Option<ImageAnnotations> {
    if boxes.objects.iter().any(|o| o.mask.is_some()) || masks.objects.iter().any(|o| o.mask.is_none()) {
        return None;
    }
    let mut both = boxes.clone();
    let mut open: BTreeSet<usize> = (0..both.objects.len()).collect();
    for object in &masks.objects {
        let overlap = |i: usize| iou(both.objects[i].bbox.corners(), object.bbox.corners());
        let best = open.iter().copied().max_by(|&a, &b| overlap(a).total_cmp(&overlap(b)))?;
        if overlap(best) < SAME_CELL {
            return None;
        }
        open.remove(&best);
        both.objects[best].mask.clone_from(&object.mask);
    }
    Some(both)
}
