//! What is read of a TIFF file of several pages: what the user says of them, and which of them are the image.

use serde::{Deserialize, Serialize};

use super::stack::{Arranged, Chosen, StackRule, stack_sentence};
use super::tiff_description::Description;
use crate::error::{Error, Result};

/// What the pages of a TIFF file are that does not say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pages {
    /// Nobody knows: [`Error::PagesUnknown`].
    #[default]
    Ask,
    /// One channel a page, because the user said so.
    Channels,
    /// One slice a page.
    Slices,
    /// One time point a page.
    Frames,
}

/// How a file is read that leaves something open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the pages of a TIFF file are that does not say it.
    pub pages: Pages,
    /// What is read of a stack; without a rule a stack is refused.
    pub stack: Option<StackRule>,
    /// Of a projection this one alone, counted from 0: the sharpest one of several files.
    pub(super) step: Option<usize>,
}

impl From<Pages> for Reading {
    fn from(pages: Pages) -> Self {
        Self { pages, ..Self::default() }
    }
}

impl Reading {
    pub fn new(pages: Pages, stack: Option<StackRule>) -> Self {
        Self { pages, stack, step: None }
    }

    /// Which of the pages are the image.
    ///
    /// # Errors
    /// Pages of which neither the file nor the user says what they are; a stack without a rule.
    pub(super) fn choose(self, name: &str, file: &Description, samples: usize, pages: usize) -> Result<Chosen> {
        let all = || (0..pages).collect();
        let arranged = |channels, slices, frames| Arranged { channels, slices, frames, pages: all() };
        if pages == 1 {
            return arranged(1, 1, 1).choose(name, None);
        }
        if let Some(sentence) = file.axes.and_then(|axes| axes.images_sentence()) {
            return Err(Error::image(name, sentence));
        }
        if let Some(arranged) = file.arranged(samples, pages) {
            return arranged.choose(name, self.stack);
        }
        match (self.pages, file.axes) {
            (Pages::Slices, _) => arranged(1, pages, 1).choose(name, self.stack),
            (Pages::Frames, _) => arranged(1, 1, pages).choose(name, self.stack),
            (_, Some(axes)) if axes.slices > 1 || axes.frames > 1 => {
                let stack = stack_sentence(axes.slices, axes.frames);
                let reason = format!("{stack}. It has {pages} pages; --pages says what they are");
                Err(Error::image(name, reason))
            }
            (Pages::Channels, _) => arranged(pages, 1, 1).choose(name, None),
            (Pages::Ask, _) => Err(Error::PagesUnknown { file: name.to_owned(), pages }),
        }
    }
}
