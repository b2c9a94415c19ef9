//! Selects the images and objects that a run trains on, and reports those that it cannot use.

use super::config::TrainConfig;
use super::truth::Example;

/// Images that are named in a sentence.
const NAMED: usize = 3;

/// The images and objects that a run trains on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    pub examples: Vec<Example>,
    /// No object has a mask, so that boxes stand in for them.
    pub masks_from_boxes: bool,
    /// For whoever trains.
    pub notices: Vec<String>,
}

impl Selection {
    /// From `examples`, for a detector with or without a mask head.
    pub fn new(examples: Vec<Example>, config: &TrainConfig, has_mask: bool) -> Self {
        let (mut examples, left_out): (Vec<_>, Vec<_>) =
            examples.into_iter().partition(|e| e.is_informative(config.use_difficult));
        let mut notices = Vec::new();
        if !left_out.is_empty() {
            let names = left_out.iter().take(NAMED).map(|e| e.name.as_str()).collect::<Vec<_>>().join(", ");
            let more = if left_out.len() > NAMED { ", …" } else { "" };
            notices.push(format!(
                "not trained on, as none of the objects can be used: {} ({names}{more})",
                images(left_out.len())
            ));
        }
        let incomplete = examples.iter().filter(|e| e.incomplete).count();
        if incomplete > 0 && incomplete == examples.len() {
            // Without any background everything would become a cell.
            examples.iter_mut().for_each(|e| e.incomplete = false);
            notices.push(
                "objects are missing from every image at unknown places; unannotated areas count as background nevertheless"
                    .to_owned(),
            );
        } else if incomplete > 0 {
            notices.push(format!(
                "objects are missing at unknown places: unannotated areas of {} do not count as background",
                images(incomplete)
            ));
        }
        let objects = examples.iter().flat_map(|e| &e.objects);
        let (total, bare) = objects.fold((0, 0), |(total, bare), o| (total + 1, bare + usize::from(o.mask.is_none())));
        let masks_from_boxes = has_mask && total > 0 && bare == total;
        if masks_from_boxes {
            notices.push("no object has an outline: boxes stand in for masks, which will look like boxes".to_owned());
        } else if has_mask && bare > 0 {
            notices.push(format!("{bare} of {total} objects have no outline and do not train the mask head"));
        }
        Self { examples, masks_from_boxes, notices }
    }
}

fn images(n: usize) -> String {
    if n == 1 { "1 image".to_owned() } else { format!("{n} images") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::{IgnoredReason, IgnoredRegion};
    use crate::boxes::BoxXyxy;
    use crate::channels::MergedImage;
    use crate::train::truth::{Patch, Truth};

    const CORNERS: [f32; 4] = [1.0, 1.0, 5.0, 5.0];

    fn example(name: &str, objects: &[(bool, bool)]) -> Example {
        let object = |&(has_mask, difficult): &(bool, bool)| Truth {
            corners: CORNERS,
            class: 1,
            mask: has_mask.then(|| Patch::filled(CORNERS)),
            difficult,
        };
        Example {
            name: name.to_owned(),
            merged_image: MergedImage { width: 8, height: 8, rgb: vec![0.0; 192] },
            objects: objects.iter().map(object).collect(),
            ignored: Vec::new(),
            incomplete: false,
        }
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.examples.iter().map(|e| e.name.as_str()).collect()
    }

    #[test]
    fn images_with_only_left_out_objects_are_not_negatives() {
        let bbox = BoxXyxy::try_from(CORNERS).unwrap();
        let ignored = || vec![IgnoredRegion { bbox, label: None, reason: IgnoredReason::Unreadable }];
        let all = || {
            vec![
                example("cells", &[(false, false)]),
                example("empty", &[]),
                example("difficult", &[(false, true)]),
                Example { ignored: ignored(), ..example("ignored", &[]) },
                Example { incomplete: true, ..example("incomplete", &[]) },
                Example { ignored: ignored(), incomplete: true, ..example("some", &[(false, false)]) },
            ]
        };
        let config = TrainConfig::fine_tune();
        let found = Selection::new(all(), &config, false);
        assert_eq!(names(&found), ["cells", "empty", "difficult", "some"]);
        assert!(found.notices[0].contains("2 images (ignored, incomplete)"), "{:?}", found.notices);
        assert!(found.examples[3].incomplete);
        let found = Selection::new(all(), &TrainConfig { use_difficult: false, ..config.clone() }, false);
        assert_eq!(names(&found), ["cells", "empty", "some"]);

        let only = vec![Example { incomplete: true, ..example("a", &[(false, false)]) }];
        let found = Selection::new(only, &config, false);
        assert!(!found.examples[0].incomplete && found.notices[0].contains("nevertheless"), "{:?}", found.notices);
    }

    #[test]
    fn boxes_stand_in_for_masks_only_where_no_object_has_one() {
        let config = TrainConfig::fine_tune();
        let from_boxes = |objects: &[(bool, bool)], has_mask| {
            let found = Selection::new(vec![example("a", &[]), example("b", objects)], &config, has_mask);
            (found.masks_from_boxes, found.notices.join(" "))
        };
        let (stand_in, notice) = from_boxes(&[(false, false), (false, false)], true);
        assert!(stand_in && notice.contains("boxes stand in"), "{notice}");
        let (stand_in, notice) = from_boxes(&[(true, false), (false, false)], true);
        assert!(!stand_in && notice.contains("1 of 2 objects"), "{notice}");
        assert_eq!(from_boxes(&[(true, false)], true), (false, String::new()));
        assert_eq!(from_boxes(&[(false, false)], false), (false, String::new()));
    }
}
