//! The command line: the same commands as on the page, for folders of any size.
//!
//! Exit codes: 0 if everything requested was done, 1 if something failed, 2 if the command line is invalid.

#![warn(clippy::expect_used, clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod bench;
#[cfg(not(target_arch = "wasm32"))]
mod data;
#[cfg(not(target_arch = "wasm32"))]
mod detect;
#[cfg(not(target_arch = "wasm32"))]
mod evaluate;
#[cfg(not(target_arch = "wasm32"))]
mod find_cells;
#[cfg(not(target_arch = "wasm32"))]
mod images;
#[cfg(not(target_arch = "wasm32"))]
mod inputs;
#[cfg(not(target_arch = "wasm32"))]
mod join;
#[cfg(not(target_arch = "wasm32"))]
mod measure;
#[cfg(not(target_arch = "wasm32"))]
mod measured;
#[cfg(not(target_arch = "wasm32"))]
mod merge;
#[cfg(not(target_arch = "wasm32"))]
mod models;
#[cfg(not(target_arch = "wasm32"))]
mod outline;
#[cfg(not(target_arch = "wasm32"))]
mod output;
#[cfg(not(target_arch = "wasm32"))]
mod plan;
#[cfg(not(target_arch = "wasm32"))]
mod plot;
#[cfg(not(target_arch = "wasm32"))]
mod report;
#[cfg(not(target_arch = "wasm32"))]
mod results;
#[cfg(not(target_arch = "wasm32"))]
mod synth;
#[cfg(not(target_arch = "wasm32"))]
mod thresholds;
#[cfg(not(target_arch = "wasm32"))]
mod train;
#[cfg(not(target_arch = "wasm32"))]
mod train_log;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    native::main()
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::{path::PathBuf, process::ExitCode};

    use clap::{Parser, Subcommand};
    use cytobox::model::config::Changes;

    use crate::{
        bench, detect, evaluate, join, measure, merge, models, outline, plan, plot, report, synth, thresholds, train,
    };

    /// Detects cells in microscope images with detectors that you train on your own machine.
    #[derive(Parser)]
    #[command(version)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Subcommand)]
    enum Command {
        /// Merge channel images into RGB images (PNG).
        Merge(merge::Arguments),
        /// Detect cells and write boxes with labels, scores and masks.
        Detect(detect::Arguments),
        /// Outline annotated cells: boxes get masks from a detector's mask head.
        Outline(outline::Arguments),
        /// Print how many images and bytes each shard of a detection has.
        Plan(plan::Arguments),
        /// Join the shards of a detection: check that they are complete, and write the results.
        Join(join::Arguments),
        /// Measure annotated cells: shape, and intensity in every channel.
        Measure(measure::Arguments),
        /// Write what was detected in a folder as one HTML file: counts, distributions, the best cells.
        Report(report::Arguments),
        /// Train a detector on annotated images.
        Train(Box<train::Arguments>),
        /// Evaluate a detector on annotated images.
        Evaluate(evaluate::Arguments),
        /// Choose a score threshold for each class on annotated images and keep it in the detector.
        Thresholds(thresholds::Arguments),
        /// Plot training curves as SVG.
        Plot(plot::Arguments),
        /// Convert a detector file (torchvision's .pth, matterport's .h5, .safetensors) to cytobox's format, or one of matterport's back to .h5.
        #[command(after_help = "Example:\n  cytobox convert maskrcnn.pth mine.safetensors")]
        Convert {
            /// File to read (.pth, .h5 or .safetensors).
            input: PathBuf,
            /// File to write (.safetensors, or .h5 for matterport's Mask_RCNN).
            output: PathBuf,
            /// Detector setting overrides as JSON, by torchvision's names, such as '{"box_nms_thresh":0.4}'.
            #[arg(long, value_name = "JSON", value_parser = models::changes, default_value = "{}", hide_default_value = true)]
            detector: Changes,
        },
        /// Print detector metadata.
        #[command(after_help = "Example:\n  cytobox info mine.safetensors")]
        Info {
            /// Detector file.
            file: PathBuf,
        },
        /// Generate synthetic images like those of the Human Protein Atlas, with boxes, masks and labels.
        Synth(synth::Arguments),
        /// Benchmark the kernels on this machine.
        Bench(bench::Arguments),
    }

    pub fn main() -> ExitCode {
        let done = match Arguments::parse().command {
            Command::Merge(arguments) => merge::run(&arguments),
            Command::Detect(arguments) => detect::run(&arguments),
            Command::Outline(arguments) => outline::run(&arguments),
            Command::Plan(arguments) => plan::run(&arguments),
            Command::Join(arguments) => join::run(&arguments),
            Command::Measure(arguments) => measure::run(&arguments),
            Command::Report(arguments) => report::run(&arguments),
            Command::Train(arguments) => train::run(&arguments),
            Command::Evaluate(arguments) => evaluate::run(&arguments),
            Command::Thresholds(arguments) => thresholds::run(&arguments),
            Command::Plot(arguments) => plot::run(&arguments),
            Command::Convert { input, output, detector } => models::convert(&input, &output, &detector),
            Command::Info { file } => models::info(&file),
            Command::Synth(arguments) => synth::run(&arguments),
            Command::Bench(arguments) => bench::run(&arguments),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("cytobox: {e:#}");
                ExitCode::FAILURE
            }
        }
    }
}
