//! The one error of the crate: a stable code for programs and a sentence for people.
//!
//! Every variant names its subject (a file, an image, an object) and, where there is one, the remedy.
//! [`std::fmt::Display`] gives the sentence. [`Error::code`] gives the code, which does not change between versions.

use std::fmt;

/// What can go wrong in this crate, with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in a sentence that names the file, the image or the object and, where there is one, the remedy.
///
/// [`Display`](fmt::Display) gives the sentence; [`Error::code`] gives a code that does not change between versions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A file that could not be read from or written to the disk.
    #[error("{path}: {reason}")]
    Io { path: String, reason: String },

    /// An image file that is damaged or has an unsupported format.
    #[error("{file}: {reason}")]
    Image { file: String, reason: String },

    /// A limit of [`crate::limits`] is exceeded.
    #[error("{subject}: {what} is {found}, which exceeds the limit of {limit}")]
    TooLarge { subject: String, what: &'static str, found: u64, limit: u64 },

    /// An image that is too large to be held in memory.
    #[error(
        "{file}: {what} is {found}, which exceeds the limit of {limit} for an image in memory; detection on the command line \
         (cytobox detect) reads larger TIFF files from the disk as it needs them"
    )]
    ImageTooLarge { file: String, what: &'static str, found: u64, limit: u64 },

    /// A channel set lacks a channel, and filling with black was not requested.
    #[error("{image}: the {missing} channel is missing; add the file, or choose to fill it with black")]
    ChannelMissing { image: String, missing: String },

    /// A TIFF file of several pages that does not say what they are, and for which nobody said that they are channels.
    #[error(
        "{file}: the file has {pages} pages and does not say whether they are channels, slices or time points; choose to read \
         the pages as channels (--pages channels), slices or frames, or save one plane"
    )]
    PagesUnknown { file: String, pages: usize },

    /// The channels of one image differ in size or bit depth.
    #[error("{image}: its channels differ in size or bit depth ({found}); all channels must match")]
    ChannelMismatch { image: String, found: String },

    /// An annotation file that cannot be used at all.
    #[error("{file}: {reason}")]
    Annotation { file: String, reason: String },

    /// One object of an annotation file that cannot be used; `object` counts from 1.
    #[error("{file}, object {object}: {reason}")]
    Object { file: String, object: usize, reason: String },

    /// A box that breaks `0 ≤ x1 < x2 ≤ W`, `0 ≤ y1 < y2 ≤ H`.
    #[error("box ({x1}, {y1}, {x2}, {y2}) {reason}")]
    Box { x1: f32, y1: f32, x2: f32, y2: f32, reason: &'static str },

    /// A detector file that cannot be loaded.
    #[error("{file}: {reason}")]
    Weights { file: String, reason: String },

    /// An invalid detector configuration.
    #[error("configuration: {0}")]
    Config(String),

    /// The device does not exist or lacks a required feature.
    #[error("device: {0}")]
    Device(String),

    /// The device failed or gave a wrong result; nothing it computed may be used.
    #[error("the {device} failed: {reason}. Its results were discarded. Try again or switch to the CPU")]
    DeviceFailed { device: String, reason: String },

    /// Training cannot start or continue with the given data or settings.
    #[error("training: {0}")]
    Training(String),

    /// A command that is not possible in the current state, such as detecting without a detector.
    #[error("{0}")]
    Usage(String),

    /// Cancelled by the user.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// The stable error code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Image { .. } => "image",
            Self::TooLarge { .. } | Self::ImageTooLarge { .. } => "too-large",
            Self::ChannelMissing { .. } => "channel-missing",
            Self::PagesUnknown { .. } => "pages-unknown",
            Self::ChannelMismatch { .. } => "channel-mismatch",
            Self::Annotation { .. } => "annotation",
            Self::Object { .. } => "annotation-object",
            Self::Box { .. } => "box",
            Self::Weights { .. } => "weights",
            Self::Config(_) => "config",
            Self::Device(_) => "device",
            Self::DeviceFailed { .. } => "device-failed",
            Self::Training(_) => "training",
            Self::Usage(_) => "usage",
            Self::Cancelled => "cancelled",
        }
    }

    #[doc(hidden)]
    pub fn image(file: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Image { file: file.into(), reason: reason.to_string() }
    }

    #[doc(hidden)]
    pub fn annotation(file: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Annotation { file: file.into(), reason: reason.to_string() }
    }

    #[doc(hidden)]
    pub fn weights(file: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Weights { file: file.into(), reason: reason.to_string() }
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[doc(hidden)]
    pub fn io(path: &std::path::Path, reason: impl fmt::Display) -> Self {
        Self::Io { path: path.display().to_string(), reason: reason.to_string() }
    }
}
