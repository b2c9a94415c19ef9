//! `cytobox synth`: synthetic samples with boxes, masks and labels.

use std::path::PathBuf;

use cytobox::{
    files,
    synth::{self, SynthOptions},
};

use crate::images;

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder for the images, `STEM.xml` and `STEM_mask.png`.
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 10)]
    images: u32,
    /// The same seed gives the same images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Pixels.
    #[arg(long, default_value_t = 512)]
    width: u32,
    /// Pixels.
    #[arg(long, default_value_t = 512)]
    height: u32,
    /// 16-bit samples instead of 8-bit ones.
    #[arg(long)]
    sixteen_bit: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { width, height, sixteen_bit, seed, .. } = *arguments;
    let options = SynthOptions { width, height, sixteen_bit, seed, ..SynthOptions::default() };
    options.check()?;
    let bar = images::progress_bar(arguments.images as usize);
    for index in 0..arguments.images {
        for file in synth::files(&synth::generate(&options, index)?)? {
            files::write_file(&arguments.out.join(&file.name), &file.bytes)?;
        }
        bar.inc(1);
    }
    bar.finish();
    Ok(())
}
