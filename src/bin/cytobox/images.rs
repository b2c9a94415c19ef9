//! What the commands over images share: finding them, reading them, the progress bar.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use cytobox::{
    channels::{Groups, ImageEntry, Merge},
    files::{self, Found},
    protocol::{ImageFile, ImageInput},
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

    /// Reads the files of one image; what its name alone rules out is not read.
    pub fn read(&self, entry: &ImageEntry, merge: Option<&Merge>) -> cytobox::Result<ImageInput> {
        entry.check()?;
        let fill = if self.fill_missing { entry.missing.clone() } else { Vec::new() };
        let files = entry
            .files
            .iter()
            .map(|file| Ok(ImageFile { bytes: files::read_file(file.file.as_ref())?, file: file.clone() }))
            .collect::<cytobox::Result<_>>()?;
        Ok(ImageInput { name: entry.name.clone(), files, fill, merge: merge.cloned(), detector_merge: None })
    }
}

/// The images under `paths`, and those of them that could not be read; what is not an image, and what is odd about one, is
/// said.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<(Groups, Failures)> {
    let Found { groups, unreadable } = files::find_images(paths)?;
    for file in &unreadable {
        eprintln!("not done: {}: {}", file.file, file.reason);
    }
    tell(&groups)?;
    Ok((groups, Failures { unreadable: unreadable.len(), images: 0 }))
}

/// Says what is not an image, and what is odd about one.
pub fn tell(groups: &Groups) -> anyhow::Result<()> {
    for ignored in &groups.ignored {
        eprintln!("left out: {}: {}", ignored.file, ignored.reason);
    }
    for image in &groups.images {
        // A channel that is missing is filled, and that is said, or the image fails for it.
        let odd = image.problems.iter().filter(|problem| problem.code != "channel-missing");
        odd.for_each(|problem| eprintln!("{}", problem.sentence));
    }
    if groups.images.is_empty() {
        bail!("no images there; PNG, JPEG and TIFF are read");
    }
    Ok(())
}

/// Says what is odd about an image.
pub fn warn(bar: &ProgressBar, warnings: &[String]) {
    bar.suspend(|| warnings.iter().for_each(|warning| eprintln!("{warning}")));
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

/// Counts what went wrong, one line each, so that one broken image does not stop the rest. It begins with what could not
/// even be read.
pub struct Failures {
    unreadable: usize,
    images: usize,
}

impl Failures {
    pub fn add(&mut self, bar: &ProgressBar, image: &str, error: &cytobox::Error) {
        self.images += 1;
        bar.suspend(|| eprintln!("not done: {image}: {error}"));
    }

    /// An error if there were any, so that the exit code tells.
    pub fn finish(self, total: usize) -> anyhow::Result<()> {
        match (self.images, self.unreadable) {
            (0, 0) => Ok(()),
            (n, 0) => bail!("{n} of {total} images could not be done; see the lines above"),
            (0, n) => bail!("{n} files or folders could not be read; see the lines above"),
            (n, m) => bail!(
                "{n} of {total} images could not be done, and {m} files or folders not be read; see the lines above"
            ),
        }
    }
}
