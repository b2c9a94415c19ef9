//! The annotation files of a folder, in every layout that the page takes, brought to its images.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs,
    path::Path,
};

use super::session::{Session, unexpected};
use crate::{
    annotations::{
        ImageAnnotations,
        dataset::ImageInfo,
        gather::Gathered,
        recognise::{AnnotationKind, Recognised, recognise},
    },
    channels::{Groups, ImageEntry},
    error::Result,
    export::NamedBytes,
    files,
    protocol::{Command, Measured, Outcome},
};

/// What cells are called where only masks say where they are.
const MASKED: &str = "cell";
/// Bytes of files that are read together; the files of one image always are.
const BATCH_BYTES: u64 = 1 << 30;

/// What annotation files say of images.
#[derive(Default)]
pub struct Found {
    /// By the name of the image.
    pub annotations: BTreeMap<String, ImageAnnotations>,
    /// Annotations of images that are there which cannot be used, and why.
    pub bad: Vec<String>,
    /// What was put right, and what was left out.
    pub notes: Vec<String>,
    without_image: BTreeSet<String>,
}

/// Reads every annotation file among `groups`; `measured` has the images whose size is known. `number_pieces` gives each
/// connected piece of a label image a number of its own.
///
/// # Errors
/// None that a file causes: those are in what is found.
pub fn find(
    session: &mut Session,
    groups: &Groups,
    measured: &BTreeMap<String, Measured>,
    number_pieces: bool,
) -> Result<Found> {
    let mut found = Found::default();
    let images: Vec<ImageInfo> = groups.images.iter().map(|image| info(image, measured)).collect();
    let orientations = measured.iter().map(|(name, m)| (name.clone(), m.orientation)).collect::<BTreeMap<_, _>>();
    // Whether a text is a table does not matter here, so that no file is opened for it.
    let names: Vec<(&str, &[u8])> = groups.annotations.iter().map(|path| (path.as_str(), &[][..])).collect();
    let recognised: BTreeMap<&String, Recognised> = groups.annotations.iter().zip(recognise(&names, &images)).collect();
    for paths in batches(groups, &recognised) {
        let mut files = Vec::new();
        for path in paths {
            match files::read_file(Path::new(path)) {
                Ok(bytes) => files.push(NamedBytes { name: path.clone(), bytes }),
                Err(error) => found.bad.push(error.to_string()),
            }
        }
        let command = Command::ReadAnnotations {
            files: files.clone(),
            images: images.clone(),
            label: MASKED.to_owned(),
            number_pieces,
            orientations: orientations.clone(),
        };
        match session.run(command)? {
            Outcome::Annotations(gathered) => found.take(gathered, &images, &files, &recognised),
            other => return Err(unexpected(&other)),
        }
    }
    for list in [&mut found.bad, &mut found.notes] {
        // A list of class names is read with every batch.
        let mut said = BTreeSet::new();
        list.retain(|sentence| said.insert(sentence.clone()));
    }
    if !found.without_image.is_empty() {
        let names = found.without_image.iter().map(String::as_str).collect::<Vec<_>>();
        found.notes.push(format!("annotations without an image: {}", some_of(&names)));
    }
    Ok(found)
}

fn info(image: &ImageEntry, measured: &BTreeMap<String, Measured>) -> ImageInfo {
    let (width, height) = measured.get(&image.name).map_or((0, 0), |m| (m.width, m.height));
    let files = image.files.iter().map(|file| file.file.clone()).collect();
    ImageInfo { files, ..ImageInfo::new(&image.name, width, height) }
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

/// Files that are read together: what belongs to one image by its name stays together, and lists of class names are in
/// every batch.
fn batches<'a>(groups: &'a Groups, recognised: &BTreeMap<&'a String, Recognised>) -> Vec<Vec<&'a String>> {
    let is_list = |path: &&String| recognised[path].kind == AnnotationKind::ClassList;
    let (lists, singles): (Vec<&String>, Vec<&String>) = groups.annotations.iter().partition(is_list);
    let owner = |path: &String| {
        let Recognised { image, stem, .. } = &recognised[path];
        image.as_ref().unwrap_or(stem).clone()
    };
    let mut owned: Vec<(String, &String)> = singles.into_iter().map(|path| (owner(path), path)).collect();
    for image in &groups.images {
        owned.extend(image.mask.iter().chain(&image.object_masks).map(|mask| (image.name.clone(), mask)));
    }
    owned.sort();
    let mut batches: Vec<Vec<&String>> = Vec::new();
    let (mut bytes, mut last) = (BATCH_BYTES, None);
    for (owner, path) in owned {
        let size = fs::metadata(path).map_or(0, |file| file.len());
        if bytes + size > BATCH_BYTES && last.as_ref() != Some(&owner) {
            batches.push(lists.clone());
            bytes = 0;
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(path);
        }
        bytes += size;
        last = Some(owner);
    }
    batches
}

impl Found {
    fn take(
        &mut self,
        gathered: Gathered,
        images: &[ImageInfo],
        files: &[NamedBytes],
        recognised: &BTreeMap<&String, Recognised>,
    ) {
        self.notes.extend(gathered.warnings);
        self.without_image.extend(gathered.without_image);
        for sentence in gathered.rejected {
            self.reject(sentence, images, files, recognised);
        }
        for (annotations, source) in gathered.annotations.into_iter().zip(gathered.sources) {
            match self.annotations.entry(annotations.image.clone()) {
                Entry::Vacant(place) => drop(place.insert(annotations)),
                Entry::Occupied(taken) => {
                    let reason = format!("is a second set of annotations for {}; only the first is used", taken.key());
                    self.notes.push(format!("{source}: {reason}"));
                }
            }
        }
    }

    /// One object costs itself; a file costs its image, unless it was not an annotation file to begin with.
    fn reject(
        &mut self,
        sentence: String,
        images: &[ImageInfo],
        files: &[NamedBytes],
        recognised: &BTreeMap<&String, Recognised>,
    ) {
        let of = |name: &str| sentence.strip_prefix(name).filter(|rest| rest.starts_with([':', ',']));
        let file = files.iter().filter(|file| of(&file.name).is_some()).max_by_key(|file| file.name.len());
        let image = images.iter().map(|image| &image.name).filter(|name| of(name).is_some()).max_by_key(|n| n.len());
        let rest = file.map(|file| &file.name).or(image).and_then(|name| of(name)).unwrap_or_default();
        if rest.starts_with(", object") || rest.contains("is a second set") {
            self.notes.push(format!("left out: {sentence}"));
        } else if file.is_some_and(|file| !is_annotation(file, recognised.get(&file.name))) {
            self.notes.push(format!("left out, as it is not an annotation of these images: {sentence}"));
        } else {
            self.bad.push(sentence);
        }
    }
}

/// Whether a file says by its name and content that it annotates one of the images. Microscopes and other programs leave
/// XML, JSON and tables of their own beside images.
fn is_annotation(file: &NamedBytes, recognised: Option<&Recognised>) -> bool {
    // A label image was found by its name.
    let Some(Recognised { kind, image, is_ambiguous, .. }) = recognised else { return true };
    // UTF-16 has a zero in each letter of a tag.
    let text: Vec<u8> = file.bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let says = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    let has_image = image.is_some() || *is_ambiguous;
    match kind {
        AnnotationKind::Voc => has_image && (says(b"<annotation") || text.trim_ascii().is_empty()),
        AnnotationKind::Json => (says(b"\"annotations\"") && says(b"\"images\"")) || (has_image && says(b"\"shapes\"")),
        AnnotationKind::JsonLines => says(b"\"objects\"") && says(b"\"verified\""),
        AnnotationKind::Yolo | AnnotationKind::Outlines => has_image,
        AnnotationKind::Table | AnnotationKind::ImageLabels | AnnotationKind::ClassList | AnnotationKind::Unknown => {
            false
        }
        AnnotationKind::LabelImage => true,
    }
}
