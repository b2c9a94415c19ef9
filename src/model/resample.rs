//! scikit-image's `resize(order=1, mode="constant")`, in which matterport's Mask_RCNN brings images and masks to their size.
//!
//! Bilinear between pixel centres in f64, without antialiasing. Outside the image is 0, so that what is enlarged gets darker at its
//! edges, but to no value that the image does not have.

/// The two neighbours of one output pixel along an axis, of which one may be outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EdgeTap {
    low: i64,
    /// Of the neighbour after `low`.
    weight: f64,
    side: usize,
}

impl EdgeTap {
    /// Of pixel `at` of `output`, which `input` pixels become.
    pub fn new(input: usize, output: usize, at: usize) -> Self {
        let position = (at as f64 + 0.5) * (input as f64 / output.max(1) as f64) - 0.5;
        let low = position.floor();
        Self { low: low as i64, weight: position - low, side: input }
    }

    fn neighbours(&self) -> [(Option<usize>, f64); 2] {
        let inside = |at: i64| usize::try_from(at).ok().filter(|at| *at < self.side);
        [(inside(self.low), 1.0 - self.weight), (inside(self.low + 1), self.weight)]
    }

    /// The value at a row and a column of what `pixel` gives by row and column.
    pub fn blend(row: &Self, column: &Self, pixel: impl Fn(usize, usize) -> f64) -> f64 {
        let columns = column.neighbours();
        let line = |y: Option<usize>| match y {
            Some(y) => columns.iter().map(|(x, weight)| x.map_or(0.0, |x| weight * pixel(y, x))).sum(),
            None => 0.0,
        };
        row.neighbours().iter().map(|(y, weight)| weight * line(*y)).sum()
    }
}

/// Height and width that `matterport`'s `resize_image` gives an image: never reduced to `min_size`, enlarged by `min_scale` at least,
/// and no longer than `max_size` if there is one.
pub fn matterport_size(
    [height, width]: [usize; 2],
    min_size: u32,
    max_size: Option<u32>,
    min_scale: f32,
) -> [usize; 2] {
    let (short, long) = (height.min(width) as f64, height.max(width) as f64);
    let mut scale = (f64::from(min_size) / short).max(1.0).max(f64::from(min_scale));
    if let Some(most) = max_size.map(f64::from)
        && (long * scale).round_ties_even() > most
    {
        scale = most / long;
    }
    [height, width].map(|side| (side as f64 * scale).round_ties_even() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_matterports() {
        assert_eq!(matterport_size([512, 512], 800, Some(1024), 0.0), [800, 800]);
        assert_eq!(matterport_size([300, 430], 800, Some(1024), 0.0), [714, 1024]);
        assert_eq!(matterport_size([2048, 1024], 800, Some(1024), 0.0), [1024, 512], "may be reduced");
        assert_eq!(matterport_size([1000, 1000], 800, Some(1024), 0.0), [1000, 1000], "is not reduced to 800");
        assert_eq!(matterport_size([300, 430], 512, None, 2.0), [600, 860]);
    }

    #[test]
    fn edges_fade() {
        let value = |at| EdgeTap::blend(&EdgeTap::new(2, 4, at), &EdgeTap::new(1, 1, 0), |_, _| 8.0);
        assert_eq!([0, 1, 2, 3].map(value), [6.0, 8.0, 8.0, 6.0]);
    }
}
