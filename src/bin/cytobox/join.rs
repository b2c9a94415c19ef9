//! `cytobox join`: the shards of a detection as if it had been done by one process.

use std::path::PathBuf;

use cytobox::{
    native::images::ImageOptions,
    scan::{Joined, Whole},
};

use crate::{
    detect,
    images::Failures,
    measured::Measuring,
    results::{self, Output, Tables},
};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox detect plate1/ --out shards/1 --shard 1/2 --format csv,measurements\n  \
                  cytobox detect plate1/ --out shards/2 --shard 2/2 --format csv,measurements\n  \
                  cytobox join shards/1 shards/2 --out results")]
pub struct Arguments {
    /// The folders that `cytobox detect --shard` wrote, all of them.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// The folder for the results, in the formats that the shards were started with.
    #[arg(long)]
    out: PathBuf,
    /// Continue without the images that a shard could not finish, which are listed, instead of stopping.
    #[arg(long)]
    skip_bad: bool,
    /// Replace the results of another detection in the folder.
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let joined = Joined::open(&arguments.shards, arguments.skip_bad)?;
    joined.gaps().iter().for_each(|gap| eprintln!("left out: {gap}"));
    let Whole { settings, classes, results, images, .. } = joined.whole();
    let formats = results.formats.iter().map(|name| results::format(name));
    let output = Output {
        formats: formats.collect::<Result<_, _>>().map_err(anyhow::Error::msg)?,
        with_measurements: results.with_measurements,
        measuring: Measuring::of(results)?,
        options: ImageOptions::default(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let journal = joined.write(&arguments.out, arguments.force, &mut |sentence| eprintln!("{sentence}"))?;
    let mut failures = Failures::default();
    let tables = Tables::Kept(Box::new(joined.tables()?));
    output.write(&arguments.out, &journal, &settings.model, classes, tables, &mut failures)?;
    detect::say_limited(&journal);
    eprintln!("{} of {images} images are joined in {}", journal.len(), arguments.out.display());
    failures.finish(journal.len())
}
