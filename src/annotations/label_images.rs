//! Label images of a drop: which image each belongs to, whether it tells objects apart, and the masks for the boxes.

use std::collections::BTreeMap;

use super::dataset::ImageInfo;
use super::gather::{Found, Gathered, Options};
use super::matching::Match;
use super::{ImageAnnotations, Parsed, attach, names};
use crate::channels::composed;
use crate::channels::mask_owner::{Owners, Part};
use crate::error::{Error, Result};
use crate::limits;
use crate::masks::{LabelImage, Rle};

/// The label images of a drop before the boxes are known.
pub(super) struct LabelImages<'a> {
    images: &'a [ImageInfo],
    options: Options<'a>,
    owners: Owners,
    /// By the image that they belong to.
    owned: BTreeMap<usize, Masks<'a>>,
    without_image: Vec<&'a str>,
}

/// The files of one image.
#[derive(Default)]
struct Masks<'a> {
    whole: Vec<(&'a str, &'a [u8])>,
    /// One object each.
    objects: Vec<(&'a str, &'a [u8])>,
}

impl<'a> LabelImages<'a> {
    pub fn new(images: &'a [ImageInfo], options: Options<'a>) -> Self {
        let mut owners = Owners::new(std::iter::empty());
        for (i, image) in images.iter().enumerate() {
            // The image's own name may have its folders too, and never an ending.
            let (folder, stem) = image.name.rsplit_once(['/', '\\']).unwrap_or(("", &image.name));
            owners.add(i, &composed(folder), &composed(stem));
            for file in &image.files {
                let folder = file.rsplit_once(['/', '\\']).map_or("", |(folder, _)| folder);
                owners.add(i, &composed(folder), &composed(stem));
                owners.add(i, &composed(folder), &names::stem(file));
            }
        }
        Self { images, options, owners, owned: BTreeMap::new(), without_image: Vec::new() }
    }

    /// Takes an image file; it is decoded in [`LabelImages::attach`].
    pub fn add(&mut self, name: &'a str, bytes: &'a [u8]) {
        match self.owners.of(&composed(name)) {
            Some((image, Part::All)) => self.owned.entry(image).or_default().whole.push((name, bytes)),
            Some((image, Part::OneObject)) => self.owned.entry(image).or_default().objects.push((name, bytes)),
            None => self.without_image.push(name),
        }
    }

    /// Gives the boxes of `found` their masks, and adds the objects of images that have no boxes.
    pub fn attach(self, found: &mut Vec<Found>, out: &mut Gathered) {
        // Of several boxes for one image those whose folders agree best, as they will be taken.
        let mut boxed: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (at, one) in found.iter().enumerate() {
            if let Match::Image(image, depth) = one.image {
                let best = boxed.entry(image).or_insert((depth, at));
                if depth > best.0 {
                    *best = (depth, at);
                }
            }
        }
        for name in &self.without_image {
            out.without_image.push(names::stem(name));
            out.without_image_sources.push((*name).to_owned());
        }
        for (&image, masks) in &self.owned {
            let boxes = boxed.get(&image).map(|(_, at)| &mut found[*at]);
            match self.attach_one(image, masks, boxes, out) {
                Ok(more) => found.extend(more),
                Err(error) => out.rejected.push(error.to_string()),
            }
        }
    }

    fn attach_one(
        &self,
        image: usize,
        masks: &Masks,
        boxes: Option<&mut Found>,
        out: &mut Gathered,
    ) -> Result<Option<Found>> {
        let has_numbers = !masks.whole.is_empty() && !self.options.number_pieces;
        let (name, labels) = match (masks.whole.as_slice(), masks.objects.as_slice()) {
            ([], []) => return Ok(None),
            ([(name, bytes), more @ ..], _) => {
                for (other, _) in more {
                    out.warnings.push(format!("{other}: is a second label image of one image; {name} is taken"));
                }
                (*name, self.tell_apart(name, LabelImage::decode(name, bytes)?, out)?)
            }
            // A single file may hold all objects under a name of its own.
            ([], [(name, bytes)]) => (*name, self.tell_apart(name, LabelImage::decode(name, bytes)?, out)?),
            ([], parts) => (parts[0].0, joined(parts)?),
        };
        let Some(boxes) = boxes else {
            let value = attach::objects_of(&self.images[image].name, &labels, self.options.label)?;
            let parsed: Parsed<ImageAnnotations> = Parsed::new(value);
            let image = Match::Image(image, 0);
            return Ok(Some(Found { parsed, image, source: name.to_owned(), is_single: true }));
        };
        if boxes.is_single && has_numbers {
            return attach::attach_masks(&mut boxes.parsed, name, &labels).map(|()| None);
        }
        let annotations = &mut boxes.parsed.value;
        let (width, height) = (labels.width(), labels.height());
        let fits = !annotations.has_size() || (annotations.width, annotations.height) == (width, height);
        let is_bare = annotations.objects.iter().all(|object| object.mask.is_none());
        let masks: Vec<Rle> = labels.masks().into_values().collect();
        if !(fits && is_bare && attach::attach_by_overlap(annotations, &masks)) {
            let source = &boxes.source;
            let reason =
                format!("its objects are not those that {source} has boxes of; it is left out, and the boxes stay");
            out.warnings.push(format!("{name}: {reason}"));
        }
        Ok(None)
    }

    /// The label image, its pieces numbered where that was asked for.
    ///
    /// # Errors
    /// Its values do not tell objects apart, and its pieces are not to be numbered.
    fn tell_apart(&self, name: &str, labels: LabelImage, out: &mut Gathered) -> Result<LabelImage> {
        if self.options.number_pieces {
            return labels.number_pieces().map_err(|e| Error::annotation(name, e));
        }
        let (doubts, is_useless) = labels.doubts();
        let said: Vec<String> = doubts.iter().map(ToString::to_string).collect();
        if is_useless {
            out.unnumbered.push(name.to_owned());
            let said = said.join(", and ");
            let reason = format!(
                "{said}, so it does not tell objects apart; save it with a value for each object, or have its separate \
                 pieces numbered (--number-pieces)"
            );
            return Err(Error::annotation(name, reason));
        }
        if labels.is_renumbered() {
            out.warnings.push(format!("{name}: its values above 65,535 are renumbered from 65,535 down"));
        }
        out.warnings.extend(said.iter().map(|doubt| format!("{name}: {doubt}")));
        Ok(labels)
    }
}

/// One label image of files that hold one object each.
fn joined(parts: &[(&str, &[u8])]) -> Result<LabelImage> {
    let first = parts[0].0;
    limits::check(first, "the number of objects", parts.len() as u64, limits::OBJECTS as u64)?;
    let (mut size, mut masks, mut runs) = ((0, 0), Vec::new(), 0u64);
    for (name, bytes) in parts {
        let labels = LabelImage::decode(name, bytes)?;
        let own = (labels.width(), labels.height());
        if size == (0, 0) {
            size = own;
        }
        if own != size {
            let ((w, h), (v, g)) = (own, size);
            return Err(Error::annotation(*name, format!("is {w} × {h} pixels, but {first} is {v} × {g}")));
        }
        // Whatever the value, all that is not background is the object.
        if let Some(mask) = labels.whole() {
            runs += mask.counts().len() as u64;
            limits::check(name, "the number of runs of one value", runs, limits::LABEL_RUNS)?;
            masks.push(mask);
        }
    }
    LabelImage::from_masks(size.0, size.1, masks.iter().map(Some))
}
