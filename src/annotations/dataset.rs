//! Annotations and images together: which belong to which, what classes there are, and what to train on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::annotations::csv::ImageLabels;
use crate::annotations::matching::{Index, Match};
use crate::annotations::{ImageAnnotations, checked_box, names};
use crate::boxes::{self, BoxXyxy};
use crate::error::{Error, Result};

/// An image that is there, by its name without channel and extension; 0 × 0 pixels where its size is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageInfo {
    pub name: String,
    pub width: u32,
    pub height: u32,
    /// Its files with their folders, by which images of one name are told apart.
    #[serde(default)]
    pub files: Vec<String>,
}

impl ImageInfo {
    /// An image of which only the name is known.
    pub fn new(name: &str, width: u32, height: u32) -> Self {
        Self { name: name.to_owned(), width, height, files: Vec::new() }
    }
}

/// What [`match_images`] found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matched {
    /// One for each image that has annotations, with the image's name and size.
    pub annotations: Vec<ImageAnnotations>,
    /// The file that each of them is from.
    pub sources: Vec<String>,
    /// Annotations that belong to no image, by the name that they have.
    pub without_image: Vec<String>,
    /// The file that each of those is from.
    pub without_image_sources: Vec<String>,
    /// Images that nobody annotated.
    pub without_annotations: Vec<String>,
    pub warnings: Vec<String>,
    /// Annotations of another size than their image, a second set for one image, and single boxes outside.
    pub rejected: Vec<Error>,
}

/// Brings annotations to images by folder and name: by the file that the annotation names, or its own name. See
/// `matching`.
pub fn match_images(annotations: Vec<ImageAnnotations>, images: &[ImageInfo]) -> Matched {
    let index = Index::new(images);
    let claim = |annotations: ImageAnnotations| {
        let source = annotations.image.clone();
        Claim { found: index.of_annotations(&annotations), annotations, source }
    };
    settle(annotations.into_iter().map(claim).collect(), images)
}

/// Annotations and the image that they ask for.
pub(super) struct Claim {
    pub annotations: ImageAnnotations,
    pub found: Match,
    /// The file that they are from, for sentences.
    pub source: String,
}

/// Gives each image the annotations whose folders agree best with its own, and of several such the first.
pub(super) fn settle(claims: Vec<Claim>, images: &[ImageInfo]) -> Matched {
    let mut best: HashMap<usize, usize> = HashMap::new();
    for claim in &claims {
        if let Match::Image(image, depth) = claim.found {
            let most = best.entry(image).or_insert(depth);
            *most = depth.max(*most);
        }
    }
    let mut matched = Matched::default();
    let mut taken: HashSet<usize> = HashSet::new();
    for Claim { mut annotations, found, source } in claims {
        let (at, depth) = match found {
            Match::Image(at, depth) => (at, depth),
            Match::Several => {
                let name = &annotations.image;
                let reason = format!("several images are called {name}, and the folders do not tell which is meant");
                matched.rejected.push(Error::annotation(source, reason));
                continue;
            }
            Match::None => {
                matched.without_image.push(annotations.image);
                matched.without_image_sources.push(source);
                continue;
            }
        };
        let image = &images[at];
        if depth < best[&at] && !names::folders(&annotations.file).is_empty() {
            // It speaks of an image of that name in another folder.
            matched.without_image.push(names::relative(&annotations.file));
            matched.without_image_sources.push(source);
            continue;
        }
        if depth < best[&at] || !taken.insert(at) {
            let reason = format!("is a second set of annotations for the image {}; only the first is used", image.name);
            matched.rejected.push(Error::annotation(source, reason));
            continue;
        }
        // Folders that are not the image's are those of somebody's disk.
        annotations.file = names::innermost(&annotations.file, depth);
        match fit(&mut annotations, image, &mut matched) {
            Ok(()) => {
                matched.annotations.push(annotations);
                matched.sources.push(source);
            }
            Err(error) => matched.rejected.push(error),
        }
    }
    let without = images.iter().enumerate().filter(|(i, _)| !taken.contains(i));
    matched.without_annotations = without.map(|(_, image)| image.name.clone()).collect();
    matched
}

/// Takes over the image's name and, where it is known, its size; checks boxes that were read without a size.
fn fit(annotation: &mut ImageAnnotations, image: &ImageInfo, matched: &mut Matched) -> Result<()> {
    let (width, height) = (image.width, image.height);
    annotation.image.clone_from(&image.name);
    if width == 0 || height == 0 {
        return Ok(());
    }
    if annotation.has_size() && (annotation.width, annotation.height) != (width, height) {
        let (w, h) = (annotation.width, annotation.height);
        let reason = format!("was made for {w} × {h} pixels, but the image {} has {width} × {height}", image.name);
        return Err(Error::annotation(annotation.image.clone(), reason));
    }
    if !annotation.has_size() {
        let name = &image.name;
        // What is ignored may reach over the edge: what lies outside needs no ignoring.
        annotation.ignored.retain_mut(|region| match within(region.bbox, width, height) {
            Some(bbox) => {
                region.bbox = bbox;
                true
            }
            None => false,
        });
        let mut number = 0;
        annotation.objects.retain_mut(|object| {
            number += 1;
            match checked_box(object.bbox.corners().map(f64::from), width, height) {
                Ok((bbox, clipped)) => {
                    if clipped {
                        let reason = "its box reaches up to a pixel over the edge of the image and was clipped";
                        matched.warnings.push(format!("{name}, object {number}: {reason}"));
                    }
                    object.bbox = bbox;
                    true
                }
                Err(e) => {
                    let reason = format!("{e} ({width} × {height} pixels)");
                    matched.rejected.push(Error::Object { file: name.clone(), object: number, reason });
                    false
                }
            }
        });
    }
    (annotation.width, annotation.height) = (width, height);
    Ok(())
}

/// The part of a box that lies within an image.
fn within(bbox: BoxXyxy, width: u32, height: u32) -> Option<BoxXyxy> {
    BoxXyxy::try_from(boxes::clip(bbox.corners(), width as f32, height as f32)).ok()
}

/// How often a class occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    pub label: String,
    pub images: usize,
    pub cells: usize,
}

/// Every label of objects and of ignored regions, in the order of names.
pub fn labels(annotations: &[ImageAnnotations]) -> Vec<String> {
    let of_objects = annotations.iter().flat_map(|image| image.objects.iter().map(|object| &object.label));
    let of_regions =
        annotations.iter().flat_map(|image| image.ignored.iter().filter_map(|region| region.label.as_ref()));
    of_objects.chain(of_regions).collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// Images and cells of each class, by name.
pub fn class_counts(annotations: &[ImageAnnotations]) -> Vec<ClassCount> {
    count(annotations.iter().map(|a| a.objects.iter().map(|o| o.label.as_str())), 1)
}

/// Images of each class, by name; `cells` is 0, as the labels are of whole images.
pub fn image_label_counts(images: &[ImageLabels]) -> Vec<ClassCount> {
    count(images.iter().map(|i| i.labels.iter().map(String::as_str)), 0)
}

fn count<'a>(images: impl Iterator<Item = impl Iterator<Item = &'a str>>, cells_each: usize) -> Vec<ClassCount> {
    let mut counts: BTreeMap<&str, ClassCount> = BTreeMap::new();
    for labels in images {
        let mut seen = BTreeSet::new();
        for label in labels {
            let entry = counts.entry(label).or_insert_with(|| ClassCount { label: label.into(), images: 0, cells: 0 });
            entry.cells += cells_each;
            entry.images += usize::from(seen.insert(label));
        }
    }
    counts.into_values().collect()
}

/// Indices of the images to train on and to validate with, each in rising order.
///
/// The same names, share and seed give the same split, in whatever order the images come. Where there are two images or
/// more and `validation` is above 0, both parts have at least one.
///
/// # Errors
/// `validation` is not in 0–1 (1 excluded).
pub fn split(images: &[String], validation: f32, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    if !(0.0..1.0).contains(&validation) {
        return Err(Error::Training(format!("a validation share of {validation}; it must be at least 0 and below 1")));
    }
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by(|&a, &b| images[a].cmp(&images[b]).then(a.cmp(&b)));
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let wanted = (images.len() as f32 * validation).round() as usize;
    let held = match images.len() {
        0 | 1 => 0,
        _ if validation == 0.0 => 0,
        n => wanted.clamp(1, n - 1),
    };
    let mut validation = order.split_off(images.len() - held);
    order.sort_unstable();
    validation.sort_unstable();
    Ok((order, validation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::csv;

    fn info(name: &str, width: u32, height: u32) -> ImageInfo {
        ImageInfo::new(name, width, height)
    }

    #[test]
    fn annotations_find_their_images() {
        let table = b"x/a.png,1,1,9,9,c\nb_green.png,1,1,11,9,c\nb_green.png,1,1,13,9,c\nlost.png,1,1,2,2,c\n";
        let images = [info("a", 10, 10), info("b", 10, 10), info("bare", 5, 5)];
        let matched = match_images(csv::read_boxes("t.csv", table).unwrap().value, &images);
        let found: Vec<_> = matched.annotations.iter().map(|a| (a.image.as_str(), a.width, a.objects.len())).collect();
        assert_eq!(found, [("a", 10, 1), ("b", 10, 1)]);
        assert_eq!(matched.without_image, ["lost"]);
        assert_eq!(matched.without_annotations, ["bare"]);
        assert_eq!((matched.warnings.len(), matched.rejected.len()), (1, 1));
        assert!(matches!(&matched.rejected[0], Error::Object { object: 2, .. }), "{:?}", matched.rejected);
    }

    #[test]
    fn another_size_is_shown_with_both() {
        let annotation = ImageAnnotations {
            image: "a".into(),
            file: String::new(),
            width: 640,
            height: 480,
            verified: false,
            objects: Vec::new(),
            ..ImageAnnotations::default()
        };
        let matched = match_images(vec![annotation.clone(), annotation.clone()], &[info("a", 512, 512)]);
        assert!(matched.annotations.is_empty());
        let sentence = matched.rejected[0].to_string();
        assert!(sentence.contains("640 × 480") && sentence.contains("512 × 512"), "{sentence}");
        let matched = match_images(vec![annotation.clone(), annotation], &[info("a", 640, 480)]);
        assert_eq!((matched.annotations.len(), matched.rejected.len()), (1, 1), "the second set is refused");
    }

    #[test]
    fn classes_are_counted_by_images_and_cells() {
        let table = b"a.png,1,1,9,9,y\na.png,1,1,9,8,y\nb.png,1,1,9,9,y\nb.png,1,1,9,9,x\n";
        let counts = class_counts(&csv::read_boxes("t.csv", table).unwrap().value);
        let expected = [("x", 1, 1), ("y", 2, 3)];
        assert_eq!(counts, expected.map(|(l, images, cells)| ClassCount { label: l.into(), images, cells }));
    }

    #[test]
    fn a_split_depends_on_names_and_seed_only() {
        let names: Vec<String> = (0..50).map(|i| format!("image{i}")).collect();
        let (train, held) = split(&names, 0.2, 7).unwrap();
        assert_eq!((train.len(), held.len()), (40, 10));
        assert!(train.iter().chain(&held).copied().collect::<BTreeSet<_>>().into_iter().eq(0..50));
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        let names_of = |list: &[String], at: &[usize]| at.iter().map(|i| list[*i].clone()).collect::<BTreeSet<_>>();
        assert_eq!(names_of(&names, &held), names_of(&reversed, &split(&reversed, 0.2, 7).unwrap().1));
        assert_ne!(held, split(&names, 0.2, 8).unwrap().1);
        assert_eq!(split(&names[..2], 0.01, 0).unwrap().1.len(), 1);
        assert_eq!(split(&names[..1], 0.5, 0).unwrap(), (vec![0], vec![]));
        assert_eq!(split(&names, 0.0, 0).unwrap().1, Vec::<usize>::new());
        assert!(split(&names, 1.0, 0).is_err() && split(&names, f32::NAN, 0).is_err());
    }
}
