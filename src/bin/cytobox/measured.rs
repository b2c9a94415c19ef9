//! `cytobox detect --format measurements` and the like: files for which the images are read again, once everything is detected.

use std::path::Path;

use cytobox::{
    channels::{self, ChannelSet, ReadOptions},
    detections::ImageDetections,
    export::{self, MeasuredFormat, TableFiles},
    files,
    measure::{self, Ring, Table},
    native::images::ImageOptions,
    protocol::ImageInput,
    scan::{Journal, Source},
};

use crate::images::{self, Failures};

/// How to measure.
#[derive(clap::Args, Clone, Copy)]
pub struct Measuring {
    /// The side of a pixel in µm, instead of what the files state.
    #[arg(long, value_name = "µm", value_parser = pixel_size)]
    pixel_size: Option<f64>,
    /// The background ring: pixels farther from the cell than the first distance, up to the second.
    #[arg(long, value_name = "INNER,OUTER", default_value = "2,5", value_parser = ring)]
    ring: Ring,
}

fn pixel_size(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(size) if size > 0.0 && f64::is_finite(size) => Ok(size),
        _ => Err("a pixel size is a positive number of µm".into()),
    }
}

fn ring(text: &str) -> Result<Ring, String> {
    let distances = text.split_once(',').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    let (inner, outer) = distances.ok_or("a ring is two whole numbers of pixels, such as 2,5")?;
    Ring::new(inner, outer).map_err(|e| e.to_string())
}

impl Measuring {
    /// What the user said of the pixel size comes before what the files state.
    fn options(&self, set: &ChannelSet) -> measure::Options {
        measure::Options { ring: self.ring, pixel_size: self.pixel_size.or(set.pixel_size) }
    }

    /// Writes the files of everything in the journal into `out`; an image that can no longer be read is among the failures.
    pub fn write(
        &self,
        out: &Path,
        formats: &[MeasuredFormat],
        journal: &Journal,
        detector: &str,
        options: &ImageOptions,
        failures: &mut Failures,
    ) -> anyhow::Result<()> {
        if formats.is_empty() {
            return Ok(());
        }
        // Which names are alike cannot be told from one.
        let names: Vec<String> = journal.images().map(|image| Ok(image?.image)).collect::<cytobox::Result<_>>()?;
        let names = export::file_names(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let mut files = MeasuredFiles::create(*self, out, formats, detector)?;
        let bar = images::progress_bar(journal.len());
        for ((image, source), name) in journal.images().zip(journal.sources()).zip(&names) {
            let image = image?;
            if let Err(e) = files.add(&image, name, || read_again(source, options))? {
                failures.add(&bar, &image.image, &e);
            }
            bar.inc(1);
        }
        bar.finish();
        Ok(files.finish()?)
    }
}

/// The files that are being written, an image at a time.
pub struct MeasuredFiles<'a> {
    measuring: Measuring,
    out: &'a Path,
    formats: &'a [MeasuredFormat],
    tables: Option<TableFiles>,
}

impl<'a> MeasuredFiles<'a> {
    pub fn create(
        measuring: Measuring,
        out: &'a Path,
        formats: &'a [MeasuredFormat],
        detector: &str,
    ) -> cytobox::Result<Self> {
        let tables = formats.contains(&MeasuredFormat::Measurements).then(|| TableFiles::create(out, detector));
        Ok(Self { measuring, out, formats, tables: tables.transpose()? })
    }

    /// Adds an image whose own files are called `name`; `read` gives its channels, if they are needed.
    ///
    /// The inner error is why this image could not be measured, which leaves out what needs that.
    pub fn add(
        &mut self,
        image: &ImageDetections,
        name: &str,
        read: impl FnOnce() -> cytobox::Result<ChannelSet>,
    ) -> cytobox::Result<cytobox::Result<()>> {
        let needs_samples = self.formats.iter().any(|format| format.needs_samples());
        let measured = |set: ChannelSet| export::measured(image, &set, &self.measuring.options(&set));
        let table = if needs_samples { read().and_then(measured) } else { Ok(Table::default()) };
        for format in self.formats {
            let Some(ending) = format.ending() else { continue };
            let table = if format.needs_samples() { table.as_ref().ok() } else { Some(&Table::default()) };
            let file = table.map(|table| export::measured_file(*format, image, table)).transpose()?.flatten();
            if let Some(bytes) = file {
                files::write_file(&self.out.join(format!("{name}{ending}")), &bytes)?;
            }
        }
        match (&mut self.tables, table) {
            (Some(tables), Ok(table)) => tables.add(image, table).map(Ok),
            (_, table) => Ok(table.map(|_| ())),
        }
    }

    pub fn finish(self) -> cytobox::Result<()> {
        self.tables.map_or(Ok(()), TableFiles::finish)
    }
}

/// The channels of an image as its files have them: samples are measured as they are, whatever counts as full brightness.
pub fn channels_of(image: ImageInput) -> cytobox::Result<ChannelSet> {
    let ImageInput { name, files, fill, pages, .. } = image;
    let files: Vec<_> = files.into_iter().map(|f| (f.file.channel, f.file.file, f.bytes)).collect();
    channels::assemble(&name, &files, &ReadOptions { fill: &fill, pages, depth: None })
}

/// The channels of an image that was detected, which may have been in an earlier run and from another folder.
fn read_again(source: &Source, options: &ImageOptions) -> cytobox::Result<ChannelSet> {
    let found = files::find_images(&source.paths())?;
    let [entry] = &found.groups.images[..] else {
        return Err(cytobox::Error::Usage("its files are no longer one image; use --force to detect it again".into()));
    };
    if Source::of(entry)? != *source {
        return Err(cytobox::Error::Usage("its files have changed; detect it again to measure it".into()));
    }
    options.read(entry).and_then(channels_of)
}
