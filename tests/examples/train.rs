//! Fine-tunes the bundled detector on a folder of annotated images.
//!
//! ```text
//! cargo run --release -- synth --out cells --images 8
//! cargo run --release --example train -- cells mine.safetensors 5
//! ```
#![cfg_attr(target_arch = "wasm32", allow(unused))]

use cytobox::{Observer, TrainEvent, TrainObserver};

/// Prints the losses and the validations.
struct Printer;

impl Observer for Printer {}

impl TrainObserver for Printer {
    fn event(&self, event: TrainEvent) {
        match event {
            TrainEvent::Step { step, epoch, total, .. } => println!("step {step}, epoch {epoch:.1}: loss {total:.3}"),
            TrainEvent::Validation(measured) => println!("AP50 {:.3} on held-out images", measured.map_50),
            _ => {}
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> cytobox::Result<()> {
    use cytobox::{Detector, TrainOptions};

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, out, epochs @ ..] = arguments.as_slice() else {
        eprintln!("usage: train FOLDER DETECTOR [EPOCHS]");
        std::process::exit(2);
    };
    let epochs = epochs.first().and_then(|number| number.parse().ok()).unwrap_or(10);

    let mut detector = Detector::bundled()?;
    let summary = detector.train_with(folder, &TrainOptions::epochs(epochs), &Printer)?;
    detector.save(out)?;
    println!("{} steps in {:.0} s; classes: {}", summary.steps, summary.seconds, detector.classes().join(", "));
    Ok(())
}
