//! The samples of one channel under a set of pixels.

use std::cmp::Ordering;

use super::Samples;
use super::region::Run;

/// Statistics in the units of the samples. All of them are NaN where a sample is, as numpy has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intensity {
    /// `intensity_mean`.
    pub mean: f64,
    /// `intensity_median`: of an even number, the mean of the middle two.
    pub median: f64,
    /// `intensity_std`: of all samples, divided by their number and not by one less.
    pub standard_deviation: f64,
    /// `intensity_min`.
    pub min: f64,
    /// `intensity_max`.
    pub max: f64,
    /// Sum of the samples.
    pub integrated: f64,
    /// Mean x and y of the pixels, each weighted with its sample (`centroid_weighted`); `None` where the samples add up to
    /// zero. As for the centroid, the centre of the first pixel is (0, 0).
    pub weighted_centroid: Option<[f64; 2]>,
}

/// A kind of sample.
trait Sample: Copy {
    fn value(self) -> f64;
    fn order(&self, other: &Self) -> Ordering;
}

macro_rules! sample {
    ($($kind:ty: $order:expr),*) => {
        $(impl Sample for $kind {
            fn value(self) -> f64 {
                f64::from(self)
            }
            fn order(&self, other: &Self) -> Ordering {
                $order(self, other)
            }
        })*
    };
}
sample!(u8: Ord::cmp, u16: Ord::cmp, f32: f32::total_cmp);

/// `None` without pixels. `width` is the image's.
pub(super) fn intensity(samples: Samples, runs: &[Run], width: u32) -> Option<Intensity> {
    match samples {
        Samples::U8(plane) => of(plane, runs, width),
        Samples::U16(plane) => of(plane, runs, width),
        Samples::F32(plane) => of(plane, runs, width),
    }
}

fn of<T: Sample>(plane: &[T], runs: &[Run], width: u32) -> Option<Intensity> {
    let mut values: Vec<T> = Vec::new();
    let (mut sum, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    for &(start, end) in runs {
        let stretch = plane.get(start as usize..end as usize)?;
        let (x, y) = (start % width, start / width);
        let (mut row, mut offsets) = (0.0, 0.0);
        for (offset, sample) in (0u32..).zip(stretch) {
            let value = sample.value();
            row += value;
            offsets += value * f64::from(offset);
        }
        sum += row;
        x_sum += row * f64::from(x) + offsets;
        y_sum += row * f64::from(y);
        values.extend_from_slice(stretch);
    }
    let first = values.first()?.value();
    let count = values.len() as f64;
    let mean = sum / count;
    let (mut squares, mut min, mut max) = (0.0, first, first);
    let mut is_number = true;
    for value in values.iter().map(|sample| sample.value()) {
        squares += (value - mean).powi(2);
        min = min.min(value);
        max = max.max(value);
        is_number &= !value.is_nan();
    }
    // What only compares would leave NaN aside.
    let of_numbers = |value: f64| if is_number { value } else { f64::NAN };
    let weighted_centroid = (sum != 0.0).then(|| [x_sum / sum, y_sum / sum]);
    Some(Intensity {
        mean,
        median: of_numbers(median(&mut values)),
        standard_deviation: (squares / count).sqrt(),
        min: of_numbers(min),
        max: of_numbers(max),
        integrated: sum,
        weighted_centroid,
    })
}

/// Of at least one value, which are put into another order.
fn median<T: Sample>(values: &mut [T]) -> f64 {
    let middle = values.len() / 2;
    let is_odd = values.len() % 2 == 1;
    let (below, upper, _) = values.select_nth_unstable_by(middle, T::order);
    let upper = upper.value();
    let lower = below.iter().max_by(|a, b| a.order(b)).map_or(upper, |sample| sample.value());
    if is_odd { upper } else { 0.5 * (lower + upper) }
}
