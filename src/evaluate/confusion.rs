//! Which class is taken for which, and on what images the detector errs.

use serde::{Deserialize, Serialize};

use super::{Options, Pair, by_score, overlaps};
use crate::annotations::Object;
use crate::detections::Detection;
use crate::error::Result;

/// Counts of objects (rows) by what they were taken for (columns). The last row holds detections where nothing is
/// annotated, the last column objects that were not found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of rows and columns; the last is `background`.
    pub classes: Vec<String>,
    pub counts: Vec<Vec<usize>>,
}

/// How one image came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageScore {
    pub image: String,
    /// Found, with the right class.
    pub right: usize,
    /// Found, with a wrong class.
    pub confused: usize,
    /// Not found.
    pub missed: usize,
    /// Detected where nothing is annotated.
    pub extra: usize,
    /// Harmonic mean of precision and recall; 1 for an image without cells on which none were found.
    pub f1: f64,
}

/// Detections of at least the wanted score, best first, each with the free object that it overlaps most, whatever its
/// class. The second value is sorted from the worst image to the best.
pub(super) fn confuse(pairs: &[Pair], classes: &[&str], options: &Options) -> Result<(Confusion, Vec<ImageScore>)> {
    let background = classes.len();
    let mut counts = vec![vec![0; background + 1]; background + 1];
    let mut scores = Vec::new();
    for pair in pairs {
        let (right, confused, missed, extra) = confuse_image(pair, background, options, &mut counts)?;
        // A wrong class is one cell missed and one too many.
        let wrong = 2 * confused + missed + extra;
        let f1 = if right + wrong == 0 { 1.0 } else { 2.0 * right as f64 / (2 * right + wrong) as f64 };
        scores.push(ImageScore { image: pair.image.to_owned(), right, confused, missed, extra, f1 });
    }
    let mistakes = |s: &ImageScore| s.confused + s.missed + s.extra;
    scores.sort_by(|a, b| a.f1.total_cmp(&b.f1).then(mistakes(b).cmp(&mistakes(a))).then(a.image.cmp(&b.image)));
    let names = classes.iter().copied().chain(["background"]).map(str::to_owned).collect();
    Ok((Confusion { classes: names, counts }, scores))
}

fn confuse_image(
    pair: &Pair,
    background: usize,
    options: &Options,
    counts: &mut [Vec<usize>],
) -> Result<(usize, usize, usize, usize)> {
    let objects: Vec<&Object> = pair.objects.iter().map(|(_, o)| *o).collect();
    let (found_classes, found): (Vec<usize>, Vec<&Detection>) =
        pair.detections.iter().filter(|(_, d)| d.score >= options.score).copied().unzip();
    let overlaps = overlaps(&found, &objects, options.measure)?;
    let (mut right, mut confused, mut missed, mut extra) = (0, 0, 0, 0);
    let mut taken = vec![false; objects.len()];
    for d in by_score(&found) {
        let free = (0..objects.len()).filter(|&g| !taken[g] && overlaps[d][g] >= options.iou);
        // An object that counts goes before a difficult one.
        let best = free.max_by(|&a, &b| {
            objects[b].difficult.cmp(&objects[a].difficult).then(overlaps[d][a].total_cmp(&overlaps[d][b]))
        });
        let Some(g) = best else {
            let mut is_ignored = false;
            for region in pair.ignored.iter().filter(|r| r.class.is_none_or(|class| class == found_classes[d])) {
                is_ignored |= region.overlap(found[d], options.measure)? >= options.iou;
            }
            if is_ignored {
                continue;
            }
            counts[background][found_classes[d]] += 1;
            extra += 1;
            continue;
        };
        taken[g] = true;
        if objects[g].difficult {
            continue;
        }
        let class = pair.objects[g].0;
        counts[class][found_classes[d]] += 1;
        if class == found_classes[d] { right += 1 } else { confused += 1 }
    }
    for (g, (class, object)) in pair.objects.iter().enumerate() {
        if !taken[g] && !object.difficult {
            counts[*class][background] += 1;
            missed += 1;
        }
    }
    Ok((right, confused, missed, extra))
}
