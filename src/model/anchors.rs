//! Anchors: the reference boxes of the RPN's deltas (torchvision's `anchor_utils.py`).

use super::config::DetectorConfig;

/// The zero-centred anchors of one level: every aspect ratio with every size, corners rounded to whole pixels if asked for.
///
/// An aspect ratio is height over width. Computed in f32 and rounded half to even, as in torch.
pub fn cell_anchors(sizes: &[f32], aspect_ratios: &[f32], rounded: bool) -> Vec<[f32; 4]> {
    let corner = |v: f32| if rounded { v.round_ties_even() } else { v };
    let mut anchors = Vec::with_capacity(sizes.len() * aspect_ratios.len());
    for ratio in aspect_ratios {
        let h_ratio = ratio.sqrt();
        let w_ratio = 1.0 / h_ratio;
        for size in sizes {
            let (w, h) = (w_ratio * size, h_ratio * size);
            anchors.push([-w / 2.0, -h / 2.0, w / 2.0, h / 2.0].map(corner));
        }
    }
    anchors
}

/// The anchors of one level over the whole input, ordered by row, column and cell anchor.
///
/// `grid` is the height and width of the level, `input` those of the padded network input. Centres are at multiples of the stride,
/// which is `input / grid` rounded down.
pub fn grid_anchors(cell: &[[f32; 4]], grid: [usize; 2], input: [usize; 2]) -> Vec<[f32; 4]> {
    let stride = [input[0] / grid[0].max(1), input[1] / grid[1].max(1)];
    let mut anchors = Vec::with_capacity(grid[0] * grid[1] * cell.len());
    for row in 0..grid[0] {
        let y = (row * stride[0]) as f32;
        for column in 0..grid[1] {
            let x = (column * stride[1]) as f32;
            anchors.extend(cell.iter().map(|[x1, y1, x2, y2]| [x1 + x, y1 + y, x2 + x, y2 + y]));
        }
    }
    anchors
}

/// [`grid_anchors`] of every level of `grids`.
pub fn pyramid_anchors(config: &DetectorConfig, grids: &[[usize; 2]], input: [usize; 2]) -> Vec<Vec<[f32; 4]>> {
    grids
        .iter()
        .zip(&config.anchor_sizes)
        .map(|(grid, sizes)| {
            grid_anchors(&cell_anchors(sizes, &config.aspect_ratios, config.anchor_rounding), *grid, input)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_anchors_are_torchvisions() {
        // AnchorGenerator(((32,),), ((0.5, 1.0, 2.0),)).cell_anchors
        let expected = [[-23.0, -11.0, 23.0, 11.0], [-16.0, -16.0, 16.0, 16.0], [-11.0, -23.0, 11.0, 23.0]];
        assert_eq!(cell_anchors(&[32.0], &[0.5, 1.0, 2.0], true), expected);
        // Halves round to even: a side of 5 gives ±2.5, which becomes ±2.
        assert_eq!(cell_anchors(&[5.0], &[1.0], true), [[-2.0, -2.0, 2.0, 2.0]]);
        assert_eq!(cell_anchors(&[5.0], &[1.0], false), [[-2.5, -2.5, 2.5, 2.5]]);
    }

    #[test]
    fn anchors_are_ordered_row_by_row() {
        let anchors = grid_anchors(&[[-1.0, -1.0, 1.0, 1.0]], [2, 3], [64, 96]);
        assert_eq!(anchors.len(), 6);
        assert_eq!(anchors[1], [31.0, -1.0, 33.0, 1.0]);
        assert_eq!(anchors[3], [-1.0, 31.0, 1.0, 33.0]);
    }
}
