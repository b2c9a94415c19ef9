//! `cytobox synth`: synthetic images with boxes, masks and labels.

use std::path::PathBuf;

use cytobox::{
    files,
    native::session::{Session, unexpected},
    protocol::{Command, Outcome},
    synth::SynthOptions,
};

use crate::images;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox synth --out samples --images 20 --seed 1")]
pub struct Arguments {
    /// Output folder for the images, `NAME.xml` (Pascal VOC) and `NAME_mask.png` (label image).
    #[arg(long)]
    out: PathBuf,
    /// Number of images.
    #[arg(long, default_value_t = 10)]
    images: u32,
    /// Seed of the random number generator; the same seed gives the same images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Width in pixels.
    #[arg(long, default_value_t = 512)]
    width: u32,
    /// Height in pixels.
    #[arg(long, default_value_t = 512)]
    height: u32,
    /// Write 16-bit images instead of 8-bit.
    #[arg(long)]
    sixteen_bit: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { width, height, sixteen_bit, seed, .. } = *arguments;
    let options = SynthOptions { width, height, sixteen_bit, seed, ..SynthOptions::default() };
    options.check()?;
    let mut session = Session::default();
    let bar = images::progress_bar(arguments.images as usize);
    for index in 0..arguments.images {
        let files = match session.run(Command::Synthesize { options: options.clone(), index })? {
            Outcome::Files { files } => files,
            other => return Err(unexpected(&other).into()),
        };
        for file in files {
            files::write_file(&arguments.out.join(&file.name), &file.bytes)?;
        }
        bar.inc(1);
    }
    bar.finish();
    Ok(())
}
