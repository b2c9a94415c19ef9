//! `cytobox measure`: what people annotated is measured as detections are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cytobox::{
    annotations::{ImageAnnotations, dataset, names},
    channels::ImageEntry,
    export::{self, AnnotationFormat, MeasuredFormat},
    files,
    native::{data::Annotated, session::Session},
};

use crate::{
    data, images,
    measured::{self, MeasuredFiles, Measuring, channels_of},
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
    /// measurements, labels, labels-png, rois, geojson, coco, jsonl (both with measurements); several with commas.
    #[arg(long, value_delimiter = ',', default_value = "measurements", value_parser = format)]
    format: Vec<Written>,
    #[command(flatten)]
    measuring: Measuring,
    #[command(flatten)]
    options: data::Options,
}

/// A format of `--format`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Written {
    Measured(MeasuredFormat),
    /// The annotations, and with them what was measured of each.
    Annotations(AnnotationFormat),
}

const ANNOTATIONS: [(&str, AnnotationFormat); 2] =
    [("coco", AnnotationFormat::Coco), ("jsonl", AnnotationFormat::Jsonl)];

fn format(text: &str) -> Result<Written, String> {
    let name = text.trim().to_ascii_lowercase();
    if let Some((_, format)) = ANNOTATIONS.into_iter().find(|(known, _)| *known == name) {
        return Ok(Written::Annotations(format));
    }
    text.parse().map(Written::Measured).map_err(|_: cytobox::Error| {
        let names = MeasuredFormat::ALL.map(MeasuredFormat::name).join(", ");
        format!("the format {text:?} is unknown; there are {names}, {}", ANNOTATIONS.map(|(name, _)| name).join(", "))
    })
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Nothing is computed that needs a device.
    let mut session = Session::default();
    let (data, options) = data::find(&mut session, &arguments.data, &arguments.options)?;
    let names: Vec<&str> = data.iter().map(|one| one.annotations.image.as_str()).collect();
    let names = export::file_names(&names, &[]);
    fs::create_dir_all(&arguments.out)?;
    let formats: Vec<MeasuredFormat> = arguments.format.iter().filter_map(|f| f.measured()).collect();
    let annotations: Vec<AnnotationFormat> = arguments.format.iter().filter_map(|f| f.annotations()).collect();
    let with_tables = !annotations.is_empty();
    let mut measured = MeasuredFiles::create(&arguments.out, &formats, "", with_tables)?;
    let needs_samples = with_tables || formats.iter().any(|format| format.needs_samples());
    let bar = images::progress_bar(data.len());
    let mut annotated = Vec::new();
    for (Annotated { entry, mut annotations }, name) in data.into_iter().zip(&names) {
        annotations.file = file_of(&entry, &annotations, &arguments.data);
        let cells = export::as_cells(&annotations);
        // The image could be read a moment ago.
        let set = needs_samples.then(|| options.read(&entry).and_then(channels_of)).transpose()?;
        let table = set.map(|set| arguments.measuring.table(&cells, &set)).transpose()?;
        let notes = measured.add(&cells, measured::Written::new(&formats, &cells, name, table)?)?;
        images::warn(&bar, &notes);
        if with_tables {
            annotated.push(annotations);
        }
        bar.inc(1);
    }
    bar.finish();
    if let Some(kept) = measured.finish()? {
        let tables = kept.read().map(|table| Ok(table?.unwrap_or_default())).collect::<cytobox::Result<Vec<_>>>()?;
        let written = export::annotated_measured(&annotated, &tables, &dataset::labels(&annotated), &annotations)?;
        for file in written {
            files::write_file(&arguments.out.join(file.name), &file.bytes)?;
        }
    }
    Ok(())
}

impl Written {
    fn measured(self) -> Option<MeasuredFormat> {
        if let Self::Measured(format) = self { Some(format) } else { None }
    }

    fn annotations(self) -> Option<AnnotationFormat> {
        if let Self::Annotations(format) = self { Some(format) } else { None }
    }
}

/// Its path below the folder; a channel set is called as the file that its merged image would be.
fn file_of(entry: &ImageEntry, annotations: &ImageAnnotations, data: &Path) -> String {
    let first = entry.files.first().map_or_else(PathBuf::new, |first| PathBuf::from(&first.file));
    let below = first.strip_prefix(data).unwrap_or(&first);
    let file = match entry.files.len() {
        1 => below.to_owned(),
        _ => below.with_file_name(format!("{}.png", names::base_name(&annotations.image))),
    };
    file.to_string_lossy().replace('\\', "/")
}
