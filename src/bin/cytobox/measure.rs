//! `cytobox measure`: what people annotated is measured as detections are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cytobox::{
    annotations::names,
    detections::{Detection, ImageDetections},
    export::{self, MeasuredFormat},
    native::session::Session,
    protocol::AnnotatedInput,
};

use crate::{
    data, images,
    measured::{MeasuredFiles, Measuring, channels_of},
};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox measure --data cells/test --out results --pixel-size 0.325")]
pub struct Arguments {
    /// A folder with annotated images.
    #[arg(long)]
    data: PathBuf,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// measurements, labels, rois, geojson; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "measurements")]
    format: Vec<MeasuredFormat>,
    #[command(flatten)]
    measuring: Measuring,
    #[command(flatten)]
    options: data::Options,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Nothing is computed that needs a device.
    let mut session = Session::default();
    let data = data::read(&mut session, &arguments.data, &arguments.options)?;
    let names: Vec<&str> = data.iter().map(|one| one.annotations.image.as_str()).collect();
    let names = export::file_names(&names, &[]);
    fs::create_dir_all(&arguments.out)?;
    let mut files = MeasuredFiles::create(arguments.measuring, &arguments.out, &arguments.format, "")?;
    let bar = images::progress_bar(data.len());
    for (one, name) in data.into_iter().zip(&names) {
        let image = as_detections(&one, &arguments.data);
        // The data could be read a moment ago.
        files.add(&image, name, || channels_of(one.image))??;
        bar.inc(1);
    }
    bar.finish();
    Ok(files.finish()?)
}

/// Annotations have no score.
fn as_detections(AnnotatedInput { image, annotations }: &AnnotatedInput, data: &Path) -> ImageDetections {
    let detection = |object: &cytobox::annotations::Object| Detection {
        bbox: object.bbox,
        label: object.label.clone(),
        score: f32::NAN,
        mask: object.mask.clone(),
    };
    let first = image.files.first().map_or_else(PathBuf::new, |first| PathBuf::from(&first.file.file));
    let below = first.strip_prefix(data).unwrap_or(&first);
    // A channel set is called as the file that its merged image would be.
    let file = match image.files.len() {
        1 => below.to_owned(),
        _ => below.with_file_name(format!("{}.png", names::base_name(&image.name))),
    };
    ImageDetections {
        image: annotations.image.clone(),
        file: file.to_string_lossy().replace('\\', "/"),
        width: annotations.width,
        height: annotations.height,
        detections: annotations.objects.iter().map(detection).collect(),
        ..ImageDetections::default()
    }
}
