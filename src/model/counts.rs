//! How many proposals and detections of an image count: torchvision's constants, or as many as there are cells.
//!
//! torchvision looks at `rpn_post_nms_top_n_test` proposals of an image and keeps `box_detections_per_img` detections, 1000 and
//! 100, whatever its size: COCO's photographs hold few objects. A field of view may hold thousands of cells. Here those
//! numbers are where the search begins: it goes on through the next best proposals as long as they turn out to be cells that
//! no proposal before them was. On an image with few cells for its proposals the search ends where torchvision's does, with the
//! same detections.

use super::config::DetectorConfig;
use super::roi_heads::Candidates;
use crate::boxes::BoxGrid;
use crate::limits;

/// A candidate of this score, or of the score threshold where that is higher, is taken for a cell that is worth looking on for.
const SURE: f32 = 0.5;
/// The search ends when this many proposals in a row were no new cell. They are also computed at a time.
pub(super) const PATIENCE: usize = 128;
/// Proposals for each detection: the NMS of the RPN leaves several of a cell, and some of what is none.
const PROPOSALS_OF_A_DETECTION: usize = 4;
/// Where torchvision's proposals are fewer than this for each cell among them, some cells may have none. With more, further
/// ones would only be other boxes of the same cells.
const CROWDED: usize = 8;
/// Side of the area of [`limits::DETECTIONS_PER_AREA`], in pixels of the network's input.
const AREA_SIDE: usize = 512;

/// The most proposals and detections of one pass of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Proposals that the box head looks at.
    pub proposals: usize,
    /// Detections that are kept, best first.
    pub detections: usize,
}

impl Counts {
    /// torchvision's: the numbers of the configuration, and no proposal more.
    pub fn torchvision(config: &DetectorConfig) -> Self {
        Self { proposals: config.rpn_post_nms_top_n_test, detections: config.box_detections_per_img }
    }

    /// Those of a detection on an input of that height and width.
    ///
    /// Without `wanted`, [`limits::DETECTIONS_PER_AREA`] detections for each 512² pixels of input. A `wanted` limit up to the
    /// configuration's own `box_detections_per_img` asks for nothing that torchvision's numbers do not give, so these hold.
    pub fn for_input(config: &DetectorConfig, size: [usize; 2], wanted: Option<usize>) -> Self {
        let own = Self::torchvision(config);
        match wanted {
            Some(detections) if detections <= own.detections => Self { detections, ..own },
            _ => {
                let areas = (size[0] * size[1]).div_ceil(AREA_SIDE * AREA_SIDE).max(1);
                let usual = (limits::DETECTIONS_PER_AREA * areas).max(own.detections);
                let detections = wanted.unwrap_or(usual).min(limits::PROPOSALS);
                let proposals = (PROPOSALS_OF_A_DETECTION * detections).min(limits::PROPOSALS);
                Self { proposals: proposals.max(own.proposals), detections }
            }
        }
    }
}

/// The cells that a search has come across.
pub(super) struct Search {
    sure: f32,
    threshold: f32,
    cells: BoxGrid,
    found: usize,
    /// The number of proposals up to the last one that was a new cell.
    until: usize,
}

impl Search {
    pub fn new(config: &DetectorConfig, proposals: &[[f32; 4]]) -> Self {
        let (sure, threshold) = (config.box_score_thresh.max(SURE), config.box_nms_thresh);
        Self { sure, threshold, cells: BoxGrid::for_boxes(proposals), found: 0, until: 0 }
    }

    /// Takes notice of the candidates from number `from` on.
    pub fn see(&mut self, candidates: &Candidates, from: usize) {
        for i in from..candidates.corners.len() {
            let corners = candidates.corners[i];
            if candidates.scores[i] >= self.sure && !self.cells.has_overlap(corners, 0, self.threshold) {
                self.cells.push(corners, 0);
                self.found += 1;
                self.until = candidates.proposals[i] + 1;
            }
        }
    }

    /// Whether so many proposals are few for the cells among them.
    pub fn is_crowded(&self, proposals: usize) -> bool {
        CROWDED * self.found >= proposals
    }

    /// Whether the last of `proposals` brought a new cell, so that the next ones may too.
    pub fn goes_on(&self, proposals: usize) -> bool {
        self.until > 0 && proposals < self.until + PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_torchvision_meets_is_torchvisions() {
        let config = DetectorConfig::default();
        let counts = |wanted| Counts::for_input(&config, [512, 512], wanted);
        assert_eq!(counts(Some(100)), Counts::torchvision(&config));
        assert_eq!(counts(Some(7)), Counts { proposals: 1000, detections: 7 });
        assert_eq!(counts(Some(200)), Counts { proposals: 1000, detections: 200 });
        assert_eq!(counts(Some(3000)), Counts { proposals: 12_000, detections: 3000 });
    }

    #[test]
    fn the_limit_follows_the_size_of_the_input() {
        let config = DetectorConfig::default();
        let detections = |side| Counts::for_input(&config, [side, side], None).detections;
        assert_eq!([256, 512, 1024, 4096].map(detections), [2000, 2000, 8000, 20_000]);
        let own = DetectorConfig { box_detections_per_img: 5000, ..config };
        assert_eq!(Counts::for_input(&own, [512, 512], None).detections, 5000);
    }

    #[test]
    fn a_search_goes_on_while_there_are_new_cells() {
        let cell = |i: usize| [i as f32 * 20.0, 0.0, i as f32 * 20.0 + 10.0, 10.0];
        let mut search = Search::new(&DetectorConfig::default(), &[cell(0)]);
        let mut candidates = Candidates::default();
        assert!(!search.goes_on(0));
        candidates.push(cell(0), 0.9, 1, 40);
        // Hardly a cell, and one that was there before.
        candidates.push(cell(7), 0.2, 1, 90);
        candidates.push(cell(0), 0.99, 2, 100);
        search.see(&candidates, 0);
        assert!(search.goes_on(168) && !search.goes_on(169));
        assert!(search.is_crowded(8) && !search.is_crowded(9), "one cell");
        candidates.push(cell(1), 0.6, 1, 150);
        search.see(&candidates, 3);
        assert!(search.goes_on(169) && !search.goes_on(279));
    }
}
