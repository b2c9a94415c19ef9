//! The command line: the same commands as the page's, for folders of any size.
//!
//! Exit codes: 0 when all that was asked was done, 1 when something was not, 2 when the command itself is wrong.

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod annotations;
#[cfg(not(target_arch = "wasm32"))]
mod bench;
#[cfg(not(target_arch = "wasm32"))]
mod data;
#[cfg(not(target_arch = "wasm32"))]
mod detect;
#[cfg(not(target_arch = "wasm32"))]
mod evaluate;
#[cfg(not(target_arch = "wasm32"))]
mod first_model;
#[cfg(not(target_arch = "wasm32"))]
mod images;
#[cfg(not(target_arch = "wasm32"))]
mod merge;
#[cfg(not(target_arch = "wasm32"))]
mod models;
#[cfg(not(target_arch = "wasm32"))]
mod output;
#[cfg(not(target_arch = "wasm32"))]
mod plot;
#[cfg(not(target_arch = "wasm32"))]
mod session;
#[cfg(not(target_arch = "wasm32"))]
mod synth;
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

    use crate::{bench, detect, evaluate, merge, models, plot, synth, train};

    /// Finds cells in microscope images with detectors that learn on your own machine.
    #[derive(Parser)]
    #[command(version)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Subcommand)]
    enum Command {
        /// Merge the channel images of a folder into RGB pictures (PNG).
        Merge(merge::Arguments),
        /// Find cells, and write boxes with label, score and mask.
        Detect(detect::Arguments),
        /// Train a detector on annotated images.
        Train(Box<train::Arguments>),
        /// Measure how well a detector agrees with annotated images.
        Evaluate(evaluate::Arguments),
        /// Draw the curves of trainings as SVG.
        Plot(plot::Arguments),
        /// Rewrite a detector file (torchvision .pth or .safetensors) as cytobox writes it.
        Convert { input: PathBuf, output: PathBuf },
        /// Say what a detector file holds.
        Info { file: PathBuf },
        /// Make synthetic images like those of the Human Protein Atlas, with boxes, masks and labels.
        Synth(synth::Arguments),
        /// Measure the kernels on this machine.
        Bench(bench::Arguments),
    }

    pub fn main() -> ExitCode {
        let done = match Arguments::parse().command {
            Command::Merge(arguments) => merge::run(&arguments),
            Command::Detect(arguments) => detect::run(&arguments),
            Command::Train(arguments) => train::run(&arguments),
            Command::Evaluate(arguments) => evaluate::run(&arguments),
            Command::Plot(arguments) => plot::run(&arguments),
            Command::Convert { input, output } => models::convert(&input, &output),
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
