//! `cytobox plot`: the curves of one or several training runs as SVG.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cytobox::{
    files,
    native::session::{Session, unexpected},
    plot::{Chart, Series},
    protocol::{Command, Outcome},
    train::TrainEvent,
};
/// Pixels of the chart.
const SIZE: [u32; 2] = [720, 360];
/// The suffix that a training log adds to the detector's name.
const ENDING: &str = ".safetensors.log.jsonl";

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox plot mine.safetensors.log.jsonl --what ap50 --out curves.svg")]
pub struct Arguments {
    /// Training logs: `FILE.log.jsonl` next to each detector FILE.
    #[arg(required = true)]
    logs: Vec<PathBuf>,
    /// SVG file to write.
    #[arg(long)]
    out: PathBuf,
    /// Which curve to plot over the epochs.
    #[arg(long, value_enum, default_value = "total")]
    what: What,
}

/// The curve to plot over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The sum of the losses.
    Total,
    /// Each loss separately.
    Losses,
    /// AP50 on the validation images.
    Ap50,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut series = Vec::new();
    for log in &arguments.logs {
        let events = read(log)?;
        let name = if arguments.logs.len() > 1 || arguments.what != What::Losses { stem(log) } else { String::new() };
        series.extend(curves(&events, arguments.what, &name));
    }
    if series.iter().all(|one| one.points.is_empty()) {
        bail!("nothing to plot yet: no log contains a training step or a validation of this kind");
    }
    let chart = Chart {
        x_label: "epoch".into(),
        y_label: if arguments.what == What::Ap50 { "AP50" } else { "loss" }.into(),
        y_max: (arguments.what == What::Ap50).then_some(1.0),
        series,
        width: SIZE[0],
        height: SIZE[1],
        dark: false,
    };
    match Session::default().run(Command::Plot { charts: vec![chart] })? {
        Outcome::Plots { svg } => Ok(files::write_file(&arguments.out, svg.concat().as_bytes())?),
        other => Err(unexpected(&other).into()),
    }
}

/// The events of a log. An incomplete last line, left by a run that was killed, is skipped.
fn read(log: &Path) -> anyhow::Result<Vec<TrainEvent>> {
    let text = String::from_utf8(files::read_file(log)?).with_context(|| log.display().to_string())?;
    let lines: Vec<&str> = text.lines().collect();
    let mut events = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if i + 1 == lines.len() => {}
            Err(e) => bail!("{}, line {}: not a training log: {e}", log.display(), i + 1),
        }
    }
    Ok(events)
}

/// The name of the detector that the log belongs to.
fn stem(log: &Path) -> String {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(ENDING).unwrap_or(&name).to_owned()
}

fn curves(events: &[TrainEvent], what: What, name: &str) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let mut add = |label: &str, x: f32, y: f64| {
        let label = [name, label].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let at = series.iter().position(|one| one.name == label).unwrap_or_else(|| {
            series.push(Series { name: label, points: Vec::new() });
            series.len() - 1
        });
        series[at].points.push((f64::from(x), y));
    };
    for event in events {
        match (event, what) {
            (TrainEvent::Step { epoch, total, .. }, What::Total) => add("", *epoch, f64::from(*total)),
            (TrainEvent::Step { epoch, losses, .. }, What::Losses) => {
                for (label, value) in losses.named() {
                    add(label, *epoch, f64::from(value));
                }
            }
            (TrainEvent::Validation(v), What::Ap50) => add("", v.epoch, v.map_50),
            _ => {}
        }
    }
    // A run resumed from a checkpoint logs some steps twice.
    for one in &mut series {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use cytobox::train::Validation;

    fn events() -> Vec<TrainEvent> {
        let step = |step: u64, total: f32| TrainEvent::Step {
            step,
            epoch: step as f32,
            losses: Default::default(),
            total,
            gradient_norm: 1.0,
            learning_rate: 0.1,
            images_per_second: 1.0,
            progress: 0.5,
            seconds_left: 1.0,
        };
        let validation = TrainEvent::Validation(Validation {
            step: 2,
            epoch: 2.0,
            map_50: 0.5,
            map_50_95: 0.25,
            class_agnostic_50: 0.75,
            per_class: Default::default(),
            best: true,
        });
        vec![step(1, 4.0), step(3, 2.0), validation, step(2, 3.0)]
    }

    #[test]
    fn each_kind_of_curve_is_plotted_separately() {
        let [total] = &curves(&events(), What::Total, "a")[..] else { panic!("one curve") };
        assert_eq!((total.name.as_str(), total.points.as_slice()), ("a", &[(1.0, 4.0), (2.0, 3.0), (3.0, 2.0)][..]));
        let losses = curves(&events(), What::Losses, "a");
        assert_eq!((losses.len(), losses[2].name.as_str()), (5, "a loss_mask"));
        assert_eq!(curves(&events(), What::Ap50, "")[0].points, [(2.0, 0.5)]);
    }

    #[test]
    fn an_incomplete_last_line_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("mine.safetensors.log.jsonl");
        let lines: Vec<String> = events().iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        std::fs::write(&log, format!("{}\n{}", lines.join("\n"), &lines[0][..20])).unwrap();
        assert_eq!(read(&log).unwrap(), events());
        assert_eq!(stem(&log), "mine");
        std::fs::write(&log, format!("nonsense\n{}", lines[0])).unwrap();
        assert!(read(&log).unwrap_err().to_string().contains("line 1"));
    }
}
