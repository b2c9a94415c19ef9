//! Folders of annotated images: what can be used of them, and everything that cannot in one list.

use std::{collections::BTreeMap, path::Path};

use anyhow::bail;
use cytobox::{
    channels::{Groups, ImageEntry, Merge},
    files::{self, Found},
    protocol::{AnnotatedInput, Command, Measured, Outcome},
};

use crate::{
    annotations::{self, some_of},
    images::{self, Channels},
    session::{Session, unexpected},
};

/// What the commands that need annotated images share.
#[derive(clap::Args)]
pub struct Options {
    /// Continue without the images that cannot be used, which are listed, instead of stopping.
    #[arg(long)]
    skip_bad: bool,
    /// Give each connected piece of a label image a number of its own, for masks with one value for all objects.
    #[arg(long)]
    number_pieces: bool,
    #[command(flatten)]
    pub channels: Channels,
}

/// Every annotated image of a folder; the others, and everything odd, are said.
pub fn read(session: &mut Session, folder: &Path, options: &Options) -> anyhow::Result<Vec<AnnotatedInput>> {
    let merge = options.channels.weights()?;
    let Found { groups, unreadable } = files::find_images(&[folder.to_owned()])?;
    images::print_problems(&groups)?;
    let (mut measured, mut broken) = (BTreeMap::new(), BTreeMap::new());
    for entry in &groups.images {
        match measure(session, entry, options, merge.as_ref()) {
            Ok(found) => drop(measured.insert(entry.name.clone(), found)),
            Err(error) => drop(broken.insert(entry.name.clone(), error.to_string())),
        }
    }
    let mut found = annotations::find(session, &groups, &measured, options.number_pieces)?;
    found.notes.iter().for_each(|note| eprintln!("{note}"));
    let mut bad: Vec<String> = unreadable.iter().map(|file| format!("{}: {}", file.file, file.reason)).collect();
    bad.append(&mut found.bad);
    let (mut data, mut bare) = (Vec::new(), 0usize);
    for entry in &groups.images {
        let error = broken.remove(&entry.name);
        match (found.annotations.remove(&entry.name), error) {
            (Some(annotations), None) => {
                let warnings = measured.get(&entry.name).map_or(&[][..], |m| &m.warnings);
                warnings.iter().for_each(|warning| eprintln!("{warning}"));
                let image = options.channels.read(entry, merge.as_ref())?;
                data.push(AnnotatedInput { image, annotations });
            }
            (Some(_), Some(error)) => bad.push(with_name(&entry.name, &error)),
            (None, Some(error)) => {
                bare += 1;
                eprintln!("left out: {}", with_name(&entry.name, &error));
            }
            (None, None) => bare += 1,
        }
    }
    if bare > 0 {
        eprintln!("{bare} images of {} have no annotations that can be used and are left out", folder.display());
    }
    finish(data, &bad, folder, options.skip_bad, &groups)
}

/// An image's sentence, which may be about one of its files.
fn with_name(name: &str, sentence: &str) -> String {
    if sentence.starts_with(name) { sentence.to_owned() } else { format!("{name}: {sentence}") }
}

fn finish(
    data: Vec<AnnotatedInput>,
    bad: &[String],
    folder: &Path,
    skip_bad: bool,
    groups: &Groups,
) -> anyhow::Result<Vec<AnnotatedInput>> {
    let folder = folder.display();
    bad.iter().for_each(|sentence| eprintln!("cannot be used: {sentence}"));
    if !bad.is_empty() && !skip_bad {
        bail!(
            "{} files of {folder} cannot be used; see the lines above. Repair or remove them, or continue without them \
             with --skip-bad",
            bad.len()
        );
    }
    if data.is_empty() {
        let files: Vec<&str> = groups.annotations.iter().map(String::as_str).collect();
        let seen = match files.len() {
            0 => "there are no annotation files (Pascal VOC, COCO, YOLO, CSV or label images)".to_owned(),
            _ => format!("these files were seen and not used: {}", some_of(&files)),
        };
        bail!("no image of {folder} has annotations that can be used; {seen}");
    }
    Ok(data)
}

/// Whether an image can be used, by using it.
fn measure(
    session: &mut Session,
    entry: &ImageEntry,
    options: &Options,
    merge: Option<&Merge>,
) -> cytobox::Result<Measured> {
    let image = options.channels.read(entry, merge)?;
    match session.run(Command::Measure { image })? {
        Outcome::Measured(measured) => Ok(measured),
        other => Err(unexpected(&other)),
    }
}
