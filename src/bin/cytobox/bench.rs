//! `cytobox bench`: this project's convolutions compared with burn's and with the device's peak.

use std::time::Instant;

use cytobox::{
    bench::{BenchResult, BenchTask},
    device::DeviceChoice,
    kernels::bench::BenchLayer,
    native::session::{Session, unexpected},
    protocol::{Command, Outcome},
};

use crate::{data, detect, output::say};

/// The best of as many runs is the peak.
const PEAK_RUNS: usize = 4;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox bench --device cpu")]
pub struct Arguments {
    /// Where to compute: auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// Side of the image in pixels, a multiple of 32.
    #[arg(long, default_value_t = 256)]
    side: usize,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One convolution; rates are in GFLOP/s.
#[derive(serde::Serialize)]
struct Row {
    #[serde(flatten)]
    layer: BenchLayer,
    forward: f64,
    forward_backward: f64,
    burn_forward: f64,
    burn_forward_backward: f64,
}

#[derive(serde::Serialize)]
struct Report {
    /// Multiply-adds from and to registers alone.
    peak: f64,
    rows: Vec<Row>,
}

impl Report {
    /// The geometric mean of one column.
    fn mean(&self, column: impl Fn(&Row) -> f64) -> f64 {
        geometric_mean(self.rows.iter().map(column))
    }

    /// The part of the peak that the forward pass reaches on dense layers.
    fn share_of_peak(&self) -> f64 {
        geometric_mean(self.rows.iter().filter(|r| r.layer.is_dense()).map(|r| r.forward)) / self.peak
    }
}

fn geometric_mean(rates: impl Iterator<Item = f64>) -> f64 {
    let logarithms: Vec<f64> = rates.map(f64::ln).collect();
    (logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64).exp()
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut session = data::open(arguments.device)?;
    let table = !arguments.json;
    if table {
        say!("{:26} {:>20} {:>20}   GFLOP/s", "layer", "forward (burn)", "with backward (burn)");
    }
    let mut report = Report { peak: 0.0, rows: Vec::new() };
    for _ in 0..PEAK_RUNS {
        report.peak = report.peak.max(rate(&mut session, &BenchTask::Peak)?);
    }
    let layers = match session.run(Command::BenchLayers { side: arguments.side })? {
        Outcome::BenchLayers { layers } => layers,
        other => return Err(unexpected(&other).into()),
    };
    for layer in layers {
        let mut best = |burn, backward| best(&mut session, &layer, burn, backward, arguments.seconds);
        let (forward, forward_backward) = (best(false, false)?, best(false, true)?);
        let (burn_forward, burn_forward_backward) = (best(true, false)?, best(true, true)?);
        if table {
            line(&layer.name, [forward, burn_forward, forward_backward, burn_forward_backward]);
        }
        report.rows.push(Row { layer, forward, forward_backward, burn_forward, burn_forward_backward });
    }
    if table {
        line("geometric mean", means(&report));
        say!("multiply-add peak: {:.1} GFLOP/s", report.peak);
        say!("3×3 layers with at least 64 channels: {:.0} % of the peak", 100.0 * report.share_of_peak());
    } else {
        say!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

/// GFLOP/s of one run.
fn rate(session: &mut Session, task: &BenchTask) -> anyhow::Result<f64> {
    match session.run(Command::Bench { task: task.clone(), runs: 1 })? {
        Outcome::Bench(BenchResult { seconds, flops, .. }) => Ok(flops / seconds / 1e9),
        other => Err(unexpected(&other).into()),
    }
}

/// The best of the runs that fit into the time, at least one behind the first, which compiles.
fn best(session: &mut Session, layer: &BenchLayer, burn: bool, backward: bool, seconds: f64) -> anyhow::Result<f64> {
    let BenchLayer { x, w, stride, padding, .. } = *layer;
    let task = BenchTask::Conv { x, w, stride, padding, burn, backward };
    rate(session, &task)?;
    let (started, mut best) = (Instant::now(), 0.0f64);
    while best == 0.0 || started.elapsed().as_secs_f64() < seconds {
        best = best.max(rate(session, &task)?);
    }
    Ok(best)
}

fn means(report: &Report) -> [f64; 4] {
    [
        report.mean(|row| row.forward),
        report.mean(|row| row.burn_forward),
        report.mean(|row| row.forward_backward),
        report.mean(|row| row.burn_forward_backward),
    ]
}

fn line(name: &str, [forward, burn, both, burn_both]: [f64; 4]) {
    say!("{name:26} {:>20} {:>20}", format!("{forward:.2} ({burn:.2})"), format!("{both:.2} ({burn_both:.2})"));
}
