//! `cytobox merge`: channel sets to RGB pictures.

use std::path::PathBuf;

use cytobox::{channels::ImageEntry, engine, scan};

use crate::images::{self, Channels, Failures};

#[derive(clap::Args)]
pub struct Arguments {
    /// Images or folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The folder for the merged pictures.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    channels: Channels,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let merge = arguments.channels.weights()?;
    let groups = images::find(&arguments.paths)?;
    let bar = images::progress_bar(groups.images.len());
    let mut failures = Failures::default();
    let one = |entry: &ImageEntry| -> cytobox::Result<()> {
        let input = arguments.channels.read(entry, merge.as_ref())?;
        let png = engine::picture(&input)?.picture.to_png()?;
        scan::write_file(&arguments.out.join(format!("{}.png", entry.name)), &png)
    };
    for entry in &groups.images {
        if let Err(e) = one(entry) {
            failures.add(&bar, &entry.name, &e);
        }
        bar.inc(1);
    }
    bar.finish();
    failures.finish(groups.images.len())
}
