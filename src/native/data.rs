//! Folders of annotated images: what can be used of them, and everything that cannot in one list.

use std::{collections::BTreeMap, path::Path};

use super::{
    annotations::{self, some_of},
    images::{self, ImageOptions},
    session::{Session, unexpected},
};
use crate::{
    annotations::ImageAnnotations,
    channels::{Groups, ImageEntry},
    error::{Error, Result},
    files::{self, Found},
    protocol::{AnnotatedInput, Command, Measured, Outcome},
};

/// How a folder of annotated images is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataOptions {
    /// Continue without the images that cannot be used, instead of stopping.
    pub skip_bad: bool,
    /// Give each connected piece of a label image a number of its own, for masks with one value for all objects.
    pub number_pieces: bool,
    /// How the images are read.
    pub images: ImageOptions,
}

/// An annotated image of a folder whose files have not been read.
#[derive(Debug, Clone)]
pub struct Annotated {
    pub entry: ImageEntry,
    pub annotations: ImageAnnotations,
}

/// Every annotated image of a folder, read. `say` is told of the others, and of everything odd.
///
/// # Errors
/// As [`find`].
pub fn read(
    session: &mut Session,
    folder: &Path,
    options: &DataOptions,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<AnnotatedInput>> {
    let read = |Annotated { entry, annotations }| {
        let image = options.images.read(&entry)?;
        Ok(AnnotatedInput { image, annotations })
    };
    find(session, folder, options, say)?.into_iter().map(read).collect()
}

/// Every annotated image of a folder; each was opened to see that it can be used, and none is held.
///
/// # Errors
/// Images or annotations that cannot be used, unless they are to be skipped; no annotated image.
pub fn find(
    session: &mut Session,
    folder: &Path,
    options: &DataOptions,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Annotated>> {
    let Found { groups, unreadable } = files::find_images(&[folder.to_owned()])?;
    images::report_problems(&groups, say)?;
    let (mut measured, mut broken) = (BTreeMap::new(), BTreeMap::new());
    for entry in &groups.images {
        match measure(session, entry, &options.images) {
            Ok(found) => drop(measured.insert(entry.name.clone(), found)),
            Err(error) => drop(broken.insert(entry.name.clone(), error.to_string())),
        }
    }
    let mut found = annotations::find(session, &groups, &measured, options.number_pieces)?;
    found.notes.iter().for_each(|note| say(note));
    let mut bad: Vec<String> = unreadable.iter().map(|file| format!("{}: {}", file.file, file.reason)).collect();
    bad.append(&mut found.bad);
    let (mut data, mut bare) = (Vec::new(), 0usize);
    for entry in groups.images.iter().cloned() {
        let error = broken.remove(&entry.name);
        match (found.annotations.remove(&entry.name), error) {
            (Some(annotations), None) => {
                let warnings = measured.get(&entry.name).map_or(&[][..], |m| &m.warnings);
                warnings.iter().for_each(|warning| say(warning));
                data.push(Annotated { entry, annotations });
            }
            (Some(_), Some(error)) => bad.push(with_name(&entry.name, &error)),
            (None, Some(error)) => {
                bare += 1;
                say(&format!("left out: {}", with_name(&entry.name, &error)));
            }
            (None, None) => bare += 1,
        }
    }
    if bare > 0 {
        let what = "have no annotations that can be used and are left out";
        say(&format!("{bare} images of {} {what}", folder.display()));
    }
    if !bad.is_empty() && !options.skip_bad {
        let (n, folder, lines) = (bad.len(), folder.display(), bad.join("\n  "));
        let remedy = "Repair or remove them, or continue without them (--skip-bad)";
        return Err(Error::Usage(format!("{n} files of {folder} cannot be used. {remedy}:\n  {lines}")));
    }
    bad.iter().for_each(|sentence| say(&format!("cannot be used: {sentence}")));
    if data.is_empty() { Err(nothing(folder, &groups)) } else { Ok(data) }
}

/// An image's sentence, which may be about one of its files.
fn with_name(name: &str, sentence: &str) -> String {
    if sentence.starts_with(name) { sentence.to_owned() } else { format!("{name}: {sentence}") }
}

/// No image is annotated: which files might have been meant.
fn nothing(folder: &Path, groups: &Groups) -> Error {
    let files: Vec<&str> = groups.annotations.iter().map(String::as_str).collect();
    let seen = match files.len() {
        0 => "there are no annotation files (Pascal VOC, COCO, YOLO, CSV or label images)".to_owned(),
        _ => format!("these files were seen and not used: {}", some_of(&files)),
    };
    Error::Usage(format!("no image of {} has annotations that can be used; {seen}", folder.display()))
}

/// Whether an image can be used, by using it.
fn measure(session: &mut Session, entry: &ImageEntry, options: &ImageOptions) -> Result<Measured> {
    let image = options.read(entry)?;
    match session.run(Command::Measure { image })? {
        Outcome::Measured(measured) => Ok(measured),
        other => Err(unexpected(&other)),
    }
}
