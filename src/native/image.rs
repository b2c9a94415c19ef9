//! What a detector looks at: files, or channels that a program has decoded itself.

use std::path::{Path, PathBuf};

use super::images::{self, ImageOptions};
use crate::{
    channels::{ChannelSet, ImageEntry, LargeImage},
    error::{Error, Result},
    files::{self, Found},
    protocol::ImageInput,
};

/// An image to detect on.
///
/// A path is an image by itself, PNG, JPEG or TIFF; [`Image::files`] takes the channels of one image from a file each;
/// [`Image::find`] finds all images of a folder. A [`ChannelSet`] is an image that is decoded already. TIFF files that are too
/// large for memory are read region by region.
#[derive(Debug, Clone)]
pub struct Image {
    source: Source,
    options: ImageOptions,
}

#[derive(Debug, Clone)]
enum Source {
    Files(Vec<PathBuf>),
    Entry(Box<ImageEntry>),
    Decoded(ChannelSet),
}

/// An image that was read from where it lies.
pub(super) enum Content {
    Files(ImageInput),
    /// Too large for memory: its name, and the image on the disk.
    Large(String, Box<LargeImage>),
    Decoded(ChannelSet),
}

impl Image {
    /// One image of several files: `NAME_red.png`, `NAME_green.png`, `NAME_blue.png` and `NAME_yellow.png`, as the Human
    /// Protein Atlas names them. The files are read when the image is used.
    pub fn files<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Source::Files(paths.into_iter().map(Into::into).collect()).into()
    }

    /// Every image among these files and under these folders, ordered by name. Files that belong together by their names
    /// are one image; other files and label images are left out.
    ///
    /// # Errors
    /// A path that does not exist; no image at all.
    pub fn find<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<Self>> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let Found { groups, unreadable } = files::find_images(&paths)?;
        unreadable.iter().for_each(|file| log::warn!("not done: {}: {}", file.file, file.reason));
        images::report_problems(&groups, &mut |sentence| log::info!("{sentence}"))?;
        Ok(groups.images.into_iter().map(|entry| Source::Entry(Box::new(entry)).into()).collect())
    }

    /// The same image, read with these options. Of a [`ChannelSet`], `merge` alone counts.
    pub fn with(self, options: ImageOptions) -> Self {
        Self { options, ..self }
    }

    pub(super) fn options(&self) -> &ImageOptions {
        &self.options
    }

    pub(super) fn read(&self) -> Result<Content> {
        match &self.source {
            Source::Files(paths) => self.open(&only_image(paths)?),
            Source::Entry(entry) => self.open(entry),
            Source::Decoded(set) => Ok(Content::Decoded(set.clone())),
        }
    }

    fn open(&self, entry: &ImageEntry) -> Result<Content> {
        match self.options.open_large(entry)? {
            Some(large) => Ok(Content::Large(entry.name.clone(), Box::new(large))),
            None => self.options.read(entry).map(Content::Files),
        }
    }
}

/// The one image that these files make.
fn only_image(paths: &[PathBuf]) -> Result<ImageEntry> {
    let Found { mut groups, mut unreadable } = files::find_images(paths)?;
    let name = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    unreadable.append(&mut groups.ignored);
    match (groups.images.len(), unreadable.first()) {
        (1, _) => Ok(groups.images.swap_remove(0)),
        (0, Some(left_out)) => Err(Error::image(&left_out.file, &left_out.reason)),
        (0, None) => Err(Error::image(name(), "it is not an image; PNG, JPEG and TIFF are read")),
        (n, _) => Err(Error::image(name(), format!("these are {n} images, not one"))),
    }
}

impl From<Source> for Image {
    fn from(source: Source) -> Self {
        Self { source, options: ImageOptions::default() }
    }
}

impl From<&Path> for Image {
    fn from(path: &Path) -> Self {
        Self::files([path])
    }
}

impl From<PathBuf> for Image {
    fn from(path: PathBuf) -> Self {
        Self::files([path])
    }
}

impl From<&PathBuf> for Image {
    fn from(path: &PathBuf) -> Self {
        Self::files([path])
    }
}

impl From<&str> for Image {
    fn from(path: &str) -> Self {
        Self::files([path])
    }
}

impl From<String> for Image {
    fn from(path: String) -> Self {
        Self::files([path])
    }
}

/// Full brightness is the set's `white`, whatever the detector was trained with.
impl From<ChannelSet> for Image {
    fn from(set: ChannelSet) -> Self {
        Source::Decoded(set).into()
    }
}
