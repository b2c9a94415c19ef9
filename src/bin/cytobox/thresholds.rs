//! `cytobox thresholds`: a score threshold for each class, chosen on annotated images and kept in the detector.

use std::path::PathBuf;

use anyhow::bail;
use cytobox::{
    device::DeviceChoice,
    evaluate::{self, Goal, Measure, Threshold},
    files,
    native::{bundled::Bundled, session::unexpected},
    predict::DEFAULT_SCORE,
    protocol::{Command, EvaluateOptions, Outcome},
    weights,
};

use crate::{data, detect, images, output::say};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cytobox thresholds --data cells/val --model mine.safetensors --out mine-thresholds.safetensors \
                  --precision 0.95"
)]
pub struct Arguments {
    /// A folder with annotated images that the detector was not trained on.
    #[arg(long)]
    data: PathBuf,
    /// The detector: a file, `general` or `atlas`; when absent, `atlas` for images with the Atlas's four channels, else
    /// `general`.
    #[arg(long)]
    model: Option<PathBuf>,
    /// The detector file to write; only the thresholds are printed when absent.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Choose the lowest threshold with at least this precision, from 0 to 1, instead of the best F1.
    #[arg(long, value_parser = precision)]
    precision: Option<f64>,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// Diameter of the cells in pixels of the images, as for `detect`.
    #[arg(long, value_name = "PIXELS", value_parser = detect::diameter)]
    diameter: Option<f32>,
    /// Compare masks instead of boxes.
    #[arg(long)]
    masks: bool,
    #[command(flatten)]
    options: data::Options,
}

fn precision(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a precision is a number from 0 to 1".into()),
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut session = data::open(arguments.device)?;
    let images = data::read(&mut session, &arguments.data, &arguments.options)?;
    let (name, bytes) = images::detector(arguments.model.as_deref(), || Bundled::for_annotated(&images))?;
    let classes = session.load(name.clone(), bytes.clone())?.config.classes;
    let measure = if arguments.masks { Measure::Masks } else { Measure::Boxes };
    let score = evaluate::Options::default().score;
    let options = EvaluateOptions { measure, score, max_detections: None, diameter: arguments.diameter };
    let evaluation = match session.run(Command::Evaluate { images, options })? {
        Outcome::Evaluation { evaluation, .. } => evaluation,
        other => return Err(unexpected(&other).into()),
    };
    let goal = arguments.precision.map_or(Goal::BestF1, |least| Goal::Precision { least });
    let chosen = evaluation.thresholds(goal);
    let before = evaluation.at_score(DEFAULT_SCORE);
    let cost = |t: &Threshold| format!("precision {:.3}, recall {:.3}, F1 {:.3}", t.precision, t.recall, t.f1);
    for class in classes.iter().skip(1) {
        match (chosen.get(class), before.get(class)) {
            (Some(new), Some(old)) => {
                say!("{class}: {:.2}: {} (at {DEFAULT_SCORE}: {})", new.score, cost(new), cost(old));
            }
            (None, Some(old)) => {
                say!("{class}: no threshold reaches that precision; {DEFAULT_SCORE} stays: {}", cost(old))
            }
            _ => say!("{class}: not annotated in these images; {DEFAULT_SCORE} stays"),
        }
    }
    if let Some(out) = &arguments.out {
        if chosen.is_empty() {
            bail!("no class has a threshold that reaches the goal, so {} is not written", out.display());
        }
        let scores = chosen.into_iter().filter(|(class, _)| classes.contains(class)).map(|(class, t)| (class, t.score));
        files::write_file(out, &weights::with_thresholds(&name, &bytes, scores.collect())?)?;
    }
    Ok(())
}
