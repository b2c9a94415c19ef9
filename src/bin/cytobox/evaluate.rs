//! `cytobox evaluate`: how well a detector agrees with annotated images.

use std::{path::PathBuf, time::Instant};

use cytobox::{
    detections::ImageDetections,
    device,
    evaluate::{self, Evaluation, Measure, Options},
    predict::{self, DetectOptions, Found},
    protocol::DeviceChoice,
    weights,
};

use crate::{dataset, detect, first_model, images::Channels, output::say};

#[derive(clap::Args)]
pub struct Arguments {
    /// A folder with images and STEM.xml beside them.
    #[arg(long)]
    data: PathBuf,
    /// The detector file; the one that comes with cytobox when absent.
    #[arg(long)]
    model: Option<PathBuf>,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// Compare masks instead of boxes.
    #[arg(long)]
    masks: bool,
    /// Detections of each class that count on an image in average precision; all when absent. COCO takes 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_dets: Option<u32>,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    channels: Channels,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let active = pollster::block_on(device::open(arguments.device, None))?;
    eprintln!("{}: {}", active.report.name, active.report.why);
    let (name, bytes) = first_model::read(arguments.model.as_deref())?;
    let (detector, _) = weights::load(&name, &bytes, &active.device)?;
    let merge = match arguments.channels.weights()? {
        Some(merge) => Some(merge),
        None => detector.config.merge.clone(),
    };
    let data = dataset::read(&arguments.data, &arguments.channels, merge.as_ref())?;
    let (mut found, started) = (Vec::new(), Instant::now());
    for one in &data {
        let options = DetectOptions::default();
        let Found { detections, limit_reached } =
            pollster::block_on(predict::detect(&detector, &one.picture, &options, &()))?;
        active.check()?;
        found.push(ImageDetections {
            image: one.annotations.image.clone(),
            width: one.picture.width,
            height: one.picture.height,
            detections,
            limit_reached,
            ..ImageDetections::default()
        });
        active.device.memory_cleanup();
    }
    let seconds = started.elapsed().as_secs_f64() / data.len() as f64;
    let pairs: Vec<_> = data.iter().zip(&found).map(|(a, d)| (&a.annotations, d)).collect();
    let measure = if arguments.masks { Measure::Masks } else { Measure::Boxes };
    let max_detections = arguments.max_dets.map(|n| n as usize);
    let evaluation = evaluate::evaluate(&pairs, &Options { measure, max_detections, ..Options::default() })?;
    evaluation.limits().iter().for_each(|sentence| eprintln!("{sentence}"));
    if arguments.json {
        say!("{}", serde_json::to_string(&evaluation)?);
    } else {
        tell(&evaluation);
    }
    eprintln!("{seconds:.2} s an image");
    Ok(())
}

fn tell(e: &Evaluation) {
    let number = |v: Option<f64>| v.map_or_else(|| "—".to_owned(), |v| format!("{v:.3}"));
    say!("{} images, {} cells", e.images, e.boxes);
    say!("AP50 {}, AP50:95 {}", number(e.map_50), number(e.map_50_95));
    for (label, class) in &e.per_class {
        let average = &class.average;
        say!("  {label}: AP50 {}, AP50:95 {}, {} cells", number(average.ap_50), number(average.ap_50_95), class.boxes);
    }
    say!("whatever the class: AP50 {}, AP50:95 {}", number(e.class_ignoring.ap_50), number(e.class_ignoring.ap_50_95));
}
