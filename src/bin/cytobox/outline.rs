//! `cytobox outline`: masks for boxes that people drew.

use std::{fs, path::PathBuf};

use cytobox::{
    annotations::dataset,
    device::DeviceChoice,
    export::{self, AnnotationFormat},
    files,
    model::scale::median_diameter,
    native::{bundled::Bundled, session::unexpected},
    protocol::{AnnotatedInput, Command, Outcome},
};

use crate::{data, detect, images, output::say};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox outline --data cells/train --out outlined --format voc,masks")]
pub struct Arguments {
    /// A folder with annotated images.
    #[arg(long)]
    data: PathBuf,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// The detector, a Mask R-CNN: a file, `general` or `atlas`; when absent, `atlas` for images with the Atlas's four
    /// channels, else `general`.
    #[arg(long)]
    model: Option<PathBuf>,
    /// coco, jsonl, voc (boxes alone), masks (label images); several with commas.
    #[arg(long, value_delimiter = ',', default_value = "coco", value_parser = format)]
    format: Vec<AnnotationFormat>,
    /// Outline objects that have a mask, too.
    #[arg(long)]
    replace: bool,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// Diameter of the cells in pixels of the images; the median of each image's boxes when absent.
    #[arg(long, value_name = "PIXELS", value_parser = detect::diameter)]
    diameter: Option<f32>,
    #[command(flatten)]
    options: data::Options,
}

fn format(text: &str) -> Result<AnnotationFormat, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "coco" => Ok(AnnotationFormat::Coco),
        "jsonl" => Ok(AnnotationFormat::Jsonl),
        "voc" => Ok(AnnotationFormat::Voc),
        "masks" => Ok(AnnotationFormat::Masks),
        _ => Err(format!("the format {text:?} is unknown; there are coco, jsonl, voc and masks")),
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut session = data::open(arguments.device)?;
    let data = data::read(&mut session, &arguments.data, &arguments.options)?;
    let (name, bytes) = images::detector(arguments.model.as_deref(), || Bundled::for_annotated(&data))?;
    session.load(name, bytes)?;
    let bar = images::progress_bar(data.len());
    let (mut annotated, mut outlined, mut asked) = (Vec::with_capacity(data.len()), 0, 0);
    for (at, AnnotatedInput { image, mut annotations }) in data.into_iter().enumerate() {
        let wanted: Vec<usize> = (0..annotations.objects.len())
            .filter(|i| arguments.replace || annotations.objects[*i].mask.is_none())
            .collect();
        let corners = annotations.objects.iter().map(|object| object.bbox.corners());
        let command = Command::OutlineBoxes {
            key: at.to_string(),
            image: Some(Box::new(image)),
            boxes: wanted.iter().map(|i| annotations.objects[*i].bbox).collect(),
            labels: wanted.iter().map(|i| annotations.objects[*i].label.clone()).collect(),
            diameter: arguments.diameter.or(median_diameter(corners)),
        };
        let masks = match session.run(command)? {
            Outcome::BoxOutlines { masks: Some(masks) } => masks,
            other => return Err(unexpected(&other).into()),
        };
        asked += wanted.len();
        for (i, mask) in wanted.into_iter().zip(masks) {
            outlined += usize::from(mask.is_some());
            annotations.objects[i].mask = mask.or(annotations.objects[i].mask.take());
        }
        annotated.push(annotations);
        bar.inc(1);
    }
    bar.finish();
    fs::create_dir_all(&arguments.out)?;
    for file in export::annotated(&annotated, &dataset::labels(&annotated), &arguments.format)? {
        let path = arguments.out.join(file.name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        files::write_file(&path, &file.bytes)?;
    }
    say!("{outlined} of {asked} boxes were outlined, on {} images", annotated.len());
    Ok(())
}
