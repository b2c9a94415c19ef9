//! `cytobox bench`: this project's convolutions compared with burn's and with the device's peak.

use cytobox::{
    device,
    kernels::bench::{self, BenchReport, BenchRow},
    protocol::DeviceChoice,
};

use crate::{detect, output::say};

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

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let active = pollster::block_on(device::open(arguments.device, None))?;
    let table = !arguments.json;
    if table {
        say!("{}: {}", active.report.name, active.report.why);
        say!("{:26} {:>20} {:>20}   GFLOP/s", "layer", "forward (burn)", "with backward (burn)");
    }
    let print = |row: &BenchRow| {
        if table {
            line(&row.layer.name, [row.forward, row.burn_forward, row.forward_backward, row.burn_forward_backward]);
        }
    };
    let report = pollster::block_on(bench::run(&active.device, arguments.side, arguments.seconds, print))?;
    if table {
        line("geometric mean", means(&report));
        say!("multiply-add peak: {:.1} GFLOP/s", report.peak);
        say!("3×3 layers with at least 64 channels: {:.0} % of the peak", 100.0 * report.share_of_peak());
    } else {
        say!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

fn means(report: &BenchReport) -> [f64; 4] {
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
