//! `cytobox detect --format measurements` and the like: files for which the images are read again, once everything is detected.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use cytobox::{
    channels::{self, ChannelSet, ReadOptions},
    detections::ImageDetections,
    export::{self, MeasuredFile, MeasuredFormat, NamedBytes, TableFiles},
    files,
    measure::{self, Ring, Table},
    native::images::ImageOptions,
    protocol::ImageInput,
    scan::{Results, Source},
};

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

impl Measuring {
    /// The options that a shard kept.
    pub fn of(results: &Results) -> cytobox::Result<Self> {
        let [inner, outer] = results.ring;
        Ok(Self { pixel_size: results.pixel_size, ring: Ring::new(inner, outer)? })
    }

    pub fn pixel_size(&self) -> Option<f64> {
        self.pixel_size
    }

    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// Measures the cells of an image.
    pub fn table(&self, image: &ImageDetections, set: &ChannelSet) -> cytobox::Result<Table> {
        export::measured(image, set, &self.options(set))
    }
}

/// The files of one image, and what was measured of it; no table where it could not be.
pub struct Written {
    files: Vec<NamedBytes>,
    notes: Vec<String>,
    table: Option<Table>,
}

impl Written {
    /// `name` is what the image's own files are called. Without a `table` what needs one is left out.
    pub fn new(
        formats: &[MeasuredFormat],
        image: &ImageDetections,
        name: &str,
        table: Option<Table>,
    ) -> cytobox::Result<Self> {
        let (mut files, mut notes) = (Vec::new(), Vec::new());
        let empty = Table::default();
        for format in formats {
            let table = if format.needs_samples() { table.as_ref() } else { Some(&empty) };
            let file = table.map(|table| export::measured_file(*format, image, table)).transpose()?.flatten();
            if let Some(MeasuredFile { ending, bytes, note }) = file {
                files.push(NamedBytes { name: format!("{name}{ending}"), bytes });
                notes.extend(note);
            }
        }
        Ok(Self { files, notes, table })
    }
}

/// The files that are being written, an image at a time.
pub struct MeasuredFiles<'a> {
    out: &'a Path,
    tables: Option<TableFiles>,
    kept: Option<KeptTables>,
}

impl<'a> MeasuredFiles<'a> {
    /// `keep`: what was measured of each image is read again at the end.
    pub fn create(out: &'a Path, formats: &[MeasuredFormat], detector: &str, keep: bool) -> cytobox::Result<Self> {
        let tables = formats.contains(&MeasuredFormat::Measurements).then(|| TableFiles::create(out, detector));
        let kept = keep.then(|| KeptTables::create(out)).transpose()?;
        Ok(Self { out, tables: tables.transpose()?, kept })
    }

    /// Adds an image. What is odd about its files is returned.
    pub fn add(&mut self, image: &ImageDetections, written: Written) -> cytobox::Result<Vec<String>> {
        for file in written.files {
            files::write_file(&self.out.join(file.name), &file.bytes)?;
        }
        if let Some(kept) = &mut self.kept {
            kept.add(written.table.as_ref())?;
        }
        if let (Some(tables), Some(table)) = (&mut self.tables, written.table) {
            tables.add(image, table)?;
        }
        Ok(written.notes)
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
pub fn read_again(name: &str, source: &Source, options: &ImageOptions) -> cytobox::Result<ChannelSet> {
    let entry = match source.channel_set(name) {
        Some(set) => set,
        None => {
            let mut found = files::find_images(&source.paths())?.groups.images;
            let only = found.pop().filter(|_| found.is_empty());
            let reason = "its files are no longer one image; use --force to detect it again";
            only.ok_or_else(|| cytobox::Error::Usage(reason.into()))?
        }
    };
    if Source::of(&entry)? != *source {
        return Err(cytobox::Error::Usage("its files have changed; detect it again to measure it".into()));
    }
    options.read(&entry).and_then(channels_of)
}
