//! `cytobox detect --format measurements` and the like: files for which the images are read again, once everything is detected.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

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
    pub fn options(&self, set: &ChannelSet) -> measure::Options {
        measure::Options { ring: self.ring, pixel_size: self.pixel_size.or(set.pixel_size) }
    }
}

/// Adds everything in the journal to `files` and finishes them; an image that can no longer be read is among the failures.
pub fn write_all(
    mut files: MeasuredFiles,
    journal: &Journal,
    options: &ImageOptions,
    failures: &mut Failures,
) -> anyhow::Result<Option<KeptTables>> {
    // Which names are alike cannot be told from one.
    let names: Vec<String> = journal.images().map(|image| Ok(image?.image)).collect::<cytobox::Result<_>>()?;
    let names = export::file_names(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let bar = images::progress_bar(journal.len());
    for ((image, source), name) in journal.images().zip(journal.sources()).zip(&names) {
        let image = image?;
        match files.add(&image, name, || read_again(source, options))? {
            Ok(notes) => images::warn(&bar, &notes),
            Err(e) => failures.add(&bar, &image.image, &e),
        }
        bar.inc(1);
    }
    bar.finish();
    Ok(files.finish()?)
}

/// The files that are being written, an image at a time.
pub struct MeasuredFiles<'a> {
    measuring: Measuring,
    out: &'a Path,
    formats: &'a [MeasuredFormat],
    tables: Option<TableFiles>,
    kept: Option<KeptTables>,
}

impl<'a> MeasuredFiles<'a> {
    /// `keep`: what was measured of each image is read again at the end.
    pub fn create(
        measuring: Measuring,
        out: &'a Path,
        formats: &'a [MeasuredFormat],
        detector: &str,
        keep: bool,
    ) -> cytobox::Result<Self> {
        let tables = formats.contains(&MeasuredFormat::Measurements).then(|| TableFiles::create(out, detector));
        let kept = keep.then(|| KeptTables::create(out)).transpose()?;
        Ok(Self { measuring, out, formats, tables: tables.transpose()?, kept })
    }

    /// Adds an image whose own files are called `name`; `read` gives its channels, if they are needed. What is odd about the
    /// files is returned.
    ///
    /// The inner error is why this image could not be measured, which leaves out what needs that.
    pub fn add(
        &mut self,
        image: &ImageDetections,
        name: &str,
        read: impl FnOnce() -> cytobox::Result<ChannelSet>,
    ) -> cytobox::Result<cytobox::Result<Vec<String>>> {
        let needs_samples = self.kept.is_some() || self.formats.iter().any(|format| format.needs_samples());
        let measured = |set: ChannelSet| export::measured(image, &set, &self.measuring.options(&set));
        let table = if needs_samples { read().and_then(measured) } else { Ok(Table::default()) };
        let mut notes = Vec::new();
        for format in self.formats {
            let table = if format.needs_samples() { table.as_ref().ok() } else { Some(&Table::default()) };
            let file = table.map(|table| export::measured_file(*format, image, table)).transpose()?.flatten();
            if let Some(file) = file {
                files::write_file(&self.out.join(format!("{name}{}", file.ending)), &file.bytes)?;
                notes.extend(file.note);
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.add(table.as_ref().ok())?;
        }
        match (&mut self.tables, table) {
            (Some(tables), Ok(table)) => tables.add(image, table)?,
            (_, Err(error)) => return Ok(Err(error)),
            _ => {}
        }
        Ok(Ok(notes))
    }

    pub fn finish(self) -> cytobox::Result<Option<KeptTables>> {
        self.tables.map_or(Ok(()), TableFiles::finish)?;
        Ok(self.kept)
    }
}

/// What was measured of each image, in a file that goes when it is no longer needed: memory does not grow with the images.
pub struct KeptTables {
    path: PathBuf,
    file: BufWriter<File>,
}

impl KeptTables {
    fn create(out: &Path) -> cytobox::Result<Self> {
        let path = out.join("measured-images.part");
        let file = File::create(&path).map_err(|e| cytobox::Error::io(&path, e))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    /// `None` for an image that could not be measured.
    fn add(&mut self, table: Option<&Table>) -> cytobox::Result<()> {
        let mut line = serde_json::to_vec(&table).map_err(|e| cytobox::Error::io(&self.path, e))?;
        line.push(b'\n');
        // Flushed with each image, so that it can be read while it is open.
        self.file.write_all(&line).and_then(|()| self.file.flush()).map_err(|e| cytobox::Error::io(&self.path, e))
    }

    /// In the order of adding; a file that can no longer be opened is one error.
    pub fn read(&self) -> Box<dyn Iterator<Item = cytobox::Result<Option<Table>>> + '_> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) => return Box::new(std::iter::once(Err(cytobox::Error::io(&self.path, e)))),
        };
        Box::new(BufReader::new(file).split(b'\n').map(|line| {
            let line = line.map_err(|e| cytobox::Error::io(&self.path, e))?;
            serde_json::from_slice(&line).map_err(|e| cytobox::Error::io(&self.path, e))
        }))
    }
}

impl Drop for KeptTables {
    fn drop(&mut self) {
        // What cannot be removed is a file too many, and no loss.
        let _ = fs::remove_file(&self.path);
    }
}

/// The channels of an image as its files have them. Samples are measured as they are; what counts as full brightness is for
/// pictures.
pub fn channels_of(image: ImageInput) -> cytobox::Result<ChannelSet> {
    let ImageInput { name, files, fill, pages, bit_depth, range, stack, .. } = image;
    let files: Vec<_> = files.into_iter().map(|f| (f.file.channel, f.file.file, f.bytes)).collect();
    channels::assemble(&name, &files, &ReadOptions { fill: &fill, pages, depth: bit_depth, range, stack })
}

/// The channels of an image that was detected, which may have been in an earlier run and from another folder.
pub fn read_again(source: &Source, options: &ImageOptions) -> cytobox::Result<ChannelSet> {
    let found = files::find_images(&source.paths())?;
    let [entry] = &found.groups.images[..] else {
        return Err(cytobox::Error::Usage("its files are no longer one image; use --force to detect it again".into()));
    };
    if Source::of(entry)? != *source {
        return Err(cytobox::Error::Usage("its files have changed; detect it again to measure it".into()));
    }
    options.read(entry).and_then(channels_of)
}
