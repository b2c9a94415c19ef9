//! `cytobox merge`: channel sets to RGB images.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use cytobox::{
    Error,
    channels::ImageEntry,
    engine::{self, Opened},
    export, files,
    scan::Names,
};

use crate::images::{self, Channels};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox merge plate1/ --out merged")]
pub struct Arguments {
    /// Images or folders to merge.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Output folder for the merged images.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    channels: Channels,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut options = arguments.channels.options()?;
    let (groups, mut failures) = images::find(&arguments.paths)?;
    let known: HashSet<PathBuf> = groups.images.iter().flat_map(sources).collect();
    options.bit_depth = images::decide_depth(&options, None, &groups.images);
    let bar = images::progress_bar(groups.images.len());
    let names = Names::new(&arguments.paths, &groups)?;
    let images: Vec<String> = groups.images.iter().map(|entry| names.of(entry).image).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let one = |entry: &ImageEntry, name: &str| -> cytobox::Result<()> {
        let path = arguments.out.join(format!("{name}.png"));
        if path.canonicalize().is_ok_and(|place| known.contains(&place)) {
            return Err(Error::io(&path, "this would overwrite one of the images; choose another --out"));
        }
        let Opened { set, merged_image, .. } = engine::merged_image(&options.read(entry)?)?;
        images::warn(&bar, &set.warnings);
        files::write_file(&path, &merged_image.to_png()?)
    };
    for (entry, name) in groups.images.iter().zip(export::file_names(&images, &[])) {
        if let Err(e) = one(entry, &name) {
            failures.add(&bar, &entry.name, &e);
        }
        bar.inc(1);
    }
    bar.finish();
    failures.finish(groups.images.len())
}

/// The canonical paths of an image's files, however they were given on the command line.
fn sources(entry: &ImageEntry) -> impl Iterator<Item = PathBuf> {
    let files = entry.files.iter().map(|file| &file.file).chain(&entry.mask);
    files.filter_map(|file| Path::new(file).canonicalize().ok())
}
