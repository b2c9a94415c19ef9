//! The box coder: between boxes and the deltas that a network predicts.

use serde::{Deserialize, Serialize};

use super::Corners;

/// `log(1000 / 16)`: torchvision's upper limit of dw and dh.
pub const BBOX_XFORM_CLIP: f32 = 4.135_166_6;

/// The regression targets of R-CNN (Girshick 2014, torchvision's `BoxCoder`): the offset of the centre relative to the size of
/// the reference box, and the logarithms of the size ratios, each times a weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoxCoder {
    /// Weights of dx, dy, dw, dh.
    pub weights: [f32; 4],
    /// What the corners of boxes are.
    pub corners: Corners,
    /// The upper limit of dw and dh.
    pub clip: f32,
}

impl BoxCoder {
    /// torchvision's.
    pub const fn new(weights: [f32; 4]) -> Self {
        Self { weights, corners: Corners::Edges, clip: BBOX_XFORM_CLIP }
    }

    /// The deltas from `reference` to `target`; both must have positive width and height.
    pub fn encode(&self, target: [f32; 4], reference: [f32; 4]) -> [f32; 4] {
        let (rw, rh, rx, ry) = centre_form(self.corners.of_edges(reference));
        let (tw, th, tx, ty) = centre_form(self.corners.of_edges(target));
        let [wx, wy, ww, wh] = self.weights;
        [wx * (tx - rx) / rw, wy * (ty - ry) / rh, ww * (tw / rw).ln(), wh * (th / rh).ln()]
    }

    /// Applies `deltas` to `reference`, without clipping.
    pub fn decode(&self, deltas: [f32; 4], reference: [f32; 4]) -> [f32; 4] {
        let (rw, rh, rx, ry) = centre_form(self.corners.of_edges(reference));
        let [wx, wy, ww, wh] = self.weights;
        let (cx, cy) = (deltas[0] / wx * rw + rx, deltas[1] / wy * rh + ry);
        let w = (deltas[2] / ww).min(self.clip).exp() * rw;
        let h = (deltas[3] / wh).min(self.clip).exp() * rh;
        self.corners.to_edges([cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h])
    }
}

/// Width, height and centre.
fn centre_form([x1, y1, x2, y2]: [f32; 4]) -> (f32, f32, f32, f32) {
    let (w, h) = (x2 - x1, y2 - y1);
    (w, h, x1 + 0.5 * w, y1 + 0.5 * h)
}
