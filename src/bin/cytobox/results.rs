//! The files of a detection, made from its journal: by `cytobox detect` for one process, by `cytobox join` for shards.

use std::path::Path;

use cytobox::{
    detections::ImageDetections,
    export::{self, Format, MeasuredFormat},
    measure::Table,
    native::{images::ImageOptions, in_order},
    scan::{Journal, Results, Source},
};

use crate::{
    images::{self, Failures},
    measured::{KeptTables, MeasuredFiles, Measuring, Written, read_again},
};

/// A format of `--format`.
#[derive(Debug, Clone, Copy)]
pub enum OneFormat {
    Detections(Format),
    Measured(MeasuredFormat),
}

pub fn format(text: &str) -> Result<OneFormat, String> {
    let found = text.parse().map(OneFormat::Detections).or_else(|_| text.parse().map(OneFormat::Measured));
    found.map_err(|_: cytobox::Error| {
        let names = Format::ALL.map(Format::name).into_iter().chain(MeasuredFormat::ALL.map(MeasuredFormat::name));
        format!("the format {text:?} is unknown; there are {}", names.collect::<Vec<_>>().join(", "))
    })
}

/// Which files are made.
pub struct Output {
    pub formats: Vec<OneFormat>,
    pub with_measurements: bool,
    pub measuring: Measuring,
    /// How images are read where they are measured.
    pub options: ImageOptions,
    /// How many images are measured at once.
    pub jobs: usize,
}

/// Where measurements come from.
pub enum Tables<'a> {
    /// The images are read again.
    Images,
    /// As they were measured, in the order of the journal.
    Kept(Box<dyn Iterator<Item = cytobox::Result<Option<Table>>> + Send + 'a>),
}

impl Output {
    /// What a shard keeps of it.
    pub fn results(&self) -> Results {
        let name = |format: &OneFormat| match format {
            OneFormat::Detections(format) => format.name().to_owned(),
            OneFormat::Measured(format) => format.name().to_owned(),
        };
        Results {
            formats: self.formats.iter().map(name).collect(),
            with_measurements: self.with_measurements,
            ring: Results::ring_of(self.measuring.ring()),
            pixel_size: self.measuring.pixel_size(),
            fill_missing: self.options.fill_missing,
            pages: self.options.pages,
        }
    }

    fn measured(&self) -> Vec<MeasuredFormat> {
        let measured = |format: &OneFormat| if let OneFormat::Measured(format) = format { Some(*format) } else { None };
        self.formats.iter().filter_map(measured).collect()
    }

    /// Whether images are gone over again for what is measured or drawn of their cells.
    pub fn goes_over_images(&self) -> bool {
        self.with_measurements || !self.measured().is_empty()
    }

    /// Writes every format into the folder `out`; `classes` are without the background. An image that can no longer be read
    /// is among the failures.
    pub fn write(
        &self,
        out: &Path,
        journal: &Journal,
        detector: &str,
        classes: &[String],
        tables: Tables,
        failures: &mut Failures,
    ) -> anyhow::Result<()> {
        let kept =
            if self.goes_over_images() { self.write_measured(out, journal, detector, tables, failures)? } else { None };
        for format in &self.formats {
            let OneFormat::Detections(format) = format else { continue };
            let read = || match &kept {
                Some(tables) => tables.read(),
                None => Box::new(std::iter::repeat_with(|| Ok(None))),
            };
            export::write_folder(out, *format, classes, || {
                journal.images().zip(read()).map(|(image, table)| Ok((image?, table?)))
            })?;
        }
        Ok(())
    }

    fn write_measured(
        &self,
        out: &Path,
        journal: &Journal,
        detector: &str,
        tables: Tables,
        failures: &mut Failures,
    ) -> anyhow::Result<Option<KeptTables>> {
        // Which names are alike cannot be told from one.
        let names: Vec<String> = journal.images().map(|image| Ok(image?.image)).collect::<cytobox::Result<_>>()?;
        let names = export::file_names(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let formats = self.measured();
        let needs_samples = self.results().needs_tables();
        let mut files = MeasuredFiles::create(out, &formats, detector, self.with_measurements)?;
        let bar = images::progress_bar(journal.len());
        type Given<'a> = Box<dyn Iterator<Item = Option<cytobox::Result<Option<Table>>>> + Send + 'a>;
        let given: Given = match tables {
            Tables::Images => Box::new(std::iter::repeat_with(|| None)),
            Tables::Kept(tables) => Box::new(tables.map(Some)),
        };
        let items = journal.images().zip(journal.sources()).zip(&names).zip(given);
        type Finished<'a> = ((cytobox::Result<ImageDetections>, cytobox::Result<Source>), &'a String);
        let work = |_, (((image, source), name), given): (Finished, _)| {
            let (image, source) = (image?, source?);
            let table = match given {
                Some(table) => Ok(table?),
                None if needs_samples => self.measure(&image, &source).map(Some),
                None => Ok(None),
            };
            let (table, failed) = match table {
                Ok(table) => (table, None),
                Err(error) => (None, Some(error)),
            };
            let written = Written::new(&formats, &image, name, table)?;
            Ok((image, written, failed))
        };
        in_order(self.jobs, items, work, |done: cytobox::Result<_>| {
            let (image, written, failed) = done?;
            images::warn(&bar, &files.add(&image, written)?);
            if let Some(error) = failed {
                failures.add(&bar, &image.image, &error);
            }
            bar.inc(1);
            Ok::<(), cytobox::Error>(())
        })?;
        bar.finish();
        Ok(files.finish()?)
    }

    /// Reads an image again and measures its cells.
    pub fn measure(&self, image: &ImageDetections, source: &Source) -> cytobox::Result<Table> {
        self.measuring.table(image, &read_again(&image.image, source, &self.options)?)
    }
}
