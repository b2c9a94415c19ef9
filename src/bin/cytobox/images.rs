//! What the commands over images share: finding them, reading them, the progress bar.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use cytobox::{
    channels::{Groups, ImageEntry, Merge},
    protocol::{ImageFile, ImageInput},
    scan,
};
use indicatif::{ProgressBar, ProgressStyle};

/// How channel sets become pictures.
#[derive(clap::Args)]
pub struct Channels {
    /// Fill missing channels with black instead of leaving the image out.
    #[arg(long)]
    fill_missing: bool,
    /// Weights of the channels into red, green and blue as JSON, such as '{"red":[1,0,0],"yellow":[0.5,0.5,0]}'.
    #[arg(long, value_name = "JSON")]
    merge: Option<String>,
}

impl Channels {
    pub fn weights(&self) -> anyhow::Result<Option<Merge>> {
        self.merge.as_deref().map(|json| serde_json::from_str(json).context("--merge")).transpose()
    }

    /// Reads the files of one image.
    pub fn read(&self, entry: &ImageEntry, merge: Option<&Merge>) -> cytobox::Result<ImageInput> {
        let fill = if self.fill_missing { entry.missing.clone() } else { Vec::new() };
        let files = entry
            .files
            .iter()
            .map(|file| Ok(ImageFile { bytes: scan::read_file(file.file.as_ref())?, file: file.clone() }))
            .collect::<cytobox::Result<_>>()?;
        Ok(ImageInput { name: entry.name.clone(), files, fill, merge: merge.cloned() })
    }
}

/// The images under `paths`; what is not an image is said.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Groups> {
    let groups = scan::find_images(paths)?;
    for ignored in &groups.ignored {
        eprintln!("left out: {}: {}", ignored.file, ignored.reason);
    }
    if groups.images.is_empty() {
        bail!("no images there; PNG, JPEG and TIFF are read");
    }
    Ok(groups)
}

/// A bar with time left, which a pipe does not see.
pub fn progress_bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} images, {eta} left  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Counts what went wrong, one line each, so that one broken image does not stop the rest.
#[derive(Default)]
pub struct Failures(usize);

impl Failures {
    pub fn add(&mut self, bar: &ProgressBar, image: &str, error: &cytobox::Error) {
        self.0 += 1;
        bar.suspend(|| eprintln!("not done: {image}: {error}"));
    }

    /// An error if there were any, so that the exit code tells.
    pub fn finish(self, total: usize) -> anyhow::Result<()> {
        match self.0 {
            0 => Ok(()),
            n => bail!("{n} of {total} images could not be done; see the lines above"),
        }
    }
}
