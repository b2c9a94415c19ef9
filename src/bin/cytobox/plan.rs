//! `cytobox plan`: how many images and bytes each shard would have.

use std::fs;

use cytobox::scan::{Listed, Listing, Shard};

use crate::{inputs::Inputs, output::say};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox plan plate1/ --shards 8 --json")]
pub struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// How many shards.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    shards: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Plan {
    /// From the root of the disk.
    root: String,
    images: usize,
    bytes: u64,
    shards: Vec<Share>,
}

#[derive(serde::Serialize)]
struct Share {
    shard: Shard,
    images: usize,
    bytes: u64,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let found = arguments.inputs.find()?;
    let listing = Listing::new(&found.groups, &found.names);
    let shards = Shard::all(arguments.shards);
    let mut shards: Vec<Share> = shards.map(|shard| Share { shard, images: 0, bytes: 0 }).collect();
    for image in &listing.images {
        let share = Shard::of_key(&image.key, arguments.shards);
        if let Some(share) = shards.get_mut(share.number() as usize - 1) {
            share.images += 1;
            share.bytes += bytes(image);
        }
    }
    let (images, bytes) = shards.iter().fold((0, 0), |(n, b), share| (n + share.images, b + share.bytes));
    let plan = Plan { root: found.names.root().display().to_string(), images, bytes, shards };
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&plan)?);
    } else {
        say!("{:>12} {:>12} {:>16}", "shard", "images", "bytes");
        for Share { shard, images, bytes } in &plan.shards {
            say!("{:>12} {images:>12} {bytes:>16}", shard.to_string());
        }
        say!("{:>12} {images:>12} {bytes:>16}", "all");
    }
    found.failures.finish(images)
}

/// Of all files of an image.
fn bytes(image: &Listed) -> u64 {
    image.entry.files.iter().map(|file| fs::metadata(&file.file).map_or(0, |metadata| metadata.len())).sum()
}
