//! Detects the cells of an image: of a file, or of a synthetic one.
//!
//! ```text
//! cargo run --release --example detect
//! cargo run --release --example detect -- IMAGE [DETECTOR]
//! ```

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> cytobox::Result<()> {
    use cytobox::{Detector, Image, synth};

    let mut arguments = std::env::args().skip(1);
    let image: Image = match arguments.next() {
        Some(file) => file.into(),
        None => synth::generate(&synth::SynthOptions::default(), 0)?.set.into(),
    };
    let detector = match arguments.next() {
        Some(file) => Detector::open(file)?,
        None => Detector::bundled()?,
    };
    eprintln!("{}: {}", detector.device().name, detector.device().why);

    let found = detector.detect(image)?;
    for cell in &found.detections {
        let pixels = cell.mask.as_ref().map_or(0, |mask| mask.area());
        println!("{} {:.2}, box {:?}, mask of {pixels} pixels", cell.label, cell.score, cell.bbox.corners());
    }
    println!("{} cells in {} × {} pixels", found.detections.len(), found.width, found.height);
    Ok(())
}
