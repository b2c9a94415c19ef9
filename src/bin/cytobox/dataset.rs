//! Folders of annotated images: `STEM.xml` (Pascal VOC) beside each image, and perhaps `STEM_mask.png`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cytobox::{
    annotations::{self, ImageAnnotations, attach, names, voc},
    channels::{ImageEntry, Merge, Picture},
    engine::{self, Opened},
    files,
    masks::LabelImage,
};

use crate::images::{self, Channels};

/// What cells are called where only masks say where they are.
const MASKED: &str = "cell";

/// One image with what people say of it.
pub struct Annotated {
    pub picture: Picture,
    pub annotations: ImageAnnotations,
    /// How its channels became the picture.
    pub merge: Merge,
}

/// Every annotated image of a folder; the others, and everything odd, are said.
pub fn read(folder: &Path, channels: &Channels, merge: Option<&Merge>) -> anyhow::Result<Vec<Annotated>> {
    let (groups, unreadable) = images::find(&[folder.to_owned()])?;
    // Numbers of a part of the images would look like those of all.
    unreadable.finish(groups.images.len())?;
    let (mut found, mut bare) = (Vec::new(), 0usize);
    for entry in &groups.images {
        match one(entry, channels, merge).with_context(|| entry.name.clone())? {
            Some(annotated) => found.push(annotated),
            None => bare += 1,
        }
    }
    if bare > 0 {
        eprintln!("{bare} images of {} have no annotations and are left out", folder.display());
    }
    if found.is_empty() {
        bail!("no image of {} has annotations (STEM.xml or STEM_mask.png beside it)", folder.display());
    }
    Ok(found)
}

fn one(entry: &ImageEntry, channels: &Channels, merge: Option<&Merge>) -> anyhow::Result<Option<Annotated>> {
    let Some(first) = entry.files.first() else { return Ok(None) };
    let folder = Path::new(&first.file).parent().map_or_else(PathBuf::new, Path::to_owned);
    let stem = names::stem(&entry.name);
    let xml = folder.join(format!("{stem}.xml"));
    let labels = match &entry.mask {
        Some(file) => Some((file, LabelImage::decode(file, &files::read_file(file.as_ref())?)?)),
        None => None,
    };
    let mut parsed = match (xml.exists(), &labels) {
        (true, _) => voc::read(&xml.display().to_string(), &files::read_file(&xml)?)?,
        (false, Some((_, labels))) => {
            let value = attach::objects_of(&entry.name, labels, MASKED)?;
            annotations::Parsed { value, warnings: Vec::new(), rejected: Vec::new() }
        }
        (false, None) => return Ok(None),
    };
    if let (true, Some((file, labels))) = (xml.exists(), &labels) {
        attach::attach_masks(&mut parsed, file, labels)?;
    }
    parsed.warnings.iter().for_each(|warning| eprintln!("{}: {warning}", entry.name));
    parsed.rejected.iter().for_each(|error| eprintln!("left out: {error}"));
    let Opened { set, merge, picture } = engine::picture(&channels.read(entry, merge)?)?;
    set.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let mut annotations = parsed.value;
    let size = (annotations.width, annotations.height);
    if size != (0, 0) && size != (picture.width, picture.height) {
        bail!("annotated at {} × {} pixels, but it has {} × {}", size.0, size.1, picture.width, picture.height);
    }
    annotations.image.clone_from(&entry.name);
    (annotations.width, annotations.height) = (picture.width, picture.height);
    Ok(Some(Annotated { picture, annotations, merge }))
}
