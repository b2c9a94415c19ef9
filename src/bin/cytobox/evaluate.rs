//! `cytobox evaluate`: how well a detector agrees with annotated images.

use std::{path::PathBuf, time::Instant};

use cytobox::{
    device::DeviceChoice,
    engine,
    evaluate::{self, Evaluation, Measure},
    native::{bundled::Bundled, session::unexpected},
    protocol::{Command, EvaluateOptions, Outcome},
};

use indicatif::ProgressBar;

use crate::{data, detect, images, output::say};

/// Images that are opened to see which channels they have; a folder has one kind as a rule.
const SURVEYED: usize = 8;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox evaluate --data cells/test --model mine.safetensors --json")]
pub struct Arguments {
    /// A folder with annotated images.
    #[arg(long)]
    data: PathBuf,
    /// The detector: a file, `general` or `atlas`; when absent, `atlas` for images with the Atlas's four channels, else
    /// `general`.
    #[arg(long)]
    model: Option<PathBuf>,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// Compare masks instead of boxes.
    #[arg(long)]
    masks: bool,
    /// Detections of each class that count on an image in average precision; as many as the image with the most cells has, at
    /// least 100, when absent. COCO takes 100.
    #[arg(long, alias = "max-dets", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_detections: Option<u32>,
    /// Diameter of the cells in pixels of the images, as for `detect`.
    #[arg(long, value_name = "PIXELS", value_parser = detect::diameter)]
    diameter: Option<f32>,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: data::Options,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut session = data::open(arguments.device)?;
    let images = data::read(&mut session, &arguments.data, &arguments.options)?;
    let (name, bytes) = images::detector(arguments.model.as_deref(), || Bundled::for_annotated(&images))?;
    let trained = session.load(name, bytes)?.config.merge;
    let few = images.iter().step_by(images.len().div_ceil(SURVEYED).max(1));
    // What cannot be read is named when its turn comes.
    let sets = few.filter_map(|image| engine::merged_image(&image.image).ok()).map(|opened| opened.set);
    images::warn_of_channels(&ProgressBar::hidden(), trained.as_ref(), &arguments.options.images()?, sets);
    let (count, started) = (images.len(), Instant::now());
    let measure = if arguments.masks { Measure::Masks } else { Measure::Boxes };
    let (max_detections, diameter) = (arguments.max_detections.map(|n| n as usize), arguments.diameter);
    let options = EvaluateOptions { measure, score: evaluate::Options::default().score, max_detections, diameter };
    let evaluation = match session.run(Command::Evaluate { images, options })? {
        Outcome::Evaluation { evaluation, .. } => evaluation,
        other => return Err(unexpected(&other).into()),
    };
    if let Some(cap) = evaluation.max_detections {
        let why =
            if max_detections.is_some() { "--max-detections" } else { "from the most cells of one image, or 100" };
        eprintln!("average precision over the best {cap} detections of each class on an image ({why})");
    }
    evaluation.limits().iter().for_each(|sentence| eprintln!("{sentence}"));
    let seconds = started.elapsed().as_secs_f64() / count as f64;
    if arguments.json {
        say!("{}", serde_json::to_string(&evaluation)?);
    } else {
        print_metrics(&evaluation);
    }
    eprintln!("{seconds:.2} s an image");
    Ok(())
}

fn print_metrics(e: &Evaluation) {
    let number = |v: Option<f64>| v.map_or_else(|| "—".to_owned(), |v| format!("{v:.3}"));
    say!("{} images, {} cells", e.images, e.boxes);
    say!("AP50 {}, AP50:95 {}", number(e.map_50), number(e.map_50_95));
    for (label, class) in &e.per_class {
        let average = &class.average;
        say!("  {label}: AP50 {}, AP50:95 {}, {} cells", number(average.ap_50), number(average.ap_50_95), class.boxes);
    }
    say!("class-agnostic: AP50 {}, AP50:95 {}", number(e.class_agnostic.ap_50), number(e.class_agnostic.ap_50_95));
}
